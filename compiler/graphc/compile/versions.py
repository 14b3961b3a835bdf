"""Reads each version of a graph, and plans it: the graph with a predictor's own changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from graphc.compile.request import Request
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import DEAD_NODE, UNUSED_INPUT
from graphc.frontend.assemble import resources_of
from graphc.frontend.predictors import overlay, predictors_of, set_parameters
from graphc.frontend.read import read_graph
from graphc.frontend.read_requirements import read_requirements
from graphc.ir.graph import Graph
from graphc.ir.plan import Plan
from graphc.lower.options import Options
from graphc.lower.plan_graph import plan_graph
from graphc.packages.requirements import Requirements
from graphc.records import record
from graphc.source.located import Fields, Located
from graphc.source.parameters import substitute
from graphc.spec.read import GraphSpec, read_graph_spec
from graphc.targets.find import find_target


@record
class CheckedVersion:
    """A predictor's own document, graph and plan."""

    spec: GraphSpec
    graph: Graph
    plan: Plan
    requirements: Requirements


@record
class Versions:
    """A graph's document, and by predictor what was read and planned of it: nothing of one that is not sound."""

    spec: GraphSpec
    each: Mapping[str, CheckedVersion]

    @property
    def plans(self) -> Mapping[str, Plan]:
        """Return the plans by predictor."""
        return {name: version.plan for name, version in self.each.items()}


def read_versions(
    spec: GraphSpec, document: Located, folder: Path, request: Request, sink: Sink, *, is_sound: bool
) -> Versions:
    """Read all versions of a graph; of a sound document, one that changes nothing is not read again."""
    limits = find_target(request.target_name).find_limits(request.cluster, request.purpose)
    room = None if spec.fields.artifacts else limits.files
    options = replace(request.options, room=room, limits=limits, pools=request.cluster.pools)
    checked: dict[str, CheckedVersion] = {}
    sinks: list[Sink] = []
    for name in predictors_of(spec):
        found = Sink()
        root = overlay(_with_parameters(spec, document, name, request, found), name)
        # Most versions change nothing: what was read and found sound is not read again.
        version = spec if root is spec.root and is_sound else read_graph_spec(root, found)
        required = read_requirements(version, folder, found) if version else Requirements()
        graph = read_graph(version, folder, found, request.signatures, required, limits) if version else None
        plan = plan_graph(graph, _options_of(version, options), found) if version and graph else None
        if version and graph and plan:
            checked[name] = CheckedVersion(version, graph, plan, required)
        sinks.append(found)
    _pass_on_versions(sinks, sink)
    return Versions(spec, checked)


def _options_of(version: GraphSpec, options: Options) -> Options:
    """Return the options with what a version gives to units that say nothing themselves."""
    fields = version.fields
    return replace(options, given=resources_of(fields.resources), workers=fields.workers or 1)


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


def pass_on(found: Iterable[Diagnostic], sink: Sink) -> None:
    """Report all of what was found."""
    for diagnostic in found:
        sink.report(diagnostic)


def _pass_on_versions(sinks: Sequence[Sink], sink: Sink) -> None:
    """Report what was found in any version; what is unused is so only where no version uses it."""
    common = set(sinks[0]).intersection(*sinks[1:])
    for found in sinks:
        pass_on(
            (each for each in found if each.rule not in {DEAD_NODE, UNUSED_INPUT} or each in common), sink
        )
