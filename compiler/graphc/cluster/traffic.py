"""Moves shares of the requests between predictors, in whatever documents say them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from graphc.cluster.bundle import Bundle, is_route
from graphc.cluster.client import ref_of
from graphc.cluster.read import Data, copy_fields, fields, number, objects, text

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
    return Bundle(
        bundle.name, bundle.namespace, tuple(_move(each, bundle.name, shares) for each in bundle.documents)
    )


def _move(document: Data, graph: str, shares: Mapping[str, int]) -> Data:
    moved = copy_fields(document)
    if text(document, "kind") == "SeldonDeployment":
        for predictor in objects(moved, "spec", "predictors"):
            share = shares.get(text(predictor, "name"))
            if share is not None:
                predictor.pop("shadow", None)
                predictor["traffic"] = share
    elif is_route(ref_of(document)):
        for part in ("rules", "http"):
            for rule in objects(moved, "spec", part):
                _move_rule(rule, graph, shares)
    return moved


def _move_rule(rule: Data, graph: str, shares: Mapping[str, int]) -> None:
    """Set the weights of a rule that splits requests; one that sends all to a predictor is no split."""
    backends = [*objects(rule, "backendRefs"), *objects(rule, "route")]
    if len(backends) < 2 or any(number(each, "weight") is None for each in backends):
        return
    for backend in backends:
        host = text(backend, "name") or text(fields(backend, "destination"), "host").partition(".")[0]
        for predictor, share in shares.items():
            if host == f"{graph}-{predictor}":
                backend["weight"] = share


def shadows_of(documents: Sequence[Data]) -> list[str]:
    """Return the predictors that only get copies of the requests."""
    return [
        text(predictor, "name")
        for document in documents
        if text(document, "kind") == "SeldonDeployment"
        for predictor in objects(document, "spec", "predictors")
        if predictor.get("shadow") is True
    ]
