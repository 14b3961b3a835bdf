"""Says whether pods find room on nodes, wherever a scheduler puts each of them.

A scheduler puts one pod after another somewhere, and moves none. So pods *fit* where they do in every order, are
*short* of room where no order helps, and are *tight* between the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, gcd
from typing import Final, Literal

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"

Verdict = Literal["fits", "tight", "short"]
Amounts = Mapping[str, int]
"""By resource: processors in thousandths, memory in bytes, all others in their own unit."""


@dataclass(frozen=True, slots=True)
class Place:
    """Nodes that are alike, and what each of them has for pods."""

    name: str
    nodes: int
    room: Amounts


@dataclass(frozen=True, slots=True)
class Demand:
    """Pods that are alike: how many, what each needs of a node, and the places that it may go to, in their order."""

    name: str
    count: int
    needs: Amounts
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether pods find room, what all of them need, and why some might not or do not."""

    verdict: Verdict
    needs: Amounts
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kind:
    """Pods that need the same of a node and may go to the same places, and how many there are; those who ask."""

    needs: Amounts
    places: Sequence[Place]
    count: int = 0
    demands: list[Demand] = field(default_factory=list[Demand])


@dataclass(slots=True)
class _Fleet:
    places: Sequence[Place]
    kinds: Sequence[_Kind]

    def most_pods(self, kind: _Kind) -> int:
        """Return how many pods of a kind there is room for if nothing else runs."""
        return sum(place.nodes * _each(kind, place) for place in kind.places)

    def demand(self, resource: str, kinds: Sequence[_Kind]) -> int:
        return sum(kind.needs.get(resource, 0) * kind.count for kind in kinds)

    def supply(self, resource: str, places: Sequence[Place]) -> int:
        return sum(place.nodes * place.room.get(resource, 0) for place in places)

    def always_finds(self, kind: _Kind) -> bool:
        """Whether the last pod of a kind finds room wherever all other pods went."""
        nodes = sum(place.nodes for place in kind.places if _each(kind, place))
        blocked = sum(self._blockable(kind, resource) for resource in kind.needs)
        return blocked < nodes

    def _blockable(self, kind: _Kind, resource: str) -> int:
        """Return on how many nodes the other pods can leave too little of a resource."""
        names = {place.name for place in kind.places}
        rivals = [each for each in self.kinds if any(place.name in names for place in each.places)]
        left = self.demand(resource, rivals) - kind.needs[resource]
        step = gcd(*(each.needs.get(resource, 0) for each in rivals)) or 1
        blocked = 0
        for cost, nodes in sorted(_costs(kind, resource, step)):
            count = min(nodes, left // cost)
            blocked += count
            left -= count * cost
        return blocked


def _each(kind: _Kind, place: Place) -> int:
    return min(place.room.get(name, 0) // amount for name, amount in kind.needs.items())


def _costs(kind: _Kind, resource: str, step: int) -> Iterator[tuple[int, int]]:
    """Yield how much of a resource has to be taken on a node so that too little is left, and of how many nodes."""
    for place in kind.places:
        if _each(kind, place):
            enough = place.room[resource] - kind.needs[resource] + 1
            yield ceil(enough / step) * step, place.nodes


def fit_demands(demands: Sequence[Demand], places: Sequence[Place]) -> Fit:
    """Say whether the pods of all demands find room in the places."""
    wanted = [each for each in demands if each.count]
    fleet = _Fleet(places, _group(wanted, places))
    names = dict.fromkeys(name for each in wanted for name in each.needs if name != PODS)
    needs = {name: fleet.demand(name, fleet.kinds) for name in names}
    reasons = tuple(dict.fromkeys(_find_shortages(fleet)))
    if reasons:
        return Fit("short", needs, reasons)
    loose = [each.name for kind in fleet.kinds if not fleet.always_finds(kind) for each in kind.demands]
    tight = tuple(
        f"`{name}` fits only if the other pods leave room together" for name in dict.fromkeys(loose)
    )
    return Fit("tight" if loose else "fits", needs, tight)


def _group(demands: Sequence[Demand], places: Sequence[Place]) -> list[_Kind]:
    """Gather the demands that are alike: the graphs of a large cluster ask for few different things."""
    by_name = {place.name: place for place in places}
    found: dict[object, _Kind] = {}
    for each in demands:
        key = (tuple(sorted(each.needs.items())), each.places)
        kind = found.setdefault(key, _Kind(each.needs, [by_name[name] for name in each.places]))
        kind.count += each.count
        kind.demands.append(each)
    return list(found.values())


def _find_shortages(fleet: _Fleet) -> Iterator[str]:
    for kind in fleet.kinds:
        most = fleet.most_pods(kind)
        for each in kind.demands:
            if each.count > most:
                yield f"`{each.name}` has {each.count} pods, and there is room for {most}"
    for resource in dict.fromkeys(name for kind in fleet.kinds for name in kind.needs):
        kinds = [kind for kind in fleet.kinds if resource in kind.needs]
        names = {place.name for kind in kinds for place in kind.places}
        demand = fleet.demand(resource, kinds)
        supply = fleet.supply(resource, [place for place in fleet.places if place.name in names])
        if demand > supply:
            yield f"{_show(resource, demand)} are needed, and there are {_show(resource, supply, of=False)}"


def _show(resource: str, amount: int, *, of: bool = True) -> str:
    if resource == CPU:
        return f"{amount / 1000:g}" + " processors" * of
    if resource == MEMORY:
        return f"{amount / 2**30:.4g} GiB" + " of memory" * of
    return f"{amount}" + (f" of {resource}" if resource != PODS else " pods") * of
