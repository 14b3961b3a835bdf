"""What a router decides by, and the parameters of its choice."""

import math
from collections.abc import Mapping
from typing import Final, cast

from graphc_components.tensors import INTEGERS, NUMERIC, value_range

from graphc.ir.graph import Value
from graphc.spec.fields import Branch, RandomKey, Router

CONDITIONS: Final[Mapping[str, str]] = {
    "threshold": "below",
    "equals": "equals",
    "parameter": "equals",
    "header": "equals",
    "random": "weight",
}
"""The field of a branch that each router decides by."""


def condition_of(branch: Branch, field: str) -> object:
    """Return what a branch is taken by."""
    return getattr(branch, field)


def choice_parameters(name: str, router: Router) -> dict[str, Value]:
    """Return the parameters of a checked router's choice."""
    field = CONDITIONS[router.router]
    values = [condition_of(branch, field) for branch in router.branches]
    conditions = [cast("Value", value) for value in values if value is not None]
    parameters: dict[str, Value] = {"weights" if field == "weight" else field: conditions}
    if router.name is not None:
        parameters["name"] = router.name
    if router.router == "random":
        parameters |= {"key": _key(router.key), "salt": name}
    return parameters | {"branches": len(router.branches)}


def _key(key: RandomKey | None) -> Value:
    if key is None:
        return None
    return {"header": key.header} if key.header is not None else {"parameter": key.parameter}


def can_hold(datatype: str, value: object) -> bool:
    """Say whether a value of a graph file can be an element of a tensor."""
    match value:
        case bool():
            return datatype == "BOOL"
        case str():
            return datatype == "BYTES"
        case int() | float():
            if datatype not in NUMERIC or (isinstance(value, float) and datatype in INTEGERS):
                return False
            least, greatest = value_range(datatype)
            return not math.isfinite(value) or least <= value <= greatest
        case _:
            return False
