"""Looks into unchecked JSON: returns a value of the kind asked for, or none."""

from collections.abc import Iterator, Mapping, Sequence
from json import loads
from typing import cast

from graphc.source.located import Plain

Data = dict[str, Plain]


def parse(written: str) -> object:
    """Return what a text of JSON says; what is none, or is nested too deeply, raises ValueError."""
    try:
        return cast("object", loads(written))
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def find(value: object, *path: str) -> object:
    """Return what lies at the path; None where there is nothing."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(step)
    return value


def text(value: object, *path: str) -> str:
    """Return the text at the path, empty where there is none."""
    found = find(value, *path)
    return found if isinstance(found, str) else ""


def number(value: object, *path: str) -> int | None:
    """Return the whole number at the path."""
    found = find(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def fields(value: object, *path: str) -> Data:
    """Return the mapping at the path, empty where there is none."""
    found = find(value, *path)
    return cast("Data", found) if isinstance(found, dict) else {}


def items(value: object, *path: str) -> list[Plain]:
    """Return the list at the path, empty where there is none."""
    found = find(value, *path)
    return cast("list[Plain]", found) if isinstance(found, list) else []


def objects(value: object, *path: str) -> Iterator[Data]:
    """Yield the mappings in the list at the path."""
    for each in items(value, *path):
        if isinstance(each, dict):
            yield each


def texts(value: object, *path: str) -> dict[str, str]:
    """Return the texts by name of the mapping at the path."""
    return {name: each for name, each in fields(value, *path).items() if isinstance(each, str)}


def copy(value: Plain) -> Plain:
    """Return a copy of the value that shares nothing with it."""
    if isinstance(value, Mapping):
        return {name: copy(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [copy(each) for each in value]
    return value


def copy_fields(value: Mapping[str, Plain]) -> Data:
    """Return a copy of the mapping that shares nothing with it."""
    return {name: copy(each) for name, each in value.items()}
