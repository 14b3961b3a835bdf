"""Reads the cases that lie beside a graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from graphc.cases.case import FIELDS, OK, TOLERANCE, Case, CaseError, CaseFile, Data
from graphc.regular_files import open_regular
from graphc.unchecked import parse

_LARGEST: Final = 256 << 20
_PAIR: Final = ("request.json", "expected.json")
_STATUSES: Final = range(200, 600)


def find_case_files(graph: Path, named: tuple[str, ...] = ()) -> list[CaseFile]:
    """Return the cases of a graph's file; raises CaseError.

    Without names these are `NAME.cases.json` beside `NAME.yaml`, or else `cases.json` and the pair of `request.json`
    and `expected.json`, as far as they are there.
    """
    if named:
        return [read_cases(Path(each)) for each in named]
    own = graph.with_suffix(".cases.json")
    if own.exists():
        return [read_cases(own)]
    shared = graph.parent / "cases.json"
    found = [read_cases(shared)] if shared.exists() else []
    pair = [graph.parent / name for name in _PAIR]
    return [_read_pair(pair[0], pair[1]), *found] if all(each.exists() for each in pair) else found


def read_cases(path: Path) -> CaseFile:
    """Read a file of cases: a list, or one case; raises CaseError."""
    value = read_json(path)
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    cases = tuple(_read(each, number, path) for number, each in enumerate(listed, 1))
    return CaseFile(path, cases, tuple(cast("list[Data]", listed)))


def read_json(path: Path) -> object:
    """Return what a JSON file holds; raises CaseError."""
    try:
        with open_regular(path) as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise CaseError(f"`{path}` is larger than {_LARGEST >> 20} MiB")
        return parse(text.decode())
    except OSError as failure:
        reason = failure.strerror or f"it is {failure}"
        raise CaseError(f"`{path}` cannot be read: {reason.lower()}") from failure
    except ValueError as failure:
        raise CaseError(f"`{path}` is not JSON in UTF-8: {failure}") from failure


def _read_pair(request: Path, expected: Path) -> CaseFile:
    value: Data = {"name": request.name, "request": request.name, "expected": expected.name}
    return CaseFile(request, (_read(value, 1, request),), (value,))


def _read(value: object, number: int, path: Path) -> Case:
    place = f"`{path}`, case {number}"
    if not isinstance(value, dict):
        raise CaseError(f"{place} is not an object with `request`")
    fields = cast("Data", value)
    unknown = next((name for name in fields if name not in FIELDS), None)
    if unknown is not None:
        raise CaseError(f"{place} has an unknown field `{unknown[:80]}`; a case has {', '.join(FIELDS)}")
    status, tolerance = fields.get("status", OK), fields.get("tolerance", TOLERANCE)
    if type(status) is not int or status not in _STATUSES:
        raise CaseError(f"{place}: `status` is not an HTTP status from 200 to 599")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1e300:
        raise CaseError(f"{place}: `tolerance` is not a number of at least 0")
    return Case(
        path,
        number,
        _text(fields, "name", place),
        _text(fields, "predictor", place),
        _payload(fields, "request", place) or _missing(place),
        _headers(fields, place),
        _payload(fields, "expected", place),
        status,
        _text(fields, "error", place),
        float(tolerance),
    )


def _missing(place: str) -> Data:
    raise CaseError(f"{place} has no `request`")


def _text(fields: Data, name: str, place: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise CaseError(f"{place}: `{name}` is not a text")
    return value


def _payload(fields: Data, name: str, place: str) -> Data | str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str | dict):
        raise CaseError(f"{place}: `{name}` is neither an object nor the name of a file")
    return cast("Data | str | None", value)


def _headers(fields: Data, place: str) -> Mapping[str, str]:
    value = fields.get("headers", {})
    named = cast("Data", value) if isinstance(value, dict) else {"": None}
    if not all(isinstance(each, str) for each in named.values()):
        raise CaseError(f"{place}: `headers` is not a mapping of texts")
    return cast("Mapping[str, str]", named)
