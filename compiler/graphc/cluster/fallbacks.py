"""Finds units that prefer a GPU and run without one: by what their containers said as they started."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from graphc.cluster.client import Cluster, Ref
from graphc.cluster.problem import RefusedError
from graphc.cluster.read import Data, objects, text
from graphc.cluster.trouble import MOST_PODS, list_pods, say

_PREFERS: Final = "prefer-"
"""How the device begins of a container for which the CPU will do."""

# What the runtime writes into its log; it says no more of it later.
_REASON: Final = re.compile(r"no GPU, so models run on the CPU: (.*)")
_MODEL: Final = re.compile(r"node `([^`\s]+)` runs its model for the CPU, `([^`\s]+)`")


@dataclass(frozen=True, slots=True)
class Fallback:
    """A unit that prefers a GPU: in how many pods it runs without, and why; `unread` pods do not tell."""

    predictor: str
    unit: str
    pods: int
    on_cpu: int
    unread: int = 0
    reason: str = ""
    models: tuple[str, ...] = ()
    """Nodes that run another model there, each with its file."""


def find_fallbacks(cluster: Cluster, ref: Ref, deployments: list[Data]) -> list[Fallback]:
    """Return the units of a SeldonDeployment that prefer a GPU, and go without or do not tell."""
    # A node that does not answer is not asked again and again for something that is not in the way.
    asked = replace(cluster, access=replace(cluster.access, retry_seconds=0))
    found: list[Fallback] = []
    for each in deployments:
        units = list(_preferring(each))
        pods = list(list_pods(asked, ref.namespace, each))[:MOST_PODS] if units else []
        for unit in units:
            fallback = _look(asked, ref.namespace, text(each, "metadata", "labels", "version"), unit, pods)
            if fallback.on_cpu or fallback.unread:
                found.append(fallback)
    return found


def _preferring(deployment: Data) -> Iterator[str]:
    for container in objects(deployment, "spec", "template", "spec", "containers"):
        told = {text(each, "name"): text(each, "value") for each in objects(container, "env")}
        if told.get("GRAPHC_DEVICE", "").startswith(_PREFERS):
            yield text(container, "name")


def _look(cluster: Cluster, namespace: str, predictor: str, unit: str, pods: list[Data]) -> Fallback:
    reasons: list[str] = []
    models: dict[str, None] = {}
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
    return Fallback(
        predictor, unit, seen, len(reasons), unread, reasons[0] if reasons else "", tuple(sorted(models))
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
    if fallback.unread:
        yield f"{where} prefers a GPU, and the logs of {fallback.unread} of {fallback.pods} pods cannot be read"
