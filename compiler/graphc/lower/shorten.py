"""Joins units in sequence until the tree has no more levels than what runs it takes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from graphc.ir.graph import Placement
from graphc.ir.plan import Costs, Region
from graphc.lower.costs import region_ms
from graphc.lower.schedule import Branching
from graphc.records import record

# So deep a tree comes of units that were asked for, which cannot be joined.
HOPELESS: Final = 200


@record
class _Pair:
    """A unit that can be joined with its only child, by its way from the root."""

    ms: float
    way: tuple[int, ...]


def shorten(tree: Branching, costs: Costs, most: int) -> Branching:
    """Return a tree of so many levels at most, joining free units, the pair with the least work first.

    It stays deeper where placements leave no choice.
    """
    while most < depth_of(tree) < HOPELESS:
        pairs = list(_find_pairs(tree, costs, most, ()))
        if not pairs:
            break
        tree = _join_at(tree, min(pairs, key=lambda pair: (pair.ms, pair.way)).way)
    return tree


def depth_of(tree: Branching) -> int:
    """Return the number of levels, of however deep a tree."""
    level, depth = [tree], 0
    while level:
        level, depth = [child for each in level for child in each.children], depth + 1
    return depth


def _find_pairs(tree: Branching, costs: Costs, most: int, way: tuple[int, ...]) -> Iterator[_Pair]:
    """Yield the pairs that can be joined on paths of more than so many levels."""
    if depth_of(tree) <= most:
        return
    if _join(tree) is not None:
        regions = (tree.region, tree.children[0].region)
        yield _Pair(sum(region_ms(region.nodes, costs) for region in regions), way)
    for index, child in enumerate(tree.children):
        yield from _find_pairs(child, costs, most - 1, (*way, index))


def _join_at(tree: Branching, way: tuple[int, ...]) -> Branching:
    if not way:
        joined = _join(tree)
        assert joined is not None
        return joined
    children = list(tree.children)
    children[way[0]] = _join_at(children[way[0]], way[1:])
    return replace(tree, children=children)


def _join(tree: Branching) -> Branching | None:
    """Return a unit joined with its only child; None where one of them asks for a container of its own."""
    if len(tree.children) != 1:
        return None
    child = tree.children[0]
    if not (tree.region.placement.is_free and child.region.placement.is_free):
        return None
    if tree.type == child.type == "MODEL":
        return replace(child, region=_joined(tree.region, child.region))
    if tree.type == "OUTPUT_TRANSFORMER" and child.type in {"OUTPUT_TRANSFORMER", "COMBINER"}:
        return replace(child, region=_joined(child.region, tree.region))
    return None


def _joined(first: Region, then: Region) -> Region:
    return Region(then.name, (*first.nodes, *then.nodes), Placement())
