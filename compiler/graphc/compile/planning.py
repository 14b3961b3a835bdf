"""A version of a graph on its way to its plan: what is known of it, and the steps that find it.

A step gives a pass what it takes, and keeps what it returns. No step asks for what no earlier one has found.
"""

from dataclasses import dataclass, field

from graphc.diagnostics import Sink
from graphc.ir.graph import Graph
from graphc.ir.plan import Costs, Plan
from graphc.lower.check_batches import check_batches
from graphc.lower.check_deadline import check_deadline
from graphc.lower.check_depth import check_depth
from graphc.lower.check_merging import check_merging
from graphc.lower.check_quorums import check_quorums
from graphc.lower.check_rows import check_rows
from graphc.lower.check_streams import check_streams
from graphc.lower.check_units import check_units
from graphc.lower.choose import Choice, TooDeep, choose_plan
from graphc.lower.conditions import lower_conditions
from graphc.lower.costs import estimate_costs
from graphc.lower.decide import complete_plan
from graphc.lower.fallbacks import lower_fallbacks
from graphc.lower.name_root import name_root
from graphc.lower.options import Options
from graphc.lower.partition import Entangled, Groups, partition_nodes
from graphc.lower.share_gpus import Planned, share_gpus
from graphc.lower.spare_devices import spare_devices
from graphc.lower.trim import trim_outputs


@dataclass(slots=True)
class Planning:
    """What is known of the version."""

    graph: Graph
    """As it was checked."""
    options: Options
    straight: Graph = field(init=False)
    """Without what the passes turn into other nodes."""
    groups: Groups | Entangled = field(init=False)
    costs: Costs = field(init=False)
    choice: Choice | TooDeep = field(init=False)
    planned: Planned = field(init=False)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.straight = self.graph

    def check_rows(self, sink: Sink) -> None:
        check_rows(self.graph, sink)

    def check_deadline(self, sink: Sink) -> None:
        check_deadline(self.graph, sink)

    def check_streams(self, sink: Sink) -> None:
        check_streams(self.graph, sink)

    def lower_fallbacks(self) -> None:
        self._rewrite(lower_fallbacks(self.straight))

    def lower_conditions(self) -> None:
        self._rewrite(lower_conditions(self.straight))

    def trim_outputs(self) -> None:
        self._rewrite(trim_outputs(self.straight))

    def partition_nodes(self) -> None:
        self.groups = partition_nodes(self.straight, self.options)

    def check_units(self, sink: Sink) -> None:
        if isinstance(self.groups, Entangled):
            check_units(self.straight, self.groups, sink)

    def estimate_costs(self) -> None:
        self.costs = estimate_costs(self.graph, self.straight, self.options)

    def choose_plan(self) -> None:
        assert not isinstance(self.groups, Entangled)
        self.choice = choose_plan(self.straight, self.groups, self.costs, self.options)

    def check_depth(self, sink: Sink) -> None:
        if isinstance(self.choice, TooDeep):
            check_depth(self.graph, self.choice, self.options, sink)

    def share_gpus(self) -> None:
        assert not isinstance(self.choice, TooDeep)
        self.planned = share_gpus(self.straight, self.choice, self.costs, self.options)

    def complete_plan(self) -> None:
        self.plan = complete_plan(self.planned, self.costs, self.options)

    def name_root(self) -> None:
        self.plan = name_root(self.plan)

    def spare_devices(self) -> None:
        self.plan = spare_devices(self.plan, self.options.given)

    def check_quorums(self, sink: Sink) -> None:
        check_quorums(self.plan, self.graph, sink)

    def check_batches(self, sink: Sink) -> None:
        check_batches(self.plan, self.graph, sink)

    def check_merging(self, sink: Sink) -> None:
        if self.options.level > 1:
            check_merging(sink)

    def merge_onnx(self) -> None:
        if self.options.level > 1:
            # onnx and numpy take long to import, and only this level needs them.
            from graphc.lower.merge_onnx import merge_onnx

            self.plan = merge_onnx(self.plan, self.options)
        self.options.watch(self.plan)

    def _rewrite(self, graph: Graph) -> None:
        self.straight = graph
        self.options.watch(graph)
