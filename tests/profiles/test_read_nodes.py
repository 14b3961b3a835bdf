"""A profile that is read off nodes says what the profile says that the nodes were made of."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from generated_clusters import draw_worlds, judge
from graphc.cli import main
from graphc.cluster.daemons import leave_daemons
from graphc.cluster.node_gpus import Unclear, choose_labels, find_gpus
from graphc.cluster.survey import describe_pools
from graphc.diagnostics import Sink
from graphc.documents import write_yaml
from graphc.gpus.pools import Gpus, Pool
from graphc.gpus.products import PRODUCTS
from graphc.ir.graph import Value
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import find_profile, read_profile, shipped_profiles
from graphc.source.files import Source
from graphc.unchecked import Data, copy_fields, fields, objects, texts
from made_up_nodes import nodes_of
from operator_pods import pods_of as deployments_of

CASES: Final = Path(__file__).parents[1] / "gpus" / "cases"
MANY: Final = 60


def read(text: str) -> Profile:
    sink = Sink()
    found = read_profile(Source("found.yaml", text), sink)
    assert found is not None, ([each.message for each in sink], text)
    return found


def pools_of(name: str) -> tuple[Pool, ...]:
    source = find_profile(name, Sink())
    assert source is not None
    return read(source.text).pools or ()


def write(pools: Sequence[Pool], runtime_class: str | None = "nvidia") -> str:
    """The profile that is read off the pools' nodes; everything has to be clear."""
    notes: list[str] = []
    found = describe_pools(nodes_of(pools), runtime_class, notes)
    assert notes == []
    document: Data = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": "found"}}
    return write_yaml([document | {"pools": list[Value](found)}])


def compiled(profile: str, graph: str) -> str:
    done = CliRunner().invoke(main, ["compile", "--profile", profile, str(CASES / graph)])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return done.stdout


SHIPPED: Final = [(name, "anywhere.yaml") for name in shipped_profiles() if pools_of(name)]


@pytest.mark.parametrize(("name", "graph"), [*SHIPPED, (str(CASES / "choices.profile"), "choices.yaml")])
def test_manifests_are_the_same(name: str, graph: str, tmp_path: Path) -> None:
    path = tmp_path / "found.yaml"
    if name.endswith("choices.profile"):
        # Its large pool has the RuntimeClass, and its others have not: a cluster has one for all that have GPUs.
        pools = [replace(pool, runtime_class="nvidia" if pool.gpus else None) for pool in pools_of(name)]
        path.write_text(write(pools))
        text = Path(name).read_text().replace("    runtime_class: nvidia\n", "")
        text = text.replace("    gpus:", "    runtime_class: nvidia\n    gpus:")
        name = str(tmp_path / "wanted.yaml")
        Path(name).write_text(text)
    else:
        path.write_text(write(pools_of(name)))
    assert compiled(str(path), graph) == compiled(name, graph)


def test_generated_clusters_get_the_same_pods_and_have_the_same_room(tmp_path: Path) -> None:
    compared = 0
    for world in islice(draw_worlds(3), MANY):
        bare = replace(
            world, profile=world.profile | {"pools": [without_class(it) for it in world.profile["pools"]]}
        )
        judged = judge(bare, tmp_path)
        if judged is None:
            continue
        pools = describe_pools(nodes_of(judged.pools), None, [])
        found = judge(replace(world, profile=world.profile | {"pools": pools}), tmp_path)
        assert found is not None, str(world)
        assert {kind_of(pool) for pool in found.pools} == {kind_of(pool) for pool in judged.pools}
        assert sum(pool.nodes for pool in found.pools) == sum(pool.nodes for pool in judged.pools)
        assert found.fit.verdict == judged.fit.verdict, str(world)
        assert list(map(pods_without_affinity, found.deployments)) == list(
            map(pods_without_affinity, judged.deployments)
        )
        compared += 1
    assert compared > MANY * 0.8


def without_class(pool: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in pool.items() if name != "runtime_class"}


def pods_without_affinity(deployment: Data) -> list[Data]:
    """The pods, but for the labels by which pools are told apart."""
    return [
        {name: value for name, value in pods.spec.items() if name != "affinity"}
        for pods in deployments_of(deployment)
    ]


def kind_of(pool: Pool) -> str:
    """What makes a pool's nodes what they are; two pools may have the same."""
    return str((pool.cpu_m, pool.memory, pool.pods, pool.gpus, sorted(map(str, pool.taints))))


def a_node(gpus: Gpus | None = None) -> Data:
    (node,) = nodes_of([Pool("a", 1, 4000, 2**34, gpus)])
    return node


def changed(node: Data, labels: Data | None = None, allocatable: Data | None = None) -> Data:
    found = copy_fields(node)
    for part, more in (
        (fields(found, "metadata", "labels"), labels),
        (fields(found, "status", "allocatable"), allocatable),
    ):
        for name, value in (more or {}).items():
            part.pop(name) if value is None else part.update({name: value})
    return found


L4: Final = Gpus(PRODUCTS["L4"], 2)
MPS: Final = Gpus(PRODUCTS["L4"], 2, "mps", replicas=4)
MIXED: Final = Gpus(PRODUCTS["A100-40GB"], 2, "mig", slices={"1g.5gb": 7})
SINGLE: Final = replace(MIXED, strategy="single")
PRODUCT: Final = "nvidia.com/gpu.product"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (changed(a_node(L4), {PRODUCT: None}), "no label says of which product"),
        (
            changed(a_node(L4), {PRODUCT: "Newest", "nvidia.com/gpu.memory": None}),
            "no label says how much memory",
        ),
        (changed(a_node(MPS), {"nvidia.com/gpu.sharing-strategy": "odd"}), "its labels do not say how"),
        (changed(a_node(MPS), {"nvidia.com/gpu.replicas": "0"}), "its labels do not say how"),
        (changed(a_node(MIXED), None, {"nvidia.com/gpu": "1"}), "whole GPUs beside slices"),
        (
            changed(a_node(MIXED), None, {"nvidia.com/mig-1g.5gb": "13"}),
            "is not on each of its devices alike",
        ),
        (changed(a_node(MIXED), None, {"nvidia.com/mig-odd": "2"}), "is no slice that graphc knows"),
        (changed(a_node(MIXED), {PRODUCT: "Newest"}), "is no slice that graphc knows"),
        (
            changed(a_node(SINGLE), {PRODUCT: "NVIDIA-A100-SXM4-40GB-MIG-INVALID"}),
            "which graphc does not know",
        ),
    ],
)
def test_what_is_unclear_is_said(node: Data, reason: str) -> None:
    found = find_gpus(node)
    assert isinstance(found, Unclear)
    assert reason in found.reason
    notes: list[str] = []
    (pool,) = describe_pools([node], None, notes)
    assert "gpus" not in pool
    assert notes == [f"The node `a-0` {found.reason}: it is counted without them."]


@pytest.mark.parametrize(
    ("node", "gpus"),
    [
        (a_node(), None),
        (changed(a_node(L4), None, {"nvidia.com/gpu": "0"}), None),
        (changed(a_node(L4), None, {"nvidia.com/gpu": "1"}), {"product": "L4", "count": 1}),
        (
            changed(a_node(L4), {PRODUCT: "NVIDIA-L40", "nvidia.com/gpu.memory": "46068"}),
            {"product": "NVIDIA-L40", "memory": "46068Mi", "count": 2},
        ),
        (changed(a_node(L4), {PRODUCT: "NVIDIA-L4-PRO"}), {"product": "L4", "count": 2}),
        (
            # One device of two is not healthy.
            changed(a_node(MPS), None, {"nvidia.com/gpu.shared": "4"}),
            {"product": "L4", "count": 1, "sharing": "mps", "replicas": 4},
        ),
        (
            changed(a_node(SINGLE), None, {"nvidia.com/gpu": "10"}),
            {
                "product": "A100-40GB",
                "count": 2,
                "sharing": "mig",
                "mig": {"strategy": "single", "slices": {"1g.5gb": 5}},
            },
        ),
    ],
)
def test_gpus_of_a_node(node: Data, gpus: Data | None) -> None:
    assert find_gpus(node) == gpus


def test_extended_slices_of_the_single_strategy() -> None:
    gpus = Gpus(PRODUCTS["H100-80GB"], 2, "mig", strategy="single", slices={"1g.10gb.me": 1})
    found = find_gpus(a_node(gpus))
    assert isinstance(found, dict)
    assert found["mig"] == {"strategy": "single", "slices": {"1g.10gb.me": 1}}


def sized(name: str, memory: int) -> Data:
    (node,) = nodes_of([Pool(name, 1, 4000, memory)])
    return node


def test_nodes_of_nearly_the_same_memory_are_one_pool() -> None:
    found = describe_pools([sized("b", 16_100_000), sized("a", 16_000_000), sized("c", 17_000_000)], None, [])
    assert [(pool["name"], pool["nodes"], pool["memory"]) for pool in found] == [
        ("processors", 2, "16000000"),
        ("processors-2", 1, "17000000"),
    ]


def test_cordoned_nodes_and_those_that_say_nothing_are_left_out() -> None:
    cordoned, silent = a_node(), a_node()
    fields(cordoned, "spec")["unschedulable"] = True
    del fields(silent, "status", "allocatable")["cpu"]
    notes: list[str] = []
    assert describe_pools([cordoned, silent], None, notes) == []
    assert sorted(notes) == [
        "The node `a-0` does not say what it has for pods, and is left out.",
        "The node `a-0` is cordoned, and left out.",
    ]


def test_taints_that_pass_are_no_pool_s() -> None:
    node = a_node()
    taints: list[Value] = [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"},
        {"key": "team", "value": "vision", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
    ]
    fields(node, "spec")["taints"] = taints
    (pool,) = describe_pools([node], None, [])
    assert list(objects(pool, "taints")) == [{"key": "team", "value": "vision", "effect": "NoSchedule"}]


def test_pools_are_told_apart_by_the_product_first() -> None:
    own = {PRODUCT: "NVIDIA-L4", "zone": "a", "tier": "gold", "kubernetes.io/hostname": "one"}

    def against(*nodes: dict[str, str]) -> dict[str, str]:
        common = {name: it for name, it in nodes[0].items() if all(each.get(name) == it for each in nodes)}
        return choose_labels(own, [(common, list(nodes))])

    assert against({PRODUCT: "Tesla-T4"}) == {PRODUCT: "NVIDIA-L4"}
    assert against({PRODUCT: "NVIDIA-L4", "tier": "silver"}) == {PRODUCT: "NVIDIA-L4", "tier": "gold"}
    # Some nodes of the other pool have the tier too.
    found = against({PRODUCT: "NVIDIA-L4", "tier": "gold", "zone": "b"}, {PRODUCT: "NVIDIA-L4", "zone": "c"})
    assert found == {PRODUCT: "NVIDIA-L4", "zone": "a"}
    assert against(own) == {PRODUCT: "NVIDIA-L4"}


# --- What DaemonSets take --------------------------------------------------------------------------------


def daemon(requests: dict[str, Value], **spec: Value) -> Data:
    container: Data = {"name": "c", "resources": {"requests": requests}}
    return {"spec": {"template": {"spec": {"containers": [container], **spec}}}}


def room_beside(*daemons: Data, taint: str = "", **labels: Value) -> dict[str, str]:
    room: Data = {"cpu": "7910m", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": "2"}
    taints: list[Value] = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    node: Data = {"metadata": {"name": "a", "labels": labels}, "spec": {"taints": taints}}
    node["status"] = {"allocatable": room}
    found = leave_daemons(node, daemons)
    assert room == {"cpu": "7910m", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": "2"}
    return texts(found, "status", "allocatable")


def test_daemons_take_their_share_of_a_node() -> None:
    left = room_beside(daemon({"cpu": "100m", "memory": "200Mi"}), daemon({"cpu": "810m"}), daemon({}))
    assert left == {
        "cpu": "7",
        "memory": f"{16 * 2**20 - 200 * 2**10}Ki",
        "pods": "107",
        "nvidia.com/gpu": "2",
    }


def test_daemons_take_nothing_of_nodes_that_are_not_for_them() -> None:
    ours = daemon({"cpu": 1}, nodeSelector={"kind": "gpu"})
    assert room_beside(ours)["cpu"] == "7910m"
    assert room_beside(ours, kind="gpu")["cpu"] == "6910m"
    assert room_beside(daemon({"cpu": 1}), taint="team")["cpu"] == "7910m"
    assert (
        room_beside(daemon({"cpu": 1}, tolerations=[{"operator": "Exists"}]), taint="team")["cpu"] == "6910m"
    )
    # What comes and goes with a node's health keeps no daemon away.
    assert room_beside(daemon({"cpu": 1}), taint="node.kubernetes.io/memory-pressure")["cpu"] == "6910m"


def test_no_daemon_takes_more_than_there_is() -> None:
    assert room_beside(daemon({"cpu": 9, "memory": "17Gi"})) == {
        "cpu": "0",
        "memory": "0",
        "pods": "109",
        "nvidia.com/gpu": "2",
    }
