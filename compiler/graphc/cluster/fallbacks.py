"""Finds units that ask for a GPU and compute without, or in part: by what their containers said as they started."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from graphc.cluster.client import Cluster
from graphc.cluster.problem import RefusedError
from graphc.cluster.serving import Serving
from graphc.cluster.trouble import MOST_PODS, say
from graphc.unchecked import Data, objects, text

_PREFERS: Final = "prefer-"
"""How the device begins of a container for which the CPU will do."""

# What the runtime writes into its log; it says no more of it later.
_REASON: Final = re.compile(r"no GPU, so models run on the CPU: (.*)")
_OPERATORS: Final = re.compile(r"node `([^`\s]+)` runs (\d+ of its \d+ operators) on the CPU: (.*)")
_MODEL: Final = re.compile(r"node `([^`\s]+)` runs its model for the CPU, `([^`\s]+)`")


@dataclass(frozen=True, slots=True)
class Fallback:
    """A unit that prefers a GPU: in how many pods it runs without, and why; `unread` pods do not tell.

    Or one that has a GPU, and `operators` that run on the CPU.
    """

    predictor: str
    unit: str
    pods: int
    on_cpu: int
    unread: int = 0
    reason: str = ""
    models: tuple[str, ...] = ()
    """Nodes that run another model there, each with its file."""
    operators: tuple[str, ...] = ()
    """Nodes that run in part on the CPU, each with how much and what."""


def find_fallbacks(
    cluster: Cluster, namespace: str, serving: Serving, deployments: Sequence[Data]
) -> list[Fallback]:
    """Return the units of a graph that go without the GPU that they prefer, wholly or in part.

    Those that prefer one and whose logs cannot be read are among them: they may have fallen back.
    """
    # A node that does not answer is not asked again and again for something that is not in the way.
    asked = replace(cluster, access=replace(cluster.access, retry_seconds=0))
    found: list[Fallback] = []
    for each in deployments:
        units = dict(_find_units(each))
        pods = list(serving.list_pods(asked, namespace, each))[:MOST_PODS] if units else []
        for unit, prefers in units.items():
            fallback = _look(asked, namespace, serving.version_of(each), unit, pods)
            if fallback.on_cpu or fallback.operators or (fallback.unread and prefers):
                found.append(fallback)
    return found


def _find_units(deployment: Data) -> Iterator[tuple[str, bool]]:
    """Yield the units that ask for a GPU, and whether the CPU will do."""
    for container in objects(deployment, "spec", "template", "spec", "containers"):
        told = {text(each, "name"): text(each, "value") for each in objects(container, "env")}
        device = told.get("GRAPHC_DEVICE") or "cpu"
        if device != "cpu":
            yield text(container, "name"), device.startswith(_PREFERS)


def _look(cluster: Cluster, namespace: str, predictor: str, unit: str, pods: list[Data]) -> Fallback:
    reasons: list[str] = []
    models: dict[str, None] = {}
    operators: dict[str, None] = {}
    seen = unread = 0
    for pod in pods:
        if not _is_running(pod, unit):
            continue
        seen += 1
        try:
            written = cluster.read_first_words(namespace, text(pod, "metadata", "name"), unit)
        except RefusedError:
            unread += 1
            continue
        if found := _REASON.search(written):
            reasons.append(say(found[1]))
            models |= {say(f"{node}: {file}"): None for node, file in _MODEL.findall(written)}
        else:
            operators |= {
                say(f"{node}: {some}, {names}"): None for node, some, names in _OPERATORS.findall(written)
            }
    reason = reasons[0] if reasons else ""
    return Fallback(
        predictor, unit, seen, len(reasons), unread, reason, tuple(sorted(models)), tuple(sorted(operators))
    )


def _is_running(pod: Data, unit: str) -> bool:
    return any(
        text(status, "name") == unit and text(status, "state", "running", "startedAt")
        for status in objects(pod, "status", "containerStatuses")
    )


def describe_fallback(fallback: Fallback) -> Iterator[str]:
    """Yield a fallback as lines of text."""
    where = f"`{fallback.unit}` of `{fallback.predictor}`"
    if fallback.on_cpu:
        yield (
            f"{where} prefers a GPU and runs on the CPU in {fallback.on_cpu} of {fallback.pods} pods: "
            f"{fallback.reason}"
        )
        if fallback.models:
            yield f"  with the models that are named for it: {', '.join(fallback.models)}"
    for operators in fallback.operators:
        yield f"{where} has a GPU and runs in part on the CPU: {operators}"
    if fallback.unread:
        yield f"{where} prefers a GPU, and the logs of {fallback.unread} of {fallback.pods} pods cannot be read"
