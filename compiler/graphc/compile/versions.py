"""A graph's versions, each read and planned: the graph with a predictor's own changes."""

from collections.abc import Iterable, Mapping

from graphc.diagnostics import Diagnostic, Sink
from graphc.ir.graph import Graph
from graphc.ir.plan import Plan
from graphc.packages.requirements import Requirements
from graphc.records import record
from graphc.spec.read_spec import GraphSpec


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
    def graphs(self) -> Mapping[str, Graph]:
        """Return the typed graphs by predictor."""
        return {name: version.graph for name, version in self.each.items()}

    @property
    def plans(self) -> Mapping[str, Plan]:
        """Return the plans by predictor."""
        return {name: version.plan for name, version in self.each.items()}


def pass_on(found: Iterable[Diagnostic], sink: Sink) -> None:
    """Report all of what was found."""
    for diagnostic in found:
        sink.report(diagnostic)
