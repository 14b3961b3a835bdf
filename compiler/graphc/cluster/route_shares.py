"""Moves shares between predictors in routes: the weights of a rule, and shadows that it copies requests to."""

from collections.abc import Iterator, Mapping

from graphc.cluster.share_moves import Moves
from graphc.unchecked import Data, fields, number, objects, text


def move_rules(document: Data, moves: Moves) -> None:
    """Set the weights of the rules that share requests; a rule for one other version is left as it is.

    A shadow that gets a share takes the place of its mirror in every rule: where requests are shared it becomes a
    backend of the rule that copied them to it.
    """
    for rule in _sharing_rules(document, moves.graph):
        _move_rule(rule, moves)


def find_left_out(document: Mapping[str, object], moves: Moves) -> set[str]:
    """Return the predictors with a share to which a route's rules send nothing."""
    rules = list(_sharing_rules(document, moves.graph))
    if not rules and any(_rules(document)):
        # Each of them is for clients that ask a version by its name.
        return set()
    sent: set[str] = set()
    for rule in rules:
        weights = {_predictor(each, moves.graph): number(each, "weight") for each in _backends(rule)}
        if moves.share_in(weights.keys()):
            sent |= {name for name, weight in weights.items() if weight != 0}
    return moves.answering - sent


def _rules(document: Mapping[str, object]) -> Iterator[Data]:
    for part in ("rules", "http"):
        yield from objects(document, "spec", part)


def _sharing_rules(document: Mapping[str, object], graph: str) -> Iterator[Data]:
    """Yield the rules but for those of versions by their names, which go where they go whatever the shares."""
    named = f"/v2/models/{graph}/versions/"
    for rule in _rules(document):
        if not any(named in path for path in _paths(rule)):
            yield rule


def _paths(rule: Data) -> Iterator[str]:
    """Yield the paths that a rule of the Gateway API or of Istio is for."""
    yield from (text(each, "path", "value") for each in objects(rule, "matches"))
    for each in objects(rule, "match"):
        yield from (str(value) for value in fields(each, "uri").values())


def _backends(rule: Mapping[str, object]) -> list[Data]:
    return [*objects(rule, "backendRefs"), *objects(rule, "route")]


def _move_rule(rule: Data, moves: Moves) -> None:
    mirrored = _take_mirrors(rule, moves)
    backends = _backends(rule)
    if not moves.share_in({_predictor(each, moves.graph) for each in backends}):
        return
    for backend in backends:
        share = moves.shares.get(_predictor(backend, moves.graph))
        if share is not None:
            backend["weight"] = share
    key = "backendRefs" if "backendRefs" in rule else "route"
    new = [each | {"weight": moves.shares[name]} for name, each in mirrored.items()]
    rule[key] = [*backends, *new]


def _take_mirrors(rule: Data, moves: Moves) -> dict[str, Data]:
    """Take the mirrors of predictors with a share out of a rule, and return them as backends."""
    found: dict[str, Data] = {}
    for key in ("filters", "mirrors"):
        kept: list[Data] = []
        for each in objects(rule, key):
            backend = fields(each, "requestMirror", "backendRef") if key == "filters" else _destination(each)
            name = _predictor(backend, moves.graph)
            if name in moves.answering:
                found[name] = dict(backend)
            else:
                kept.append(each)
        if kept:
            rule[key] = list(kept)
        else:
            rule.pop(key, None)
    return found


def _destination(mirror: Data) -> Data:
    return {"destination": fields(mirror, "destination")}


def _predictor(backend: Mapping[str, object], graph: str) -> str:
    """Return whose Service a backend of the Gateway API or of Istio is; nothing where it is no predictor's."""
    service = text(backend, "name") or text(fields(backend, "destination"), "host").partition(".")[0]
    return service.removeprefix(f"{graph}-") if service.startswith(f"{graph}-") else ""
