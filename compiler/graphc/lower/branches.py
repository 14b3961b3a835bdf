"""Finds ways to part a set of nodes into branches that run side by side, those worth most first.

A branch grows from a seed: a node under which, or above which, much work lies that nothing else takes part in.
Seeds that need nothing of each other make a way to part the nodes: into what comes before several branches, the
branches, and what comes after several.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from graphc.records import record

MOST_SEEDS: Final = 64
# Each branch is a container, and has a share of the machine's memory whether or not it has one of its processors.
MOST_BRANCHES: Final = 8
MOST_FORKS: Final = 12
"""Sets of seeds that are looked at; each is tried in a few forms."""

BEFORE: Final = -1

Edges = Mapping[str, Collection[str]]
"""For each node, the others that it reads, or that read it."""


@record
class Parting:
    """So many branches, and each node's place: BEFORE, its branch, or, after all branches, their number."""

    width: int
    places: Mapping[str, int]


@record
class Block:
    """Nodes in a runnable order, what they read of each other, and their milliseconds."""

    names: Sequence[str]
    reads: Edges
    ms: Mapping[str, float]


def find_partings(block: Block, least: float) -> Iterator[Parting]:
    """Yield ways to part a block into two branches or more, each with a seed of at least so many milliseconds."""
    seen: set[tuple[int, ...]] = set()
    for seeds in _find_forks(block, least):
        widths = sorted({min(len(seeds), MOST_BRANCHES), min(len(seeds), 4), 2}, reverse=True)
        for width in widths:
            branches = _deal(seeds, width)
            for early in (True, False):
                parting = _part(block, branches, width, early=early)
                key = tuple(parting.places[name] for name in block.names)
                if key not in seen:
                    seen.add(key)
                    yield parting


def part_beside(block: Block, waited: set[str], least: float) -> Iterator[Parting]:
    """Yield the way to run first what others wait for, and the rest of the block beside those others."""
    before = set(waited)
    for name in reversed(block.names):
        if name in before:
            before.update(block.reads[name])
    rest = sum(block.ms[name] for name in block.names if name not in before)
    if before and rest >= least:
        yield Parting(1, {name: BEFORE if name in before else 0 for name in block.names})


def _find_forks(block: Block, least: float) -> list[dict[str, float]]:
    """Return sets of seeds that need nothing of each other, with their weights, the heaviest seeds first."""
    weights = _weigh_seeds(block, least)
    seeds = sorted(weights, key=lambda name: -weights[name])[:MOST_SEEDS]
    above = _reach(block, seeds)
    forks: dict[tuple[str, ...], dict[str, float]] = {}
    for first in seeds:
        chosen = [first]
        for other in seeds:
            if other != first and all(
                other not in above[each] and each not in above[other] for each in chosen
            ):
                chosen.append(other)
        if len(chosen) > 1:
            chosen.sort(key=lambda name: (-weights[name], name))
            forks.setdefault(tuple(chosen), {seed: weights[seed] for seed in chosen})
    return list(forks.values())[:MOST_FORKS]


def _weigh_seeds(block: Block, least: float) -> dict[str, float]:
    """Return the nodes that are worth a branch: all that lies only under them, or only above them."""
    readers: dict[str, set[str]] = {name: set() for name in block.names}
    for name in block.names:
        for each in block.reads[name]:
            readers[each].add(name)
    under = _weigh(block.names, block.reads, block.ms)
    over = _weigh(list(reversed(block.names)), readers, block.ms)
    weights: dict[str, float] = {}
    for name in block.names:
        inner = _is_inner(name, block.reads, readers), _is_inner(name, readers, block.reads)
        weight = max(0.0 if inner[0] else under[name], 0.0 if inner[1] else over[name])
        if weight >= least:
            weights[name] = weight
    return weights


def _is_inner(name: str, before: Edges, after: Edges) -> bool:
    """Say whether a node only goes on a chain, whose end is as good a seed and has more work."""
    return len(before[name]) == 1 and all(len(after[source]) == 1 for source in before[name])


def _reach(block: Block, seeds: Sequence[str]) -> dict[str, set[str]]:
    """Return, for each seed, the seeds that lead to it."""
    bit = {seed: 1 << index for index, seed in enumerate(seeds)}
    masks: dict[str, int] = {}
    for name in block.names:
        mask = 0
        for each in block.reads[name]:
            mask |= masks[each] | bit.get(each, 0)
        masks[name] = mask
    return {seed: {other for other in seeds if masks[seed] & bit[other]} for seed in seeds}


def _deal(seeds: Mapping[str, float], width: int) -> dict[str, int]:
    """Deal the seeds out to branches, the heaviest first, each to the branch with the least work."""
    loads = [0.0] * width
    dealt: dict[str, int] = {}
    for seed in seeds:
        branch = loads.index(min(loads))
        loads[branch] += seeds[seed]
        dealt[seed] = branch
    return dealt


def _part(block: Block, seeds: Mapping[str, int], width: int, *, early: bool) -> Parting:
    """Put every node before, into a branch, or after; `early` leaves to a branch what it alone needs."""
    needed = _find_needed(block, seeds)
    placed: dict[str, int] = {}
    loads = [0.0] * width
    for name in block.names:
        before = {placed[each] for each in block.reads[name]} - {BEFORE}
        place = _place(seeds.get(name), before, needed[name], width, early=early)
        if place is None:
            place = loads.index(min(loads))
        if place in range(width):
            loads[place] += block.ms[name]
        placed[name] = place
    return Parting(width, placed)


def _place(seed: int | None, before: set[int], needed: int, width: int, *, early: bool) -> int | None:
    """Return a node's place, or None where any branch will do."""
    if seed is not None:
        return seed
    if needed and (not early or needed.bit_count() > 1):
        return BEFORE
    if needed:
        return needed.bit_length() - 1
    if before:
        return before.pop() if len(before) == 1 else width
    return None


def _find_needed(block: Block, seeds: Mapping[str, int]) -> dict[str, int]:
    """Return, for each node, the branches whose seeds it leads to, as bits."""
    needed = dict.fromkeys(block.names, 0)
    for name in reversed(block.names):
        mask = needed[name] | (1 << seeds[name] if name in seeds else 0)
        for each in block.reads[name]:
            needed[each] |= mask
    return needed


# Dominators


@record
class _Tree:
    """A tree that grows at its leaves, with jumps towards its root so that meeting points are found quickly."""

    depth: list[int] = field(default_factory=lambda: [0])
    parent: list[int] = field(default_factory=lambda: [0])
    jump: list[int] = field(default_factory=lambda: [0])

    def add(self, parent: int) -> None:
        near = self.jump[parent]
        even = self.depth[parent] - self.depth[near] == self.depth[near] - self.depth[self.jump[near]]
        self.depth.append(self.depth[parent] + 1)
        self.parent.append(parent)
        self.jump.append(self.jump[near] if even else parent)

    def meet(self, left: int, right: int) -> int:
        if self.depth[left] < self.depth[right]:
            left, right = right, left
        while self.depth[left] > self.depth[right]:
            jumps = self.depth[self.jump[left]] >= self.depth[right]
            left = self.jump[left] if jumps else self.parent[left]
        while left != right:
            jumps = self.jump[left] != self.jump[right]
            step = self.jump if jumps else self.parent
            left, right = step[left], step[right]
        return left


def _weigh(names: Sequence[str], before: Edges, ms: Mapping[str, float]) -> dict[str, float]:
    """Return, for each node, the milliseconds of all to which every way leads through it, itself included."""
    tree = _Tree()
    numbers: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        parent = -1
        for each in before[name]:
            parent = numbers[each] if parent < 0 else tree.meet(parent, numbers[each])
        tree.add(max(parent, 0))
        numbers[name] = number
    weights = [0.0, *(ms[name] for name in names)]
    for number in range(len(names), 0, -1):
        weights[tree.parent[number]] += weights[number]
    return {name: weights[numbers[name]] for name in names}
