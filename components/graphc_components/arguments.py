"""Reads checked parameters back as typed values; a wrong kind here is a bug, not a user's mistake."""

from collections.abc import Mapping

from graphc_components.component import Scalar, Value


def number(values: Mapping[str, Value], name: str) -> float:
    """Return a parameter that is a number."""
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(name)
    return value


def integer(values: Mapping[str, Value], name: str) -> int:
    """Return a parameter that is a whole number."""
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(name)
    return value


def text(values: Mapping[str, Value], name: str) -> str:
    """Return a parameter that is a text."""
    value = values[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def elements(values: Mapping[str, Value], name: str) -> list[Scalar]:
    """Return a parameter that is a list."""
    value = values[name]
    if isinstance(value, str | bool | int | float | Mapping):
        raise TypeError(name)
    return list(value)


def numbers(values: Mapping[str, Value], name: str) -> list[float]:
    """Return a parameter that is a list of numbers."""
    return [each for each in elements(values, name) if isinstance(each, int | float)]


def integers(values: Mapping[str, Value], name: str) -> list[int]:
    """Return a parameter that is a list of whole numbers."""
    return [each for each in elements(values, name) if isinstance(each, int)]
