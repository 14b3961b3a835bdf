"""Functions of several shapes."""

from typing import Any


def score(p: Any, q: Any) -> Any:
    return p + q


def placed(p: Any, /) -> Any:
    return p


def loose(**inputs: Any) -> Any:
    return inputs


def optional(p: Any, q: Any = None) -> Any:
    return p if q is None else q


class Wide:
    """Stands for an MLServer model."""
