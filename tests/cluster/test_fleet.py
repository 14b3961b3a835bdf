"""A fleet: as many graphs as nodes, compiled, applied to a real API server and scheduled, with the times of each.

`pytest -m slow -s tests/cluster/test_fleet.py` prints them. No container runs: nothing is said of starting pods.
"""

import itertools
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.cluster.client import Access, Cluster, Kind, connect
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.hardware.peak import fit_pods
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import read_profile
from graphc.quantities import parse_quantity
from graphc.source.files import Source
from graphc.targets.interface import Emission
from graphc.unchecked import Data, fields, objects, text, texts
from made_up_nodes import nodes_of
from operator_pods import pods_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SIZE: Final = int(os.environ.get("GRAPHC_FLEET", "1000"))
MODEL: Final = Path(__file__).parents[2] / "graphs/diabetes-route/models/lean.onnx"
PODS: Final = Kind("v1", "Pod")
THREADS: Final = 4
WAIT_SECONDS: Final = 900

Json = dict[str, Any]

POOLS: Final[Sequence[tuple[str, Json | None, Json]]] = (
    ("processors", None, {"cpu": "1"}),
    ("whole", {"product": "L4", "count": 4}, {"gpu": {"amount": 1, "model": "L4"}}),
    (
        "mixed",
        {
            "product": "A100-80GB",
            "count": 8,
            "sharing": "mig",
            "mig": {"slices": {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}},
        },
        {"gpu": "mig-2g.20gb"},
    ),
    (
        "mps",
        {"product": "H100-80GB", "count": 2, "sharing": "mps", "replicas": 4},
        {"gpu": {"amount": 0.25, "sharing": "mps"}},
    ),
    (
        "turns",
        {"product": "T4", "count": 2, "sharing": "time-slicing", "replicas": 4},
        {"gpu": {"amount": 0.25, "sharing": "time-slicing"}},
    ),
)
"""Pools of nodes, each with what a graph asks for that goes there."""


def write_profile(nodes: int) -> Profile:
    pools: list[Json] = []
    for index, (name, gpus, _) in enumerate(POOLS):
        count = len(range(index, nodes, len(POOLS)))
        pool: Json = {
            "name": name,
            "nodes": count,
            "cpu": "31850m",
            "memory": "120Gi",
            "labels": {"pool": name},
        }
        if gpus is not None:
            pool |= {"gpus": gpus, "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
        pools.append(pool)
    document = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": "fleet"}}
    sink = Sink()
    profile = read_profile(Source("fleet.yaml", json.dumps(document | {"pools": pools})), sink)
    assert profile is not None, [each.message for each in sink]
    return profile


def write_graphs(folder: Path, count: int) -> Iterator[str]:
    """Write graphs of a model and what comes after it; a third have a canary, and half scale the model."""
    for index in range(count):
        _, _, resources = POOLS[index % len(POOLS)]
        model: Json = {"model": str(MODEL), "in": {"X": "x"}, "resources": {"memory": "1Gi"} | resources}
        if index % 2:
            model["replicas"] = 2
        graph: Json = {
            "apiVersion": "graphc/v1",
            "kind": "InferenceGraph",
            "metadata": {"name": f"graph-{index}", "namespace": "fleet"},
            "inputs": {"x": "FP32[batch, 10]"},
            "nodes": {
                "score": model,
                "most": {"component": "clip", "in": "score", "parameters": {"low": 0, "high": 300}},
            },
            "outputs": {"y": "most"},
            "resources": {"cpu": "100m", "memory": "200Mi"},
        }
        if not index % 3:
            graph["predictors"] = {"main": {"traffic": 90}, "canary": {"traffic": 10}}
        path = folder / f"graph-{index}.yaml"
        path.write_text(json.dumps(graph))
        yield str(path)


class Watch:
    """Times what is done, and tells."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def tell(self, what: str) -> None:
        now = time.perf_counter()
        print(f"{now - self._last:8.1f} s  {what}")
        self._last = now


def test_a_fleet_is_applied_and_scheduled(seldon_scheduler: Path, tmp_path: Path) -> None:
    cluster = connect(Access(kubeconfig=str(seldon_scheduler)))
    prepare(cluster)
    paths = list(write_graphs(tmp_path, SIZE))
    profile = write_profile(SIZE)
    assert profile.pools is not None
    print(f"\n{SIZE} nodes, {SIZE} graphs")
    watch = Watch()
    emissions = compile_all(paths, profile)
    documents = [dict(each) for emission in emissions for each in emission.documents]
    watch.tell(f"compiled to {len(documents)} documents")
    asks = [ask for emission in emissions for ask in emission.pods]
    verdict = fit_pods(asks, profile.pools, "surge").verdict
    watch.tell(f"said of all {sum(ask.count('surge') for ask in asks)} pods of a rollout: {verdict}")
    assert verdict == "fits"
    nodes = list(nodes_of(profile.pools))
    at_once(nodes, lambda each: cluster.request("POST", "/api/v1/nodes", body=each))
    watch.tell("nodes created")
    at_once(documents, cluster.apply)
    watch.tell(f"documents applied on the server's side, {THREADS} at once")
    live = cluster.find(Kind("machinelearning.seldon.io/v1", "SeldonDeployment"), "fleet", {})
    assert len(live) == SIZE
    made = [pods for each in live for pods in pods_of(each)]
    pods = [pod for surging in (False, True) for each in made for pod in each.make("fleet", surging=surging)]
    watch.tell("read back, and pods made of them")
    at_once(pods, cluster.create)
    watch.tell(f"{len(pods)} pods created, {THREADS} at once, and scheduled meanwhile")
    bound = await_bound(cluster, len(pods))
    watch.tell("and until the last had its node")
    check_room(bound, nodes)


def prepare(cluster: Cluster) -> None:
    for path, name in (
        ("/api/v1/namespaces", "fleet"),
        ("/api/v1/namespaces/fleet/serviceaccounts", "default"),
    ):
        cluster.request("POST", path, body={"metadata": {"name": name}})


def compile_all(paths: Sequence[str], profile: Profile) -> list[Emission]:
    done = compile_files(Request(paths, cluster=profile))
    assert not done.sink.has_errors, [each.message for each in done.sink][:5]
    assert len(done.emissions) == len(paths)
    return done.emissions


def at_once(documents: Sequence[Data], send: Callable[[Data], object]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(send, documents):
            pass


def await_bound(cluster: Cluster, count: int) -> list[Data]:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = cluster.find(PODS, "fleet", {})
        bound = [each for each in found if text(each, "spec", "nodeName")]
        if len(bound) == count:
            return bound
        time.sleep(0.2)
    pytest.fail("some pods have no node")


def check_room(pods: Sequence[Data], nodes: Sequence[Data]) -> None:
    """No node has more than it has room for, and every pool is used."""
    used: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pod in pods:
        for container in objects(pod, "spec", "containers"):
            for name, amount in texts(container, "resources", "requests").items():
                used[text(pod, "spec", "nodeName")][name] += round(parse_quantity(amount) * 1000)
    for node in nodes:
        room = texts(fields(node, "status"), "allocatable")
        for name, amount in used[text(node, "metadata", "name")].items():
            assert amount <= parse_quantity(room[name]) * 1000
    pools = {text(node, "metadata", "name"): texts(node, "metadata", "labels")["pool"] for node in nodes}
    assert {pools[name] for name in used} == set(itertools.chain(name for name, _, _ in POOLS))
