"""The clusters that the real scheduler is shown (tests/cluster/test_scheduler.py) are of every kind."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from generated_clusters import Judged, draw_worlds, judge
from graphc.unchecked import Data, fields, objects
from operator_pods import EXECUTOR, pods_of

MANY: Final = 150

KINDS: Final = frozenset(
    {f"{verdict} {phase}" for verdict in ("fits", "tight", "short") for phase in ("steady", "surge")}
    | {f"{mode} granted" for mode in ("exclusive", "mig", "mps", "time-slicing")}
    | {"slices called as whole devices are", "parts called as whole devices are", "no GPUs granted"}
    | {"few pods a node", "hard taint", "soft taint", "taint with a value"}
    | {"toleration", "node affinity", "runtime class", "executor", "no executor"}
    | {"several pods of a version", "autoscaling", "canary", "shadow", "two graphs"}
    | {"short of processors", "short of memory", "short of a GPU resource"}
)


def kinds_of(judged: Judged) -> Iterator[str]:
    yield f"{judged.fit.verdict} {judged.world.phase}"
    yield from (f"short of {what}" for what in shortages(judged))
    for ask in judged.asks:
        for grant in ask.grants:
            yield f"{grant.first.mode} granted"
            called = "slices" if grant.first.mode == "mig" else "parts"
            if grant.first.mode != "exclusive" and grant.resource == "nvidia.com/gpu":
                yield f"{called} called as whole devices are"
        if not ask.grants:
            yield "no GPUs granted"
    for pool in judged.pools:
        if pool.pods < 10:
            yield "few pods a node"
        for taint in pool.taints:
            yield "soft taint" if taint.effect == "PreferNoSchedule" else "hard taint"
            if taint.value is not None:
                yield "taint with a value"
    if len(judged.deployments) > 1:
        yield "two graphs"
    for deployment in judged.deployments:
        yield from _of_deployment(deployment)


def shortages(judged: Judged) -> Iterator[str]:
    for reason in judged.fit.reasons:
        if "processors are needed" in reason:
            yield "processors"
        if "of memory are needed" in reason:
            yield "memory"
        if "of nvidia.com" in reason:
            yield "a GPU resource"


def _of_deployment(deployment: Data) -> Iterator[str]:
    predictors = list(objects(deployment, "spec", "predictors"))
    yield from (str(each["name"]) for each in predictors)
    if "hpaSpec" in json.dumps(deployment):
        yield "autoscaling"
    made = list(pods_of(deployment))
    if len(made) > len(predictors):
        yield "several pods of a version"
    for pods in made:
        engines = [each for each in objects(pods.spec, "containers") if each["name"] == EXECUTOR]
        yield "executor" if engines else "no executor"
        if "tolerations" in pods.spec:
            yield "toleration"
        if "runtimeClassName" in pods.spec:
            yield "runtime class"
        if fields(pods.spec, "affinity"):
            yield "node affinity"


def test_every_kind_is_drawn(tmp_path: Path) -> None:
    judged = [judge(world, tmp_path) for world in islice(draw_worlds(1), MANY)]
    found = [each for each in judged if each is not None]
    assert len(found) > MANY * 0.8
    seen = {kind for each in found for kind in kinds_of(each)}
    assert seen >= KINDS, KINDS - seen
    # What nobody can say is said of few.
    assert sum(each.fit.verdict == "tight" for each in found) < len(found) / 5


def test_the_same_seed_draws_the_same() -> None:
    assert list(islice(draw_worlds(5), 20)) == list(islice(draw_worlds(5), 20))
