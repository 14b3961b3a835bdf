"""What a pod takes of a node, and on which nodes it may be put, as Kubernetes' scheduler has it."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final

from graphc.gpus.room import CPU, PODS
from graphc.ir.graph import Value
from graphc.quantities import is_quantity, parse_quantity
from graphc.unchecked import Data, fields, items, objects, text, texts

HARD: Final = ("NoSchedule", "NoExecute")


def needs_of(spec: Data) -> dict[str, int]:
    """Return what a pod takes, by resource; processors in thousandths, all others in their own unit."""
    running = _total(_requests(each) for each in objects(spec, "containers"))
    peak: dict[str, float] = {}
    beside: dict[str, float] = {}
    for each in objects(spec, "initContainers"):
        needs = _requests(each)
        if text(each, "restartPolicy") == "Always":
            # It stays, beside those that are started after it.
            beside = _total([beside, needs])
            peak = _most(peak, beside)
        else:
            peak = _most(peak, _total([beside, needs]))
    whole = _total([_most(_total([running, beside]), peak), _amounts(fields(spec, "overhead"))])
    return {PODS: 1} | {name: _whole(name, amount) for name, amount in whole.items() if amount}


def room_of(node: Data) -> dict[str, int]:
    """Return what a node has for pods, in the same units."""
    found = _amounts(fields(node, "status", "allocatable"))
    return {name: _whole(name, amount) for name, amount in found.items()}


def _whole(name: str, amount: float) -> int:
    return ceil(round(amount * (1000 if name == CPU else 1), 3))


def _requests(container: Data) -> dict[str, float]:
    """Return what a container asks for; what it only limits it asks for too."""
    resources = fields(container, "resources")
    return _amounts({**fields(resources, "limits"), **fields(resources, "requests")})


def _amounts(found: Mapping[str, Value]) -> dict[str, float]:
    return {name: parse_quantity(str(it)) for name, it in found.items() if is_quantity(str(it))}


def _total(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for needs in each:
        for name, amount in needs.items():
            found[name] = found.get(name, 0) + amount
    return found


def _most(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def may_go_to(spec: Data, node: Data) -> bool:
    """Say whether a pod may run on a node, leaving its room aside."""
    if fields(node, "spec").get("unschedulable") is True:
        return False
    labels = texts(node, "metadata", "labels")
    if not texts(spec, "nodeSelector").items() <= labels.items():
        return False
    required = fields(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required and not any(_is_met(term, labels) for term in objects(required, "nodeSelectorTerms")):
        return False
    tolerations = list(objects(spec, "tolerations"))
    hard = (each for each in objects(node, "spec", "taints") if text(each, "effect") in HARD)
    return all(any(_tolerates(it, taint) for it in tolerations) for taint in hard)


def _is_met(term: Data, labels: Mapping[str, str]) -> bool:
    expressions = list(objects(term, "matchExpressions"))
    # A term of nothing is met by no node.
    return bool(expressions) and all(_holds(each, labels) for each in expressions)


def _holds(expression: Data, labels: Mapping[str, str]) -> bool:
    value = labels.get(text(expression, "key"))
    values = [str(each) for each in items(expression, "values")]
    match text(expression, "operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as order:
            return _compares(order, value, values)
        case _:
            return False


def _compares(order: str, value: str | None, values: list[str]) -> bool:
    if value is None or len(values) != 1 or not value.isdecimal() or not values[0].isdecimal():
        return False
    return int(value) > int(values[0]) if order == "Gt" else int(value) < int(values[0])


def _tolerates(toleration: Data, taint: Data) -> bool:
    key, effect = text(toleration, "key"), text(toleration, "effect")
    if effect and effect != text(taint, "effect"):
        return False
    if text(toleration, "operator") == "Exists":
        return not key or key == text(taint, "key")
    return key == text(taint, "key") and text(toleration, "value") == text(taint, "value")
