"""What a rollout needs at its peak, and whether a cluster that runs nothing else has it.

Deployments of Seldon's roll with `maxUnavailable: 0` and a surge: new pods come before old ones go, so that a rollout
asks for more GPUs than it will keep. A scheduler puts one pod after another somewhere, and moves none. So pods *fit*
where they do whatever the order, *cannot fit* where no order helps, and are *tight* between the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, gcd
from typing import Final, Literal

from graphc.gpus.choose import Grant
from graphc.gpus.pools import Pool, offers_of

SURGE: Final = 25
"""Percent of a Deployment's pods that may be too many while it rolls, as Kubernetes has it where nothing is said."""
CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"

Phase = Literal["steady", "surge"]
Verdict = Literal["fits", "tight", "short"]
Amounts = Mapping[str, int]


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


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether pods find room, what all of them need, and why some might not or do not."""

    verdict: Verdict
    needs: Amounts
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class _Fleet:
    asks: Sequence[PodAsk]
    pools: Sequence[Pool]
    phase: Phase
    room: dict[str, Amounts] = field(default_factory=dict[str, Amounts])

    def __post_init__(self) -> None:
        self.room = {pool.name: _room(pool) for pool in self.pools}

    def eligible(self, ask: PodAsk) -> list[Pool]:
        return [pool for pool in self.pools if ask.may_go_to(pool)]

    def most_pods(self, ask: PodAsk) -> int:
        """Return how many pods of an ask there is room for if nothing else runs."""
        return sum(pool.nodes * self._each(ask, pool) for pool in self.eligible(ask))

    def _each(self, ask: PodAsk, pool: Pool) -> int:
        room = self.room[pool.name]
        return min(room.get(name, 0) // amount for name, amount in ask.needs.items())

    def demand(self, resource: str, asks: Sequence[PodAsk]) -> int:
        return sum(ask.needs.get(resource, 0) * ask.count(self.phase) for ask in asks)

    def supply(self, resource: str, pools: Sequence[Pool]) -> int:
        return sum(pool.nodes * self.room[pool.name].get(resource, 0) for pool in pools)

    def always_finds(self, ask: PodAsk) -> bool:
        """Whether the last pod of an ask finds room wherever all other pods went."""
        nodes = sum(pool.nodes for pool in self.eligible(ask) if self._each(ask, pool))
        blocked = sum(self._blockable(ask, resource) for resource in ask.needs)
        return blocked < nodes

    def _blockable(self, ask: PodAsk, resource: str) -> int:
        """Return on how many nodes the other pods can leave too little of a resource."""
        eligible = self.eligible(ask)
        rivals = [each for each in self.asks if any(each.may_go_to(pool) for pool in eligible)]
        left = self.demand(resource, rivals) - ask.needs[resource]
        step = gcd(*(each.needs.get(resource, 0) for each in rivals)) or 1
        blocked = 0
        for cost, nodes in sorted(self._costs(ask, resource, step)):
            count = min(nodes, left // cost)
            blocked += count
            left -= count * cost
        return blocked

    def _costs(self, ask: PodAsk, resource: str, step: int) -> Iterator[tuple[int, int]]:
        """Yield how much of a resource has to be taken on a node so that too little is left, and of how many nodes."""
        for pool in self.eligible(ask):
            if self._each(ask, pool):
                enough = self.room[pool.name][resource] - ask.needs[resource] + 1
                yield ceil(enough / step) * step, pool.nodes


def _room(pool: Pool) -> Amounts:
    found = {CPU: pool.cpu_m, MEMORY: pool.memory, PODS: pool.pods}
    for offer in offers_of(pool):
        found[offer.resource] = found.get(offer.resource, 0) + offer.per_node
    return found


def fit_pods(asks: Sequence[PodAsk], pools: Sequence[Pool], phase: Phase = "steady") -> Fit:
    """Say whether the pods of all asks find room on the nodes of a cluster that runs nothing else."""
    wanted = [ask for ask in asks if ask.count(phase)]
    fleet = _Fleet(wanted, pools, phase)
    names = dict.fromkeys(name for ask in wanted for name in ask.needs if name != PODS)
    needs = {name: fleet.demand(name, wanted) for name in names}
    reasons = tuple(dict.fromkeys(_find_shortages(fleet)))
    if reasons:
        return Fit("short", needs, reasons)
    loose = [ask.name for ask in wanted if not fleet.always_finds(ask)]
    tight = tuple(f"`{name}` fits only if the other pods leave room together" for name in loose)
    return Fit("tight" if loose else "fits", needs, tight)


def _find_shortages(fleet: _Fleet) -> Iterator[str]:
    for ask in fleet.asks:
        count, most = ask.count(fleet.phase), fleet.most_pods(ask)
        if count > most:
            yield f"`{ask.name}` has {count} pods, and there is room for {most}"
    for resource in dict.fromkeys(name for ask in fleet.asks for name in ask.needs):
        asks = [ask for ask in fleet.asks if resource in ask.needs]
        pools = [pool for pool in fleet.pools if any(ask.may_go_to(pool) for ask in asks)]
        demand, supply = fleet.demand(resource, asks), fleet.supply(resource, pools)
        if demand > supply:
            yield f"{_show(resource, demand)} are needed, and there are {_show(resource, supply, of=False)}"


def _show(resource: str, amount: int, *, of: bool = True) -> str:
    if resource == CPU:
        return f"{amount / 1000:g}" + " processors" * of
    if resource == MEMORY:
        return f"{amount / 2**30:.4g} GiB" + " of memory" * of
    return f"{amount}" + (f" of {resource}" if resource != PODS else " pods") * of
