"""A version of a graph on its way from its spec to a typed graph: what is known of it, and the steps that find it.

A step gives a pass what it takes, and keeps what it returns. No step asks for what no earlier one has found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphc.artefacts.read_signature import Signatures
from graphc.diagnostics import Sink
from graphc.frontend.assemble import assemble_graph
from graphc.frontend.check_classes import check_classes
from graphc.frontend.check_decisions import check_decisions
from graphc.frontend.check_flow import check_circles, check_needed
from graphc.frontend.check_known import check_known
from graphc.frontend.check_names import check_names
from graphc.frontend.check_placement import check_placement
from graphc.frontend.check_policies import check_policies
from graphc.frontend.check_references import check_references
from graphc.frontend.check_types import check_types
from graphc.frontend.draft import Draft
from graphc.frontend.draft_nodes import draft_graph
from graphc.frontend.infer import Inferred, infer_types
from graphc.frontend.order_nodes import Circles, find_needed_nodes, order_nodes
from graphc.frontend.read_requirements import read_requirements
from graphc.frontend.resolve import Resolved, resolve_references
from graphc.frontend.rows import decide_rows
from graphc.ir.graph import Graph, Per
from graphc.ir.limits import Limits
from graphc.packages.requirements import Requirements
from graphc.spec.read_spec import GraphSpec


@dataclass(slots=True)
class Reading:
    """What is known of the version."""

    spec: GraphSpec
    folder: Path
    """What local files lie beside."""
    signatures: Signatures
    limits: Limits
    requirements: Requirements = field(init=False)
    draft: Draft = field(init=False)
    resolved: Resolved = field(init=False)
    order: Sequence[str] | Circles = field(init=False)
    needed: set[str] = field(init=False)
    inferred: Inferred = field(init=False)
    decisions: Mapping[str, Per] = field(init=False)
    graph: Graph | None = None

    def read_requirements(self, sink: Sink) -> None:
        self.requirements = read_requirements(self.spec, self.folder, sink)

    def check_names(self, sink: Sink) -> None:
        check_names(self.spec, self.limits, sink)

    def check_placement(self, sink: Sink) -> None:
        check_placement(self.spec, sink)

    def draft_nodes(self, sink: Sink) -> None:
        self.draft = draft_graph(self.spec, self.folder, self.signatures, self.requirements, sink)

    def resolve_references(self) -> None:
        self.resolved = resolve_references(self.draft)

    def check_references(self, sink: Sink) -> None:
        check_references(self.draft, self.resolved, sink)

    def order_nodes(self) -> None:
        self.order = order_nodes(self.draft, self.resolved)

    def check_circles(self, sink: Sink) -> None:
        if isinstance(self.order, Circles):
            check_circles(self.draft, self.order, sink)

    def find_needed(self) -> None:
        self.needed = find_needed_nodes(self.draft, self.resolved)

    def check_needed(self, sink: Sink) -> None:
        check_needed(self.draft, self.resolved, self.needed, sink)

    def infer_types(self) -> None:
        self.inferred = infer_types(self.draft, self.resolved, self._ordered)

    def check_types(self, sink: Sink) -> None:
        check_types(self.draft, self.resolved, self._ordered, self.inferred, sink)

    def check_classes(self, sink: Sink) -> None:
        check_classes(self.draft, self.inferred, sink)

    def check_policies(self, sink: Sink) -> None:
        check_policies(self.draft, self.resolved, self.inferred, sink)

    def decide_rows(self) -> None:
        self.decisions = decide_rows(self.draft, self.inferred)

    def check_decisions(self, sink: Sink) -> None:
        check_decisions(self.draft, self.inferred, sink)

    def check_known(self, sink: Sink) -> None:
        check_known(self.resolved, self.inferred, self._kept, sink)

    def assemble_graph(self) -> None:
        self.graph = assemble_graph(self.draft, self.resolved, self.inferred, self.decisions, self._kept)

    @property
    def _ordered(self) -> Sequence[str]:
        """The nodes in an order in which they can run; stages that ask for it begin where there is one."""
        assert not isinstance(self.order, Circles)
        return self.order

    @property
    def _kept(self) -> list[str]:
        """Those of them that an output needs."""
        return [name for name in self._ordered if name in self.needed]


def ordered(reading: Reading, _sink: Sink) -> bool:
    """Let a stage begin where there is an order in which the nodes can run, whatever else is wrong."""
    return not isinstance(reading.order, Circles)
