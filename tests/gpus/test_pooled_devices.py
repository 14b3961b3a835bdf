"""Which nodes share a device: their asks add up, one device has room for all, and no request takes clearly longer."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.pipeline import plan_graph
from graphc.diagnostics import Sink
from graphc.gpus.ask import Count, GpuAsk, MemoryNeed, Share, SliceNeed
from graphc.gpus.pools import Gpus, Mode, Pool
from graphc.gpus.products import PRODUCTS
from graphc.gpus.together import NoRoom, Room, add_asks, find_room
from graphc.ir.graph import Resources
from graphc.ir.plan import Plan, Unit
from graphc.lower.options import Options
from in_process import SELDON, read_document

Json = dict[str, Any]

MODELS: Final = Path(__file__).parents[2] / "graphs/diabetes-route/models"


def pool(name: str, product: str, mode: Mode = "exclusive", **fields: object) -> Pool:
    gpus = Gpus(PRODUCTS[product], 4, mode, **fields)  # pyright: ignore[reportArgumentType]
    return Pool(name, 4, 64_000, 2**38, gpus)


WHOLE: Final = pool("whole", "A100-80GB")
HALVES: Final = pool("halves", "A100-80GB", "mps", replicas=2)
TURNS: Final = pool("turns", "A100-80GB", "time-slicing", replicas=2)
MIXED: Final = pool("mixed", "A100-80GB", "mig", slices={"1g.10gb": 4, "3g.40gb": 1})


# What asks amount to together


@pytest.mark.parametrize(
    ("amounts", "together"),
    [
        ([Share(Fraction(1, 4)), Share(Fraction(1, 2))], Share(Fraction(3, 4))),
        ([Share(Fraction(1, 2)), Share(Fraction(1, 2))], None),
        ([MemoryNeed(4096), MemoryNeed(2048)], MemoryNeed(6144)),
        ([Count(1), Count(1)], Count(1)),
        ([Count(1), Count(2)], None),
        ([Count(2)], None),
        ([SliceNeed("1g.10gb"), SliceNeed("1g.10gb")], SliceNeed("1g.10gb")),
        ([SliceNeed("1g.10gb"), SliceNeed("2g.20gb")], None),
        ([Share(Fraction(1, 4)), MemoryNeed(2048)], None),
    ],
    ids=str,
)
def test_asks_add_up(amounts: list[Any], together: object) -> None:
    found = add_asks([GpuAsk(amount) for amount in amounts])
    assert found == (None if together is None else GpuAsk(together))  # pyright: ignore[reportArgumentType]


def test_what_is_asked_for_differently_is_not_added() -> None:
    assert add_asks([GpuAsk(Count(1)), GpuAsk(Count(1), device="prefer-gpu")]) is None
    assert add_asks([GpuAsk(Count(1)), GpuAsk(Count(1), models=("H100",))]) is None


@pytest.mark.parametrize(
    ("amount", "need_mib", "where", "has_mib"),
    [
        (Count(1), 70_000, WHOLE, 81_920),
        (Count(1), 90_000, WHOLE, None),
        (MemoryNeed(20_000), 1000, HALVES, 40_960),
        (MemoryNeed(30_000), 1000, HALVES, None),
        (SliceNeed("1g.10gb"), 9000, MIXED, 9728),
        (SliceNeed("1g.10gb"), 9999, MIXED, None),
        # A slice of 3g for two of 1g would be more of the device than they have.
        (MemoryNeed(9000), 1000, MIXED, None),
        (Share(Fraction(1, 4)), 1000, HALVES, 40_960),
        (Share(Fraction(1, 3)), 1000, HALVES, None),
    ],
)
def test_room_on_one_device(amount: Any, need_mib: int, where: Pool, has_mib: int | None) -> None:
    found = find_room([GpuAsk(amount), GpuAsk(amount)], need_mib, is_known=True, pools=[where])
    assert (found.has_mib if isinstance(found, Room) else None) == has_mib


def test_what_takes_as_much_of_a_device_as_apart_will_do() -> None:
    gpus = Gpus(PRODUCTS["A100-80GB"], 1, "mig", slices={"1g.10gb": 3, "2g.20gb": 2})
    asks = [GpuAsk(MemoryNeed(9000)), GpuAsk(MemoryNeed(9000))]
    found = find_room(asks, 1000, is_known=True, pools=[Pool("parted", 1, 16_000, 65_536, gpus)])
    assert isinstance(found, Room)
    assert found.has_mib == PRODUCTS["A100-80GB"].slices["2g.20gb"].memory_mib


def test_memory_that_was_their_own_stays_so() -> None:
    asks = [GpuAsk(MemoryNeed(30_000)), GpuAsk(MemoryNeed(30_000))]
    found = find_room(asks, 1000, is_known=True, pools=[HALVES, TURNS])
    assert isinstance(found, NoRoom)
    assert "others could take the memory" in found.because
    alone = find_room(asks, 1000, is_known=True, pools=[TURNS])
    assert isinstance(alone, Room)


def test_whoever_asks_for_devices_without_a_size_shares_one_only_where_the_need_is_known() -> None:
    found = find_room([GpuAsk(Count(1)), GpuAsk(Count(1))], 1000, is_known=False, pools=[WHOLE])
    assert isinstance(found, NoRoom)
    assert "gpu_memory" in found.because


# What becomes of graphs


def model(name: str, gpu: object, reads: str = "x", **fields: Any) -> Json:
    resources = fields.pop("resources", {}) | {"gpu": gpu}
    return {"model": str(MODELS / f"{name}.onnx"), "in": {"X": reads}, "resources": resources} | fields


def mean(*reads: str) -> Json:
    return {"component": "mean", "in": list(reads)}


def plan_of(nodes: Json, pools: tuple[Pool, ...] | None = (HALVES,), level: int = 1, **fields: Any) -> Plan:
    head = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "pooled"}}
    body = {"inputs": {"x": "FP32[batch, 10]"}, "nodes": nodes, "outputs": {"y": list(nodes)[-1]}}
    graph = read_document(head | body | fields, Path())
    sink = Sink()
    plan = plan_graph(graph, Options(level, limits=SELDON, pools=pools), sink)
    assert plan, [each.message for each in sink]
    return plan


def units(plan: Plan) -> set[str]:
    """The nodes of each unit."""

    def names(unit: Unit) -> str:
        return " ".join(sorted({node.origin for node in unit.region.nodes}))

    return {names(unit) for unit in plan.root.walk()} - {""}


def why(plan: Plan, kind: str) -> str:
    return " ".join(each.because for each in plan.decisions if each.kind == kind)


APART: Final = {"a", "b", "m"}
NINE: Final[Json] = {"component": "select", "in": "x", "parameters": {"columns": list(range(9))}}
WIDE: Final[Json] = {"component": "concat", "in": ["a", "nine"]}
"""Ten columns, as the models take them, of which one is what a model answers."""


def test_an_ensemble_shares_a_device() -> None:
    wishes: tuple[Json, Json] = {"cpu": "1500m", "memory": "1Gi"}, {"cpu": 1, "memory": "512Mi"}
    plan = plan_of(
        {
            "a": model("heavy", "4Gi", resources=wishes[0]),
            "b": model("lean", "3Gi", resources=wishes[1]),
            "m": mean("a", "b"),
        }
    )
    assert units(plan) == {"a b m"}
    assert plan.root.region.placement.resources == Resources("2500m", "1536Mi", GpuAsk(MemoryNeed(7168)))
    assert "one device holds all of them" in why(plan, "pooled")
    assert "`m` beside the GPU" in why(plan, "fused")


def test_what_no_one_device_holds_is_pooled_as_far_as_one_does() -> None:
    nodes = {name: model("lean", "15Gi") for name in "abcde"}
    plan = plan_of(nodes | {"m": mean(*nodes)})
    assert sorted(len(set(names.split()) - {"m"}) for names in units(plan)) == [0, 1, 2, 2]
    assert {unit.name for unit in plan.root.walk() if len(unit.region.nodes) > 1} == {"gpu", "gpu-2"}


def test_whole_devices_are_shared_where_it_is_known_what_is_needed() -> None:
    def nodes(**fields: Any) -> Json:
        return {"a": model("heavy", 1, **fields), "b": model("lean", 1, **fields), "m": mean("a", "b")}

    assert units(plan_of(nodes(gpu_memory="20Gi"), (WHOLE,))) == {"a b m"}
    assert len(units(plan_of(nodes(gpu_memory="50Gi"), (WHOLE,)))) > 1
    unknown = plan_of(nodes(), (WHOLE,))
    assert len(units(unknown)) > 1
    assert "`b` shares no device with `a`" in why(unknown, "apart")


def test_a_device_that_is_exclusive_is_not_shared() -> None:
    gpu = {"amount": 1, "sharing": "exclusive"}
    nodes = {
        "a": model("heavy", gpu, gpu_memory="1Gi"),
        "b": model("lean", gpu, gpu_memory="1Gi"),
        "m": mean("a", "b"),
    }
    assert len(units(plan_of(nodes, (WHOLE,)))) > 1


def test_heavy_branches_stay_on_devices_of_their_own() -> None:
    nodes = {
        "a": model("heavy", "4Gi", cost_ms=100),
        "b": model("lean", "4Gi", cost_ms=100),
        "m": mean("a", "b"),
    }
    plan = plan_of(nodes)
    assert units(plan) == APART
    assert "one after another a request would take 208 ms, and it takes 112 ms" in why(plan, "apart")
    assert units(plan_of(nodes, placement="fused")) == {"a b m"}


def test_models_of_one_branch_are_pooled_and_those_beside_it_not() -> None:
    nodes = {
        "a": model("heavy", "4Gi", cost_ms=100),
        "nine": NINE,
        "c": WIDE,
        "b": model("lean", "4Gi", "c", cost_ms=100),
        "d": model("lean", "4Gi", cost_ms=200),
        "m": mean("b", "d"),
    }
    found = units(plan_of(nodes))
    assert any({"a", "b", "c"} <= set(names.split()) for names in found)
    assert any("d" in names.split() and "a" not in names.split() for names in found)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"replicas": 1}, {"replicas": 2}),
        ({"env": {"A": "1"}}, {}),
        ({"unit": "own"}, {}),
        ({"workers": 2}, {}),
    ],
    ids=str,
)
def test_containers_that_differ_are_not_pooled(first: Json, second: Json) -> None:
    nodes = {"a": model("heavy", "4Gi", **first), "b": model("lean", "4Gi", **second), "m": mean("a", "b")}
    assert not any("a" in names and "b" in names for names in units(plan_of(nodes)))


def test_what_runs_between_them_moves_in_unless_it_has_a_container() -> None:
    def nodes(**fields: Any) -> Json:
        return {"a": model("heavy", "4Gi"), "nine": NINE, "c": WIDE | fields, "b": model("lean", "4Gi", "c")}

    assert units(plan_of(nodes())) == {"a b c", "nine"}
    assert units(plan_of(nodes(replicas=2))) == {"a", "b", "c", "nine"}


def test_only_what_is_light_and_graphcs_own_moves_in_beside_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "steps.py").write_text("def same(y):\n    return y\n")
    monkeypatch.chdir(tmp_path)
    light = {"component": "clip", "in": "a", "parameters": {"low": 0}}
    assert units(plan_of({"a": model("heavy", 1), "m": light}, None)) == {"a m"}
    assert units(plan_of({"a": model("heavy", 1), "m": light | {"cost_ms": 20}}, None)) == {"a", "m"}
    python = {"python": "steps:same", "in": {"y": "a"}, "out": {"y": "FP32[batch, 1]"}}
    assert units(plan_of({"a": model("heavy", 1), "m": python}, None)) == {"a", "m"}
    other = {"model": str(MODELS / "lean.onnx"), "in": {"X": "x"}}
    assert units(plan_of({"a": model("heavy", 1), "b": other, "m": mean("a", "b")}, None)) >= {"b"}


def test_what_decides_who_runs_stays_outside() -> None:
    small: Json = {"model": str(MODELS / "lean.onnx"), "in": {"X": "x"}}
    pick: Json = {
        "router": "parameter",
        "name": "tier",
        "branches": [{"equals": "gold", "take": "a"}, {"take": "b"}],
    }
    nodes = {"a": model("heavy", 1), "b": small | {"replicas": 2}, "pick": pick}
    plan = plan_of(nodes, None)
    assert [unit.type for unit in plan.root.walk()].count("ROUTER") == 1
    assert "a" in units(plan)


@pytest.mark.parametrize(("level", "fields"), [(0, {}), (1, {"placement": "separate"})])
def test_where_every_node_is_a_unit_nothing_is_pooled(level: int, fields: Json) -> None:
    nodes = {"a": model("heavy", "4Gi"), "b": model("lean", "4Gi"), "m": mean("a", "b")}
    assert units(plan_of(nodes, level=level, **fields)) == APART


def test_nothing_is_pooled_on_a_cluster_that_is_not_known() -> None:
    nodes = {"a": model("heavy", 1, gpu_memory="1Gi"), "b": model("lean", 1, gpu_memory="1Gi")}
    plan = plan_of(nodes | {"m": mean("a", "b")}, None)
    assert not any("a" in names and "b" in names for names in units(plan))


def test_a_graph_that_asks_for_one_device_is_not_parted_over_several() -> None:
    nodes = {"a": model("heavy", 1, cost_ms=100), "b": model("lean", 1, cost_ms=100), "m": mean("a", "b")}
    for node in (nodes["a"], nodes["b"]):
        del node["resources"]
    assert units(plan_of(nodes)) == APART
    graph = {"resources": {"gpu": 1}}
    head = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "pooled"}}
    body = {"inputs": {"x": "FP32[batch, 10]"}, "nodes": nodes, "outputs": {"y": "m"}}
    given = Options(1, limits=SELDON, given=Resources(None, None, GpuAsk(Count(1))))
    plan = plan_graph(read_document(head | body | graph, Path()), given, Sink())
    assert plan
    assert units(plan) == {"a b m"}
    assert "the graph asks for 1 GPU" in why(plan, "pooled")


def test_many_models_are_planned_in_few_tries() -> None:
    nodes: Json = {f"n{index:03}": model("lean", "1Gi") for index in range(60)}
    tried: list[object] = []
    document = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "pooled"},
        "inputs": {"x": "FP32[batch, 10]"},
        "nodes": nodes | {"m": mean(*nodes)},
        "outputs": {"y": "m"},
    }
    options = Options(1, limits=SELDON, pools=(HALVES,), watch=tried.append)
    plan = plan_graph(read_document(document, Path()), options, Sink())
    assert plan
    # One after another they take longer, a quarter at most.
    assert max(len(names.split()) for names in units(plan)) > 6
    assert len(tried) < 1000
