"""Orders of a graph of names, independent of the order in which the graph is given.

This is all that most graphs ask for, and the standard library has it; networkx, which takes as long to import as a
small graph takes to compile, is asked about those that have a cycle.
"""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush

Edges = Mapping[str, Iterable[str]]
"""For each name, the names that it reads."""


def sort_topologically(reads: Edges) -> list[str]:
    """Return the names so that each comes after those it reads, ties by name; reads must be acyclic."""
    sorter = TopologicalSorter(reads)
    sorter.prepare()
    ready = list(sorter.get_ready())
    heapify(ready)
    order: list[str] = []
    while ready:
        name = heappop(ready)
        order.append(name)
        sorter.done(name)
        for each in sorter.get_ready():
            heappush(ready, each)
    return order


def find_cycles(reads: Edges) -> list[list[str]]:
    """Return one shortest cycle for each knot of names that read each other, in the order of the flow."""
    try:
        TopologicalSorter(reads).prepare()
    except CycleError:
        # networkx takes long to import, and only these graphs need it.
        from graphc.ir.knots import find_shortest_cycles

        return find_shortest_cycles(reads)
    return []


def find_knots(reads: Edges) -> list[set[str]]:
    """Return the knots of names that read each other, each as a set of names."""
    try:
        TopologicalSorter(reads).prepare()
    except CycleError:
        # As above.
        from graphc.ir.knots import find_knots as find

        return find(reads)
    return []


def find_needed(reads: Edges, wanted: Iterable[str]) -> set[str]:
    """Return the wanted names and all that they depend on."""
    needed: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += reads.get(name, ())
    return needed


def find_longest(reads: Edges, weights: Mapping[str, int]) -> list[str]:
    """Return the way along the flow whose names weigh most, in the order of the flow; reads must be acyclic."""
    totals: dict[str, int] = {}
    before: dict[str, str | None] = {}
    for name in sort_topologically(reads):
        # Of ways that weigh the same, the one by the first name.
        last = min(reads.get(name, ()), key=lambda each: (-totals[each], each), default=None)
        totals[name] = weights.get(name, 0) + (totals[last] if last is not None else 0)
        before[name] = last
    name = min(totals, key=lambda each: (-totals[each], each), default=None)
    way: list[str] = []
    while name is not None:
        way.append(name)
        name = before[name]
    return way[::-1]


def find_components(reads: Edges) -> list[set[str]]:
    """Return the parts that no edge joins, each as a set of names, by their first name."""
    beside: dict[str, set[str]] = {name: set() for name in reads}
    for name, sources in reads.items():
        for source in sources:
            beside[name].add(source)
            beside.setdefault(source, set()).add(name)
    seen: set[str] = set()
    parts: list[set[str]] = []
    for name in sorted(beside):
        if name not in seen:
            parts.append(find_needed(beside, [name]))
            seen |= parts[-1]
    return parts
