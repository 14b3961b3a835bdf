"""Moves shares of the requests between predictors, in all documents that state them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from graphc.cluster.bundle import Bundle, is_route
from graphc.cluster.client import ref_of
from graphc.cluster.route_shares import Moves, move_rules
from graphc.rollout.model import ANNOTATION, Rollout, Share, Way
from graphc.rollout.read import read_rollout
from graphc.seldon.deployment import deployment_of
from graphc.unchecked import Data, copy_fields, fields, objects, text

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
        predictor.name
        for predictor in deployment_of(bundle.deployment or {}).predictors
        if not predictor.is_shadow and predictor.share != 0
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
        _move_annotation(moved, moves)
    elif is_route(ref_of(document)):
        move_rules(moved, moves)
    return moved


def _move_annotation(deployment: Data, moves: Moves) -> None:
    """Have the annotation, where there is one, say of the shares what the predictors do."""
    annotations = fields(deployment, "metadata", "annotations")
    if ANNOTATION not in annotations:
        return
    rollout = _move_rollout(read_rollout(deployment_of(deployment)), moves)
    if rollout.is_plain:
        del annotations[ANNOTATION]
    else:
        annotations[ANNOTATION] = json.dumps(rollout.to_json(), separators=(",", ":"))


def _move_rollout(rollout: Rollout, moves: Moves) -> Rollout:
    mirrors = {each.predictor for each in rollout.mirrors} & moves.answering
    ways = tuple(
        replace(way, shares=tuple(_move_shares(way, moves, mirrors)))
        if moves.share_in({each.predictor for each in way.shares})
        else way
        for way in rollout.ways
    )
    return replace(
        rollout, ways=ways, mirrors=tuple(each for each in rollout.mirrors if each.predictor not in mirrors)
    )


def _move_shares(way: Way, moves: Moves, mirrors: set[str]) -> Iterator[Share]:
    for each in way.shares:
        yield replace(each, weight=moves.shares.get(each.predictor, each.weight))
    yield from (Share(name, share) for name, share in moves.shares.items() if name in mirrors)


def shadows_of(documents: Sequence[Data]) -> list[str]:
    """Return the predictors that only get copies of the requests."""
    return [
        predictor.name
        for document in documents
        if text(document, "kind") == "SeldonDeployment"
        for predictor in deployment_of(document).predictors
        if predictor.is_shadow
    ]
