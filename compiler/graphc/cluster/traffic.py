"""Moves shares of the requests between predictors, in all documents that state them."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from graphc.cluster.bundle import Bundle, is_route
from graphc.cluster.client import ref_of
from graphc.cluster.find_serving import read_graph, serving_of
from graphc.cluster.route_shares import move_rules
from graphc.cluster.share_moves import Moves
from graphc.ir.graph import Value
from graphc.unchecked import copy_fields

WHOLE: Final = 100


def share_out(shares: Mapping[str, int], target: str, wanted: int) -> dict[str, int]:
    """Give the target its share; the others keep their proportions, and all sum to 100."""
    others = {name: share for name, share in shares.items() if name != target}
    left, total = WHOLE - wanted, sum(others.values())
    if not others:
        return {target: WHOLE}
    # Where the others had nothing, the first gets what is left.
    weights = others if total else {name: int(index == 0) for index, name in enumerate(others)}
    exact = {name: left * weight / (total or 1) for name, weight in weights.items()}
    shared = {name: math.floor(each) for name, each in exact.items()}
    missing = left - sum(shared.values())
    for name in sorted(others, key=lambda it: shared[it] - exact[it])[:missing]:
        shared[name] += 1
    return {name: wanted if name == target else shared.get(name, 0) for name in {**shares, target: wanted}}


def move(bundle: Bundle, shares: Mapping[str, int]) -> Bundle:
    """Return the documents with these shares; a shadow that gets one answers clients from now on."""
    serving = serving_of(bundle.documents)
    before = {
        predictor.name
        for predictor in read_graph(bundle.documents).predictors
        if not predictor.is_shadow and predictor.share != 0
    }
    moves = Moves(bundle.name, shares, frozenset(before))
    moved = tuple(map(copy_fields, bundle.documents))
    for document in moved:
        if is_route(ref_of(document)):
            move_rules(document, moves)
        elif serving is not None:
            serving.move(document, moves)
    return Bundle(bundle.name, bundle.namespace, moved)


def traffic_of(documents: Iterable[Mapping[str, Value]]) -> dict[str, int]:
    """Return the share of each predictor that answers clients."""
    return {
        each.name: WHOLE if each.share is None else each.share
        for each in read_graph(documents).predictors
        if not each.is_shadow
    }


def shadows_of(documents: Iterable[Mapping[str, Value]]) -> list[str]:
    """Return the predictors that only get copies of the requests."""
    return [each.name for each in read_graph(documents).predictors if each.is_shadow]
