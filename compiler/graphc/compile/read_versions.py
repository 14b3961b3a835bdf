"""Reads the versions of a graph: its document with a predictor's own changes, each with its own problems."""

from collections.abc import Sequence

from graphc.compile.compiling import Compiling
from graphc.compile.request import Request
from graphc.compile.versions import pass_on
from graphc.diagnostics import Sink
from graphc.diagnostics.codes.flow import DEAD_NODE, UNUSED_INPUT
from graphc.frontend.predictors import overlay, predictors_of, set_parameters
from graphc.source.located import Fields, Located
from graphc.source.parameters import substitute
from graphc.spec.read_spec import GraphSpec, read_graph_spec


def read_version(work: Compiling, predictor: str, sink: Sink) -> GraphSpec | None:
    """Read a version; of a sound document, one that changes nothing is not read again."""
    spec = work.spec
    root = overlay(_with_parameters(spec, work.document, predictor, work.request, sink), predictor)
    return spec if root is spec.root and work.is_sound else read_graph_spec(root, sink)


def _with_parameters(
    spec: GraphSpec, document: Located, predictor: str, request: Request, sink: Sink
) -> Fields:
    """Return the document with a predictor's own values of the parameters; they win over all others."""
    values = predictors_of(spec)[predictor].parameters
    if not values or not isinstance(document, Fields):
        return spec.root
    own = Sink()
    settings = {name: value for name, value in request.settings.items() if name not in values}
    root = substitute(set_parameters(document, predictor), settings, request.environ, own)
    pass_on((each for each in own if each.at is not None), sink)
    return spec.root if own.has_errors else root


def pass_on_versions(sinks: Sequence[Sink], sink: Sink) -> None:
    """Report what was found in any version; what is unused is so only where no version uses it."""
    common = set(sinks[0]).intersection(*sinks[1:])
    for found in sinks:
        pass_on(
            (each for each in found if each.rule not in {DEAD_NODE, UNUSED_INPUT} or each in common), sink
        )
