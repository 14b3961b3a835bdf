"""What a rollout needs at its peak, and whether a cluster that runs nothing else has it.

A Deployment that rolls with `maxUnavailable: 0` and a surge has new pods before old ones go: a rollout asks for more
GPUs than it will keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from graphc.gpus.choose import Grant
from graphc.gpus.pools import Pool, offers_of
from graphc.gpus.room import CPU, MEMORY, PODS, Amounts, Demand, Fit, Place, fit_demands

SURGE: Final = 25
"""Percent of a Deployment's pods that may be too many while it rolls, as Kubernetes has it where nothing is said."""

Phase = Literal["steady", "surge"]


@dataclass(frozen=True, slots=True)
class PodAsk:
    """Pods that are alike: what the containers of each take of a node.

    CPU is in thousandths, memory in bytes. A pod goes where all its grants are to be had; anywhere, if it has none.
    """

    name: str
    pods: int
    grants: tuple[Grant, ...] = ()
    cpu_m: int = 0
    memory: int = 0
    surge: int = SURGE
    """Percent, rounded up."""

    def count(self, phase: Phase) -> int:
        """Return how many pods there are, those of a rollout beside the old ones included."""
        return self.pods + (ceil(self.pods * self.surge / 100) if phase == "surge" else 0)

    @property
    def needs(self) -> dict[str, int]:
        """What one pod takes, by resource."""
        found = {PODS: 1}
        if self.cpu_m:
            found[CPU] = self.cpu_m
        if self.memory:
            found[MEMORY] = self.memory
        for grant in self.grants:
            found[grant.resource] = found.get(grant.resource, 0) + grant.count
        return found

    def may_go_to(self, pool: Pool) -> bool:
        """Whether a pool has what the grants are of, and lets the pod in."""
        if not self.grants:
            return not any(taint.effect in {"NoSchedule", "NoExecute"} for taint in pool.taints)
        return all(pool.name in {offer.pool.name for offer in grant.offers} for grant in self.grants)


def fit_pods(asks: Sequence[PodAsk], pools: Sequence[Pool], phase: Phase = "steady") -> Fit:
    """Say whether the pods of all asks find room on the nodes of a cluster that runs nothing else."""
    demands = [
        Demand(
            ask.name, ask.count(phase), ask.needs, tuple(pool.name for pool in pools if ask.may_go_to(pool))
        )
        for ask in asks
    ]
    return fit_demands(demands, [Place(pool.name, pool.nodes, _room(pool)) for pool in pools])


def _room(pool: Pool) -> Amounts:
    found = {CPU: pool.cpu_m, MEMORY: pool.memory, PODS: pool.pods}
    for offer in offers_of(pool):
        found[offer.resource] = found.get(offer.resource, 0) + offer.per_node
    return found
