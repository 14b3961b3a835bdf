"""Deletes what graphc made, so that none is gone while another still needs it."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from graphc.cluster.bundle import BUDGET, DEPLOYMENT, POD, SCALERS, SERVICE, WORKLOAD, is_ours, is_route
from graphc.cluster.client import Cluster, Ref
from graphc.engine_graph import COMPONENT, ENTRY, INSTANCE, PART_OF
from graphc.unchecked import Data, number, text

SPARE_SECONDS: Final = 15
"""How much longer than it may take a pod that is ending is waited for: its node may be gone."""
LOOK_SECONDS: Final = 1.0

_RANKS: Final = {**dict.fromkeys((*SCALERS, BUDGET), 1), DEPLOYMENT: 2, WORKLOAD: 2, SERVICE: 3}
_LAST: Final = 4


def order_of_removal(refs: Iterable[Ref]) -> list[Ref]:
    """Order objects so that none is gone while another still needs it."""
    return sorted(refs, key=lambda ref: (_rank(ref), ref))


def _rank(ref: Ref) -> int:
    return 0 if is_route(ref) else _RANKS.get(ref.kind, _LAST)


def remove(cluster: Cluster, ref: Ref, graph: str) -> bool:
    """Delete an object if graphc made it for the graph; return whether it was there."""
    live = cluster.get(ref)
    if live is None or not is_ours(live, graph):
        return False
    return cluster.delete(ref, text(live, "metadata", "uid"))


@dataclass(frozen=True, slots=True)
class Drain:
    """A wait for pods that clients called, and that call others until they have ended."""

    cluster: Cluster
    namespace: str
    graph: str
    say: Callable[[str], None]
    beat: Callable[[], None]

    def wait(self, gone: Collection[str]) -> None:
        """Return when no such pod is ending, and none is left of the Deployments that are gone; or when it is late."""
        start, is_told = time.monotonic(), False
        while ending := self._list(gone):
            longest = max(number(each, "spec", "terminationGracePeriodSeconds") or 0 for each in ending)
            if time.monotonic() - start > longest + SPARE_SECONDS:
                self.say(f"{len(ending)} pods do not end; what they call goes all the same")
                return
            if not is_told:
                self.say(f"{len(ending)} pods are ending; what they call goes once they have")
                is_told = True
            self.beat()
            self.cluster.sleep(LOOK_SECONDS)

    def _list(self, gone: Collection[str]) -> list[Data]:
        pods = self.cluster.find(POD, self.namespace, {PART_OF: self.graph, COMPONENT: ENTRY})
        return [
            each
            for each in pods
            if text(each, "metadata", "deletionTimestamp")
            or text(each, "metadata", "labels", INSTANCE) in gone
        ]


def remove_all(cluster: Cluster, refs: Iterable[Ref], graph: str, drain: Drain | None = None) -> None:
    """Delete objects that are still graphc's: what gets requests first, and then what that calls.

    `drain` waits in between until requests that have begun are answered.
    """
    ordered = order_of_removal(refs)
    called = [ref for ref in ordered if _is_called(cluster, ref)]
    calling = [ref for ref in ordered if ref not in called and _rank(ref) < _LAST]
    for ref in calling:
        remove(cluster, ref, graph)
    if called and drain is not None:
        drain.wait({ref.name for ref in calling if ref.kind == WORKLOAD})
    for ref in called:
        remove(cluster, ref, graph)
    for ref in ordered:
        if _rank(ref) == _LAST:
            remove(cluster, ref, graph)


def _is_called(cluster: Cluster, ref: Ref) -> bool:
    """Say whether an object is a Service, or a Deployment of units that an engine calls."""
    if ref.kind != WORKLOAD:
        return ref.kind == SERVICE
    return text(cluster.get(ref), "metadata", "labels", COMPONENT) not in {ENTRY, ""}
