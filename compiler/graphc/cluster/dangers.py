"""Finds what in a change may hurt: lost requests, other answers, restarts of everything, GPUs that are not there."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from graphc.cluster.made import MadePods, read_made
from graphc.cluster.replaced import find_replaced
from graphc.cluster.serving import Reading
from graphc.ir.graph import Value
from graphc.seldon.deployment import Container, Deployment, Pod, Predictor
from graphc.unchecked import Data, fields

Kind = Literal[
    "deleted",
    "gpu-peak",
    "interface",
    "live-removed",
    "no-room",
    "no-replicas",
    "renamed",
    "replaced",
    "restart",
    "traffic",
    "unanswered",
    "unmirrored",
]

# What the operator gives every Deployment, and graphc too: none goes before another has come.
SURGE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Danger:
    """A change that deserves a second look, by a word that scripts can test."""

    kind: Kind
    message: str


def find_dangers(before: Reading, after: Reading) -> Iterator[Danger]:
    """Yield the dangers of changing a graph from one state of its documents to another."""
    old, new = before.deployment.by_name, after.deployment.by_name
    made = read_pods(before), read_pods(after)
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    views = (before.view, after.view)
    renamed = dict(_renames(gone, come, *(fields(view, "predictors") for view in views)))
    for name, other in renamed.items():
        yield Danger("renamed", f"predictor `{name}` is now called `{other}`: {_tell_renamed(before, name)}")
    for name in gone:
        share = old[name].share
        if name not in renamed and share != 0 and not old[name].is_shadow:
            part = "" if share is None else f", which gets {share} % of the requests,"
            yield Danger("live-removed", f"predictor `{name}`{part} goes away")
    yield from _find_interface(*views)
    yield from _find_shares(old, new)
    yield from _find_restarts(made, old, new)
    yield from (Danger(kind, message) for kind, message in find_replaced(before, after))
    yield from _find_gpus((before.deployment, after.deployment), made)


def _tell_renamed(before: Reading, name: str) -> str:
    if before.made is None:
        return (
            "Seldon starts other pods under the new name and ends the old ones, and requests are lost meanwhile; "
            "keep the name"
        )
    services = sorted(it for it, each in before.made.services.items() if each.predictor == name)
    listed = f" (`{services[0]}`)" if services else ""
    return f"clients that call its Service{listed} find nobody any more; keep the name"


def read_pods(reading: Reading) -> Mapping[str, MadePods]:
    """Return the Deployments of a graph by their names: those that it says, or that an operator makes."""
    return (reading.made or read_made(reading.deployment)).pods


def _renames(gone: Sequence[str], come: Sequence[str], old: Data, new: Data) -> Iterator[tuple[str, str]]:
    """Pair predictors that went with ones that came in their place and hold the same nodes."""
    left = list(come)
    for name in gone:
        nodes = set(fields(old, name, "nodes")) or set(fields(old, name, "units"))
        same = [
            it for it in left if (set(fields(new, it, "nodes")) or set(fields(new, it, "units"))) == nodes
        ]
        alike = [it for it in same if fields(new, it, "nodes") == fields(old, name, "nodes")] or same
        # Another version with the same nodes is no rename as long as the old one had no place to fill.
        if alike and len(gone) == len(come):
            left.remove(alike[0])
            yield name, alike[0]


def _find_interface(before: Data, after: Data) -> Iterator[Danger]:
    """Yield what clients notice: inputs and outputs that went, came or have another type."""
    olds, news = list(fields(before, "predictors").values()), list(fields(after, "predictors").values())
    if not olds or not news:
        return
    for side in ("inputs", "outputs"):
        old, new = fields(olds[0], side), fields(news[0], side)
        if not old or not new:
            continue
        noun = side[:-1]
        for name in old:
            if name not in new:
                yield Danger(
                    "interface", f"the graph has no {noun} `{name}` any more, and clients may use it"
                )
            elif old[name] != new[name]:
                message = f"the graph's {noun} `{name}` is now `{new[name]}`, and was `{old[name]}`"
                yield Danger("interface", message)
        for name in new:
            if name not in old and side == "inputs":
                yield Danger(
                    "interface", f"the graph needs another input, `{name}`, which no client sends yet"
                )


def _find_shares(old: Mapping[str, Predictor], new: Mapping[str, Predictor]) -> Iterator[Danger]:
    for name, predictor in new.items():
        before = old.get(name)
        share, was = predictor.share, before.share if before else None
        if predictor.replicas == 0 and share != 0:
            yield Danger("no-replicas", f"predictor `{name}` gets requests and has no replicas")
        if before is None:
            if share == 100 and old:
                yield Danger("traffic", f"predictor `{name}` is new and gets all requests at once")
            continue
        if before.is_shadow and not predictor.is_shadow:
            yield Danger("unmirrored", f"predictor `{name}` was a shadow, and now answers clients")
        if share is not None and was is not None and abs(share - was) >= 50:
            yield Danger("traffic", f"the traffic of `{name}` goes from {was} % to {share} % in one step")


def _find_restarts(
    made: tuple[Mapping[str, MadePods], Mapping[str, MadePods]],
    old: Mapping[str, Predictor],
    new: Mapping[str, Predictor],
) -> Iterator[Danger]:
    live = [name for name in new if name in old and not new[name].is_shadow]
    if live and all(find_restarted(*made, name) == _pods(new[name]) for name in live):
        what = "every predictor" if len(live) > 1 else f"`{live[0]}`, the only live predictor,"
        yield Danger("restart", f"all pods of {what} are replaced at once")


def _pods(predictor: Predictor) -> set[int]:
    return set(range(len(predictor.pods)))


def find_restarted(olds: Mapping[str, MadePods], news: Mapping[str, MadePods], name: str) -> set[int]:
    """Return which of a predictor's Deployments, by their place, get other pods or are new."""
    return {
        each.place
        for made, each in news.items()
        if each.predictor == name and (made not in olds or olds[made].template != each.template)
    }


def _find_gpus(
    deployments: tuple[Deployment, Deployment], made: tuple[Mapping[str, MadePods], Mapping[str, MadePods]]
) -> Iterator[Danger]:
    (before, after), (olds, news) = deployments, made
    steady = sum(_gpus(after, each) for each in after.by_name.values())
    was = sum(_gpus(before, each) for each in before.by_name.values())
    # What goes is there until what comes is ready; what has another name is another's.
    peak = steady + sum(_gpus_of(before, pods, 1) for name, pods in olds.items() if name not in news)
    for name, pods in news.items():
        if name in olds and olds[name].template != pods.template:
            peak += _gpus_of(after, pods, SURGE)
    if peak > max(steady, was):
        message = f"the rollout needs {peak} GPUs at its peak; the graph has {was} now and keeps {steady}"
        yield Danger("gpu-peak", message)


def _gpus(deployment: Deployment, predictor: Predictor) -> int:
    return sum(_of_pod(pod) * _replicas(deployment, predictor, pod) for pod in predictor.pods)


def _gpus_of(deployment: Deployment, pods: MadePods, part: float) -> int:
    """Return what a part of the pods of a Deployment has, rounded up."""
    predictor, pod = pods.said
    return _of_pod(pod) * math.ceil(part * _replicas(deployment, predictor, pod))


def _of_pod(pod: Pod) -> int:
    return sum(map(_of_container, pod.containers))


def _of_container(container: Container) -> int:
    resources = container.node.child("resources").plain
    asked = fields(resources, "requests") | fields(resources, "limits")
    return sum(_count(value) for name, value in asked.items() if name.startswith("nvidia.com/"))


def _count(value: Value) -> int:
    written = str(value)
    return int(written) if written.isdecimal() and len(written) < 10 else 0


def _replicas(deployment: Deployment, predictor: Predictor, pod: Pod) -> int:
    said = (
        pod.node.child("kedaSpec").number("minReplicaCount"),
        pod.node.child("hpaSpec").number("minReplicas"),
        deployment.replicas_of(predictor, pod),
    )
    return next(each for each in said if each is not None)
