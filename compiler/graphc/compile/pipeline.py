"""The pipeline of one graph: its document, its versions, and what a target makes of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from graphc.compile.check_losses import check_allowed, check_losses, find_losses
from graphc.compile.check_outputs import check_outputs
from graphc.compile.describe import describe_graph
from graphc.compile.request import Request
from graphc.compile.versions import Versions, pass_on, read_versions
from graphc.diagnostics import Sink
from graphc.diagnostics.codes.flow import ARITY, DEAD_NODE, UNUSED_INPUT
from graphc.diagnostics.codes.gates import NOTHING_TO_JUDGE
from graphc.diagnostics.codes.reading import PARAMETER_UNUSED
from graphc.frontend.assemble import type_of_outputs
from graphc.frontend.check_gates import check_compared, check_decidable, check_gates
from graphc.frontend.predictors import check_predictors, main_predictor, predictors_of
from graphc.ir.plan import Plan
from graphc.records import record
from graphc.source.located import Fields, Located
from graphc.source.parameters import declared_names, substitute
from graphc.spec.read import GraphSpec, read_graph_spec
from graphc.targets.find import find_target
from graphc.targets.model import Emission, Loss

_UNUSED: Final = frozenset({PARAMETER_UNUSED, DEAD_NODE, UNUSED_INPUT, ARITY, NOTHING_TO_JUDGE})
"""What is wrong may be the reason why something else is unused."""


@record
class CheckedGraph:
    """A graph file's document with its plans by predictor, and what comes of it where nothing is wrong."""

    spec: GraphSpec
    plans: Mapping[str, Plan]
    emission: Emission | None
    losses: tuple[Loss, ...] = ()
    """What the target does not do as the file asks."""


def compile_document(document: Located, folder: Path, request: Request, sink: Sink) -> CheckedGraph | None:
    """Compile one document, whatever is wrong with others: every predictor is the graph with its own changes."""
    own = Sink()
    root = (
        substitute(document, request.settings, request.environ, own)
        if isinstance(document, Fields)
        else document
    )
    # A value that could not be put in its place would only break further rules.
    spec = None if own.has_errors else read_graph_spec(root, own)
    checked = _check_graph(spec, document, folder, request, own) if spec else None
    pass_on((each for each in own if each.rule not in _UNUSED or not own.has_errors), sink)
    return checked


def _check_graph(
    spec: GraphSpec, document: Located, folder: Path, request: Request, sink: Sink
) -> CheckedGraph:
    is_sound = not sink.has_errors
    check_predictors(spec, declared_names(document), sink)
    check_gates(spec, predictors_of(spec), sink)
    check_allowed(spec, sink)
    # A shadow that is being promoted in a file that runs was paired before.
    if request.purpose == "cluster" and not sink.has_errors:
        check_decidable(spec, predictors_of(spec), sink)
    versions = read_versions(spec, document, folder, request, sink, is_sound=is_sound)
    if not sink.has_errors:
        for check in VERSION_CHECKS:
            check(versions, sink)
    if sink.has_errors:
        return CheckedGraph(spec, versions.plans, None)
    target, deployable = find_target(request.target_name), describe_graph(versions, request)
    losses = tuple(find_losses(target, deployable, spec))
    check_losses(losses, sink)
    emission = None if sink.has_errors else target.emit(deployable, sink)
    return CheckedGraph(spec, versions.plans, emission, losses)


def _check_compared(versions: Versions, sink: Sink) -> None:
    spec = versions.spec
    outputs = type_of_outputs(versions.each[main_predictor(spec)].graph)
    check_compared(spec, predictors_of(spec), outputs.values(), sink)


VERSION_CHECKS: Final[tuple[Callable[[Versions, Sink], None], ...]] = (
    check_outputs,
    _check_compared,
)
"""What the versions of a graph have to keep together, where each of them is sound."""
