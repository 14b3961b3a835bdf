"""Which plan is chosen at -O1: heavy branches side by side, light nodes together, and what the file asks for."""

import random
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.pipeline import plan_graph
from graphc.diagnostics import Sink
from graphc.gpus.ask import Count, GpuAsk
from graphc.ir.graph import Placement, Resources
from graphc.ir.plan import Plan, Region, Unit
from graphc.lower.costs import MODEL, estimate_costs
from graphc.lower.options import Options
from graphc.lower.schedule import Branching
from graphc.lower.shorten import shorten
from graphc.lower.spare_devices import spare_devices
from in_process import SELDON, lower, read_document

Json = dict[str, Any]

SOFTMAX: Final = {"component": "softmax"}


def graph(nodes: Json, **fields: Any) -> Json:
    """A graph file whose output is the last node."""
    head = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "chosen"}}
    body = {"inputs": {"x": "FP32[batch, 8]"}, "nodes": nodes, "outputs": {"y": list(nodes)[-1]}}
    return head | body | fields


def node(reads: str, cost_ms: float, **fields: Any) -> Json:
    return SOFTMAX | {"in": reads, "cost_ms": cost_ms} | fields


def mean(*reads: str, **fields: Any) -> Json:
    return {"component": "mean", "in": list(reads)} | fields


def plan_of(document: Json, level: int = 1) -> Plan:
    plan = lower(read_document(document, Path()), level)
    assert isinstance(plan, Plan), plan
    return plan


def shape(unit: Unit) -> Any:
    """A unit as its nodes, with its children below it."""
    names = " ".join(dict.fromkeys(node.origin for node in unit.region.nodes))
    return (unit.type, names, *(shape(child) for child in unit.children))


def entered(*unit: Any) -> Any:
    """What stands above a fork that would be the first thing to read a request."""
    return ("MODEL", "", unit)


def kinds(plan: Plan) -> list[str]:
    return [decision.kind for decision in plan.decisions]


def ms(plan: Plan) -> float:
    assert plan.prediction is not None
    return plan.prediction.ms


def test_heavy_branches_run_side_by_side() -> None:
    plan = plan_of(graph({"a": node("x", 40), "b": node("x", 50), "m": mean("a", "b")}))
    assert shape(plan.root) == entered("COMBINER", "m", ("MODEL", "b"), ("MODEL", "a"))
    assert kinds(plan) == ["parallel", "entrance"]
    # Three hops one after another, the longer branch, and the mean.
    assert ms(plan) == pytest.approx(3 * MODEL.hop + 50 + 0.05, abs=0.1)


def test_light_branches_run_together() -> None:
    plan = plan_of(graph({"a": node("x", 4), "b": node("x", 5), "m": mean("a", "b")}))
    assert shape(plan.root) == ("MODEL", "a b m")
    assert kinds(plan) == ["fused"]


def test_one_heavy_branch_is_no_reason() -> None:
    plan = plan_of(graph({"a": node("x", 90), "b": node("x", 1), "m": mean("a", "b")}))
    assert shape(plan.root) == ("MODEL", "a b m")


def test_a_guess_is_no_reason_for_more_containers() -> None:
    remote = {"model": "s3://models/a.onnx", "in": {"X": "x"}, "out": {"y": "FP32[batch, 3]"}}
    plan = plan_of(graph({"a": remote, "b": remote, "c": remote, "m": mean("a", "b", "c")}))
    assert shape(plan.root) == ("MODEL", "a b c m")
    known = {name: remote | {"cost_ms": 15} for name in "abc"}
    assert len(plan_of(graph(known | {"m": mean("a", "b", "c")})).root.children[0].children) == 3


def test_a_gain_has_to_be_clear() -> None:
    plan = plan_of(graph({"a": node("x", 6), "b": node("x", 6), "m": mean("a", "b")}))
    assert shape(plan.root) == ("MODEL", "a b m")
    (decision,) = plan.decisions
    assert "18.1 ms instead of 16.1 ms, which is not clearly less" in decision.because


def test_a_chain_stays_together() -> None:
    plan = plan_of(graph({"a": node("x", 90), "b": node("a", 90), "c": node("b", 90)}))
    assert shape(plan.root) == ("MODEL", "a b c")


def test_a_branch_takes_along_what_only_it_needs() -> None:
    nodes = {"pa": node("x", 2), "a": node("pa", 60), "sa": node("a", 3), "b": node("x", 60)}
    plan = plan_of(graph(nodes | {"m": mean("sa", "b")}))
    assert shape(plan.root) == entered("COMBINER", "m", ("MODEL", "pa a sa"), ("MODEL", "b"))


def test_what_several_branches_need_runs_before() -> None:
    nodes = {"p": node("x", 1), "a": node("p", 60), "b": node("p", 60), "m": mean("a", "b")}
    plan = plan_of(graph(nodes))
    assert shape(plan.root) == ("MODEL", "p", ("COMBINER", "m", ("MODEL", "a"), ("MODEL", "b")))


def test_light_work_beside_heavy_branches_joins_the_shorter() -> None:
    nodes = {"a": node("x", 80), "b": node("x", 60), "c": node("x", 5), "m": mean("a", "b", "c")}
    plan = plan_of(graph(nodes))
    assert shape(plan.root) == entered("COMBINER", "m", ("MODEL", "a"), ("MODEL", "b c"))


def test_a_wide_graph_gets_no_more_units_than_eight_branches() -> None:
    nodes: Json = {f"n{index:02}": node("x", 20 + index) for index in range(20)}
    plan = plan_of(graph(nodes | {"m": mean(*nodes)}))
    assert len(plan.root.children[0].children) == 8


@pytest.mark.parametrize(("first", "second"), [(60, 200), (200, 60)])
def test_of_forks_in_sequence_the_heavier_one_runs_side_by_side(first: float, second: float) -> None:
    nodes = {"a": node("x", first), "b": node("x", first), "j": mean("a", "b")}
    nodes |= {"c": node("j", second), "d": node("j", second), "k": mean("c", "d")}
    plan = plan_of(graph(nodes))
    (combiner,) = (unit for unit in plan.root.walk() if unit.type == "COMBINER")
    names = {node.origin for child in combiner.children for node in child.region.nodes}
    assert names == ({"c", "d"} if second > first else {"a", "b"})
    assert ms(plan) < 200 + 2 * 60 + 4 * 8


@pytest.mark.parametrize(("first", "second"), [(60, 200), (200, 60)])
def test_of_forks_of_placed_nodes_the_heavier_one_runs_side_by_side(first: float, second: float) -> None:
    alone = {"resources": {"cpu": 1}}
    nodes = {"a": node("x", first, **alone), "b": node("x", first, **alone), "j": mean("a", "b", **alone)}
    nodes |= {"c": node("j", second, **alone), "d": node("j", second, **alone), "k": mean("c", "d", **alone)}
    plan = plan_of(graph(nodes))
    (combiner,) = (unit for unit in plan.root.walk() if unit.type == "COMBINER")
    assert combiner.region.name == ("k" if second > first else "j")


@pytest.mark.parametrize(
    "wish",
    [
        {"resources": {"cpu": 1}},
        {"replicas": 2},
        {"autoscaling": {"max": 3}},
        {"env": {"LIMIT": "1"}},
        {"unit": "own"},
    ],
)
def test_what_asks_for_a_container_is_never_fused(wish: Json) -> None:
    nodes = {"a": node("x", 0.01), "b": node("a", 0.01, **wish), "c": node("b", 0.01)}
    plan = plan_of(graph(nodes))
    assert [len(unit.region.nodes) for unit in plan.root.walk()] == [1, 1, 1]
    assert kinds(plan) == ["apart"]


def test_what_a_placed_node_does_not_wait_for_runs_beside_it() -> None:
    nodes = {"p": node("x", 1), "a": node("p", 60), "own": node("p", 60, replicas=2), "m": mean("a", "own")}
    plan = plan_of(graph(nodes))
    assert shape(plan.root) == ("MODEL", "p", ("COMBINER", "m", ("MODEL", "own"), ("MODEL", "a")))
    assert kinds(plan) == ["parallel", "apart"]


def test_placement_fused() -> None:
    nodes = {"a": node("x", 90), "b": node("x", 90), "m": mean("a", "b")}
    plan = plan_of(graph(nodes, placement="fused"))
    assert shape(plan.root) == ("MODEL", "a b m")
    assert kinds(plan) == ["forced"]


def test_placement_separate() -> None:
    nodes = {"a": node("x", 0.1), "b": node("x", 0.1), "m": mean("a", "b")}
    plan = plan_of(graph(nodes, placement="separate"))
    assert shape(plan.root) == entered("COMBINER", "m", ("MODEL", "a"), ("MODEL", "b"))
    assert kinds(plan) == ["forced", "entrance"]


def test_placement_by_node_is_the_units_of_the_nodes() -> None:
    nodes = {"a": node("x", 0.1), "b": node("x", 0.1), "m": mean("a", "b")}
    by_graph = plan_of(graph(nodes, placement={"a": "one", "m": "two"}))
    nodes |= {"a": node("x", 0.1, unit="one"), "m": mean("a", "b", unit="two")}
    assert shape(by_graph.root) == shape(plan_of(graph(nodes)).root)
    assert [unit.name for unit in by_graph.root.walk()] == ["chosen", "two", "b", "one"]


def chain(length: int, **fields: Any) -> Json:
    return graph(
        {f"n{index:02}": node(f"n{index - 1:02}" if index else "x", 1) for index in range(length)}, **fields
    )


@pytest.mark.parametrize(("length", "refused"), [(10, False), (11, True), (3_000, True)])
def test_a_long_chain_of_units_is_refused(length: int, refused: bool) -> None:
    for document, level in ((chain(length), 0), (chain(length, placement="separate"), 1)):
        plan = lower(read_document(document, Path()), level)
        assert plan == ["GC304"] if refused else isinstance(plan, Plan)


def test_units_are_joined_to_fit_ten_levels_the_lightest_first() -> None:
    weights = [9, 8, 7, 1, 2, 9, 9, 9, 0.5, 5, 9, 9]
    nodes = {
        f"n{index:02}": node(f"n{index - 1:02}" if index else "x", ms) for index, ms in enumerate(weights)
    }
    read = read_document(graph(nodes), Path())
    tree: Branching | None = None
    for each in reversed(read.nodes):
        tree = Branching("MODEL", Region(each.name, (each,), Placement()), [tree] if tree else [])
    assert tree is not None
    short = shorten(tree, estimate_costs(read, read, Options()), 10)
    joined: list[list[str]] = []
    while True:
        joined.append([each.name for each in short.region.nodes])
        if not short.children:
            break
        (short,) = short.children
    assert len(joined) == 10
    assert [names for names in joined if len(names) > 1] == [["n03", "n04"], ["n08", "n09"]]


def test_measured_costs_win_over_declared_ones() -> None:
    read = read_document(graph({"a": node("x", 40), "b": node("x", 50), "m": mean("a", "b")}), Path())
    measured = {"chosen": {"a": 0.1, "b": 0.1}}
    plan = plan_graph(read, Options(measured=measured, limits=SELDON), Sink())
    assert plan is not None
    assert shape(plan.root) == ("MODEL", "a b m")


def test_a_large_batch_makes_hops_costly() -> None:
    read = read_document(graph({"a": node("x", 40), "b": node("x", 50), "m": mean("a", "b")}), Path())
    plans = [plan_graph(read, Options(batch=batch, limits=SELDON), Sink()) for batch in (1, 20_000)]
    assert [plan and plan.root.depth for plan in plans] == [3, 1]


def test_the_order_in_the_file_changes_nothing() -> None:
    nodes = {
        "p": node("x", 1),
        "a": node("p", 60),
        "b": node("p", 60),
        "c": node("p", 60),
        "d": node("a", 30),
    }
    nodes |= {"m": mean("b", "c", "d"), "u": node("m", 50), "v": node("m", 50), "w": mean("u", "v")}
    first = plan_of(graph(nodes))
    drawn = random.Random(7)
    for _ in range(5):
        names = list(nodes)
        drawn.shuffle(names)
        document = graph({name: nodes[name] for name in names}, outputs={"y": "w"})
        again = plan_of(document)
        assert shape(again.root) == shape(first.root)
        assert again.decisions == first.decisions
        assert again.prediction == first.prediction


def test_what_only_passes_messages_on_gets_no_device() -> None:
    own = {"resources": {"cpu": 1}}
    nodes = {"a": node("x", 1, **own), "b": node("x", 1, **own), "m": mean("a", "b", **own)}
    given = Resources(memory="1Gi", gpu=GpuAsk(Count(1)))
    root = spare_devices(plan_of(graph(nodes)), given).root
    assert [len(unit.region.nodes) for unit in root.walk()] == [0, 1, 1, 1]
    assert root.region.placement.resources == Resources(memory="1Gi")
    assert [unit.region.placement.resources for unit in root.children[0].walk()] == 3 * [Resources(cpu="1")]
