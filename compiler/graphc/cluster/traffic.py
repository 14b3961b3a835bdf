"""Moves shares of the requests between predictors, in whatever documents say them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from graphc.cluster.bundle import Bundle, is_route
from graphc.cluster.client import ref_of
from graphc.cluster.read import Data, copy_fields, number, objects, text
from graphc.cluster.route_shares import Moves, move_rules

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
    before = {
        text(predictor, "name")
        for predictor in objects(bundle.deployment or {}, "spec", "predictors")
        if predictor.get("shadow") is not True and number(predictor, "traffic") != 0
    }
    moves = Moves(bundle.name, shares, frozenset(before))
    return Bundle(bundle.name, bundle.namespace, tuple(_move(each, moves) for each in bundle.documents))


def _move(document: Data, moves: Moves) -> Data:
    moved = copy_fields(document)
    if text(document, "kind") == "SeldonDeployment":
        for predictor in objects(moved, "spec", "predictors"):
            share = moves.shares.get(text(predictor, "name"))
            if share is not None:
                predictor.pop("shadow", None)
                predictor["traffic"] = share
    elif is_route(ref_of(document)):
        move_rules(moved, moves)
    return moved


def shadows_of(documents: Sequence[Data]) -> list[str]:
    """Return the predictors that only get copies of the requests."""
    return [
        text(predictor, "name")
        for document in documents
        if text(document, "kind") == "SeldonDeployment"
        for predictor in objects(document, "spec", "predictors")
        if predictor.get("shadow") is True
    ]
