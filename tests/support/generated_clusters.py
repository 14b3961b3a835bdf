"""Draws clusters with graphs for them, and says what graphc emits for them and makes of their room."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.gpus.pools import Pool
from graphc.gpus.room import Fit
from graphc.hardware.peak import Phase, PodAsk, fit_pods
from graphc.profiles.profile import Profile
from graphc.profiles.read_profile import read_profile
from graphc.source.files import Source
from graphc.unchecked import Data

Json = dict[str, Any]

ROOMY: Final = 1000
"""How many times the nodes are there for which the pods are emitted: of a full cluster nothing is."""

WHOLE: Final = ("T4", "L4", "A100-40GB", "H100-80GB")
SLICES: Final[Mapping[str, Sequence[Mapping[str, int]]]] = {
    "A100-40GB": ({"1g.5gb": 7}, {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1}, {"3g.20gb": 2}),
    "H100-80GB": ({"1g.10gb": 7}, {"1g.10gb": 4, "3g.40gb": 1}, {"1g.10gb.me": 1, "2g.20gb": 3}),
    "A30": ({"1g.6gb": 4}, {"1g.6gb": 2, "2g.12gb": 1}),
}
TAINTS: Final[Sequence[Sequence[Json]]] = (
    (),
    (),
    ({"key": "nvidia.com/gpu", "effect": "NoSchedule"},),
    ({"key": "nvidia.com/gpu", "effect": "NoSchedule"},),
    ({"key": "team", "value": "vision", "effect": "NoExecute"},),
    ({"key": "costly", "value": "yes", "effect": "PreferNoSchedule"},),
)


@dataclass(frozen=True)
class World:
    """A cluster's profile, graphs for it, and whether their pods are counted while they roll."""

    profile: Json
    graphs: list[Json]
    phase: Phase

    def __str__(self) -> str:
        """Write it so that a failure can be looked at on its own."""
        return "\n---\n".join(json.dumps(each) for each in (self.profile, *self.graphs)) + f"\n# {self.phase}"


@dataclass(frozen=True)
class Judged:
    """A world with its nodes' pools, the deployments that graphc emits, and what it says of their pods."""

    world: World
    pools: tuple[Pool, ...]
    deployments: list[Data]
    asks: tuple[PodAsk, ...]
    fit: Fit


def draw_worlds(seed: int) -> Iterator[World]:
    """Yield worlds for ever, the same ones for the same seed."""
    chance = random.Random(seed)
    while True:
        yield _draw(chance)


def _draw(chance: random.Random) -> World:
    pools = [_draw_gpu_pool(chance, index) for index in range(chance.choice([0, 1, 1, 2, 3]))]
    if not pools or chance.random() < 0.7:
        pools.append({"name": "processors", **_draw_size(chance)})
    profile = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": "drawn"}}
    count = chance.choice([1, 1, 1, 2])
    graphs = [_draw_graph(chance, f"g{index}", pools) for index in range(count)]
    return World(profile | {"pools": pools}, graphs, chance.choice(["steady", "surge"]))


def _draw_size(chance: random.Random) -> Json:
    found: Json = {
        "nodes": chance.randint(1, 4),
        "cpu": chance.choice(["3920m", "8", "15", "30"]),
        "memory": chance.choice(["7Gi", "16G", "31000000Ki", "120Gi"]),
    }
    return found | ({"pods": chance.choice([2, 4, 29])} if chance.random() < 0.3 else {})


def _draw_gpu_pool(chance: random.Random, index: int) -> Json:
    sharing = chance.choice(["exclusive", "mig", "mps", "time-slicing"])
    gpus: Json = {"count": chance.randint(1, 4), "sharing": sharing}
    if sharing == "mig":
        gpus["product"] = chance.choice(list(SLICES))
        slices = dict(chance.choice(SLICES[gpus["product"]]))
        strategy = chance.choice(["single", "mixed"]) if len(slices) == 1 else "mixed"
        gpus["mig"] = {"strategy": strategy, "slices": slices}
    else:
        gpus["product"] = chance.choice(WHOLE)
    if sharing in {"mps", "time-slicing"}:
        gpus |= {"replicas": chance.randint(2, 5), "renamed": chance.random() < 0.7}
    pool = {"name": f"gpus{index}", **_draw_size(chance), "gpus": gpus}
    # What tells the pools apart; a pool without it cannot be told from one with the same resources.
    if chance.random() < 0.9:
        pool["labels"] = {"pool": f"gpus{index}", "example.com/product": gpus["product"]}
    if taints := chance.choice(TAINTS):
        pool["taints"] = list(taints)
    return pool | ({"runtime_class": "nvidia"} if chance.random() < 0.4 else {})


def _draw_graph(chance: random.Random, name: str, pools: Sequence[Json]) -> Json:
    nodes: Json = {}
    for index in range(chance.randint(1, 3)):
        node: Json = {"component": "mean", "in": ["left", "right"]}
        node["resources"] = _draw_resources(chance, chance.choice(pools))
        if chance.random() < 0.6:
            node["replicas"] = chance.choice([1, 2, 3, 5, 8])
        elif chance.random() < 0.2:
            node["autoscaling"] = {"min": 1, "max": chance.randint(2, 6), "cpu": 70}
        nodes[f"n{index}"] = node
    graph: Json = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": name, "namespace": "models"},
        "inputs": {"left": "FP32[batch, 3]", "right": "FP32[batch, 3]"},
        "nodes": nodes,
        "outputs": {node: node for node in nodes},
    }
    if chance.random() < 0.4:
        graph["replicas"] = chance.randint(1, 4)
    return graph | ({"predictors": _draw_predictors(chance)} if chance.random() < 0.5 else {})


def _draw_predictors(chance: random.Random) -> Json:
    found: Json = {"main": {"traffic": 90}, "canary": {"traffic": 10}}
    if chance.random() < 0.5:
        found["main"]["traffic"] = 100
        del found["canary"]
    if len(found) == 1 or chance.random() < 0.5:
        found["shadow"] = {"shadow": True}
    for each in list(found.values())[1:]:
        if chance.random() < 0.5:
            each["replicas"] = chance.randint(1, 2)
        if chance.random() < 0.3:
            each["nodes"] = {"n0": {"resources": {"gpu": {"amount": 1, "device": "cpu"}}}}
    return found


def _draw_resources(chance: random.Random, pool: Json) -> Json:
    found: Json = {}
    if chance.random() < 0.6:
        found["cpu"] = chance.choice(["100m", "250m", "0.7", "1", "1500m", "3"])
    if chance.random() < 0.6:
        found["memory"] = chance.choice(["256Mi", "1G", "1500M", "2345678Ki", "3Gi", "8Gi"])
    if "gpus" in pool and chance.random() < 0.85:
        found["gpu"] = _draw_gpu(chance, pool["gpus"])
    return found or {"cpu": "10m"}


def _draw_gpu(chance: random.Random, gpus: Json) -> Json:
    sharing = gpus["sharing"]
    if sharing == "exclusive":
        ask: Json = {"amount": chance.randint(1, min(2, gpus["count"]))}
    elif sharing == "mig":
        ask = {"amount": f"mig-{chance.choice(list(gpus['mig']['slices']))}"}
    else:
        ask = {"amount": 0.99 / gpus["replicas"]}
    if chance.random() < 0.5:
        ask["sharing"] = sharing
    if chance.random() < 0.3:
        ask["model"] = gpus["product"]
    return ask | ({"device": "prefer-gpu"} if chance.random() < 0.2 else {})


def judge(world: World, folder: Path) -> Judged | None:
    """Compile a world's graphs for its cluster; None where they ask for what it could not have at any size."""
    sink = Sink()
    profile = read_profile(Source("profile.yaml", json.dumps(world.profile)), sink)
    assert profile is not None, [each.message for each in sink]
    assert profile.pools is not None
    paths: list[str] = []
    for index, graph in enumerate(world.graphs):
        path = folder / f"graph{index}.yaml"
        path.write_text(json.dumps(graph))
        paths.append(str(path))
    many = tuple(replace(pool, nodes=pool.nodes * ROOMY) for pool in profile.pools)
    done = compile_files(Request(paths, cluster=replace(profile, pools=many)))
    if done.sink.has_errors:
        return None
    asks = tuple(ask for emission in done.emissions for ask in emission.pods)
    if len(paths) == 1:
        _check_report(compile_files(Request(paths, cluster=profile)), asks, profile)
    deployments = [dict(emission.documents[-1]) for emission in done.emissions]
    return Judged(world, profile.pools, deployments, asks, fit_pods(asks, profile.pools, world.phase))


def _check_report(done: Compilation, asks: Sequence[PodAsk], profile: Profile) -> None:
    """What users are told is what is found here."""
    assert profile.pools is not None
    codes = {each.rule.code for each in done.sink}
    steady, surge = (fit_pods(asks, profile.pools, phase).verdict for phase in ("steady", "surge"))
    assert ("GC496" in codes) == (steady == "short")
    assert ("GC497" in codes) == (steady != "short" and surge != "fits")
