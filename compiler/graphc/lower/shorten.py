"""Joins units in sequence until the tree is no deeper than the ten levels that a SeldonDeployment has."""

from dataclasses import replace
from typing import Final

from graphc.graph import Placement
from graphc.lower.schedule import Branching
from graphc.plan import Region

# The CRD nests `children` ten levels deep; deeper units are cut off, or refused under strict validation.
MAX_DEPTH: Final = 10


def shorten(tree: Branching) -> Branching:
    """Return a tree of ten levels at most, joining free units; deeper where placements leave no choice."""
    while _depth(tree) > MAX_DEPTH:
        joined = _join_on(tree, MAX_DEPTH)
        if joined is None:
            break
        tree = joined
    return tree


def _depth(tree: Branching) -> int:
    return 1 + max((_depth(child) for child in tree.children), default=0)


def _join_on(tree: Branching, room: int) -> Branching | None:
    """Join one pair on every path that is longer than the room; None where a path has no such pair."""
    if _depth(tree) <= room:
        return tree
    joined = _join_here(tree)
    if joined is not None or not tree.children:
        return joined
    children = [_join_on(child, room - 1) for child in tree.children]
    kept = [child for child in children if child is not None]
    return replace(tree, children=kept) if len(kept) == len(children) else None


def _join_here(tree: Branching) -> Branching | None:
    if len(tree.children) != 1:
        return None
    child = tree.children[0]
    if not (_may_join(tree.region) and _may_join(child.region)):
        return None
    if tree.type == child.type == "MODEL":
        return replace(child, region=_joined(tree.region, child.region))
    if tree.type == "OUTPUT_TRANSFORMER" and child.type in {"OUTPUT_TRANSFORMER", "COMBINER"}:
        return replace(child, region=_joined(child.region, tree.region))
    return None


def _may_join(region: Region) -> bool:
    return region.placement.is_free


def _joined(first: Region, then: Region) -> Region:
    return Region(then.name, (*first.nodes, *then.nodes), Placement())
