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
class _Kind:
    """Pods that need the same of a node and may go to the same pools, and how many there are; the asks for them."""

    needs: Amounts
    pools: Sequence[Pool]
    count: int = 0
    asks: list[PodAsk] = field(default_factory=list[PodAsk])


@dataclass(slots=True)
class _Fleet:
    asks: Sequence[PodAsk]
    pools: Sequence[Pool]
    phase: Phase
    room: dict[str, Amounts] = field(default_factory=dict[str, Amounts])
    kinds: list[_Kind] = field(default_factory=list[_Kind])

    def __post_init__(self) -> None:
        self.room = {pool.name: _room(pool) for pool in self.pools}
        # The graphs of a large cluster ask for few different things.
        found: dict[object, _Kind] = {}
        for ask in self.asks:
            needs, pools = ask.needs, [pool for pool in self.pools if ask.may_go_to(pool)]
            key = (tuple(sorted(needs.items())), tuple(pool.name for pool in pools))
            kind = found.setdefault(key, _Kind(needs, pools))
            kind.count += ask.count(self.phase)
            kind.asks.append(ask)
        self.kinds = list(found.values())

    def most_pods(self, kind: _Kind) -> int:
        """Return how many pods of a kind there is room for if nothing else runs."""
        return sum(pool.nodes * self._each(kind, pool) for pool in kind.pools)

    def _each(self, kind: _Kind, pool: Pool) -> int:
        room = self.room[pool.name]
        return min(room.get(name, 0) // amount for name, amount in kind.needs.items())

    def demand(self, resource: str, kinds: Sequence[_Kind]) -> int:
        return sum(kind.needs.get(resource, 0) * kind.count for kind in kinds)

    def supply(self, resource: str, pools: Sequence[Pool]) -> int:
        return sum(pool.nodes * self.room[pool.name].get(resource, 0) for pool in pools)

    def always_finds(self, kind: _Kind) -> bool:
        """Whether the last pod of a kind finds room wherever all other pods went."""
        nodes = sum(pool.nodes for pool in kind.pools if self._each(kind, pool))
        blocked = sum(self._blockable(kind, resource) for resource in kind.needs)
        return blocked < nodes

    def _blockable(self, kind: _Kind, resource: str) -> int:
        """Return on how many nodes the other pods can leave too little of a resource."""
        names = {pool.name for pool in kind.pools}
        rivals = [each for each in self.kinds if any(pool.name in names for pool in each.pools)]
        left = self.demand(resource, rivals) - kind.needs[resource]
        step = gcd(*(each.needs.get(resource, 0) for each in rivals)) or 1
        blocked = 0
        for cost, nodes in sorted(self._costs(kind, resource, step)):
            count = min(nodes, left // cost)
            blocked += count
            left -= count * cost
        return blocked

    def _costs(self, kind: _Kind, resource: str, step: int) -> Iterator[tuple[int, int]]:
        """Yield how much of a resource has to be taken on a node so that too little is left, and of how many nodes."""
        for pool in kind.pools:
            if self._each(kind, pool):
                enough = self.room[pool.name][resource] - kind.needs[resource] + 1
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
    needs = {name: fleet.demand(name, fleet.kinds) for name in names}
    reasons = tuple(dict.fromkeys(_find_shortages(fleet)))
    if reasons:
        return Fit("short", needs, reasons)
    loose = [ask.name for kind in fleet.kinds if not fleet.always_finds(kind) for ask in kind.asks]
    tight = tuple(
        f"`{name}` fits only if the other pods leave room together" for name in dict.fromkeys(loose)
    )
    return Fit("tight" if loose else "fits", needs, tight)


def _find_shortages(fleet: _Fleet) -> Iterator[str]:
    for kind in fleet.kinds:
        most = fleet.most_pods(kind)
        for ask in kind.asks:
            if (count := ask.count(fleet.phase)) > most:
                yield f"`{ask.name}` has {count} pods, and there is room for {most}"
    for resource in dict.fromkeys(name for kind in fleet.kinds for name in kind.needs):
        kinds = [kind for kind in fleet.kinds if resource in kind.needs]
        names = {pool.name for kind in kinds for pool in kind.pools}
        demand = fleet.demand(resource, kinds)
        supply = fleet.supply(resource, [pool for pool in fleet.pools if pool.name in names])
        if demand > supply:
            yield f"{_show(resource, demand)} are needed, and there are {_show(resource, supply, of=False)}"


def _show(resource: str, amount: int, *, of: bool = True) -> str:
    if resource == CPU:
        return f"{amount / 1000:g}" + " processors" * of
    if resource == MEMORY:
        return f"{amount / 2**30:.4g} GiB" + " of memory" * of
    return f"{amount}" + (f" of {resource}" if resource != PODS else " pods") * of
