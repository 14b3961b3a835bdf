"""Says in what an answer differs from the one that a case expects."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graphc.cases.case import OK, Answer, Case, CaseError
from graphc.cases.payloads import Types, place_file, read_expected
from graphc.client.answer import read_tensor
from graphc.client.csv_file import write_csv
from graphc.client.failure import InferError
from graphc.client.printing import clean, shorten
from graphc.client.tensor import Array, Tensor
from graphc.unchecked import items, text

Mask = NDArray[np.bool_]


def find_faults(case: Case, answer: Answer, types: Types) -> Iterator[str]:
    """Yield what is wrong with an answer; `types` are those of the graph's outputs. Raises CaseError."""
    told = text(answer.body, "error")
    if answer.status != case.status:
        why = f": {shorten(told)}" if told else ""
        yield f"is answered with status {answer.status} where {case.status} was expected{why}"
        return
    if case.error is not None and case.error not in told:
        yield f"is refused with `{shorten(told)}`, which has no `{shorten(case.error)}` in it"
    if case.status != OK:
        return
    if case.expected is None:
        yield "has nothing `expected`; `--update` writes what was answered"
        return
    given = read_outputs(answer)
    expected = read_expected(case, types)
    if expected is None:
        yield from _compare_table(given, place_file(case, str(case.expected)), case.tolerance)
        return
    found = {each.name: each for each in given}
    for each in expected:
        if each.name in found:
            yield from compare_tensors(found[each.name], each, case.tolerance)
        else:
            yield f"output `{clean(each.name)}` is absent"


def read_outputs(answer: Answer) -> list[Tensor]:
    """Return the tensors of an answer; raises CaseError."""
    try:
        return [read_tensor(each) for each in items(answer.body, "outputs")]
    except InferError as failure:
        raise CaseError(str(failure)) from failure


def compare_tensors(found: Tensor, expected: Tensor, tolerance: float) -> Iterator[str]:
    """Yield in what a tensor differs from the one that is expected."""
    name = clean(found.name)
    if found.datatype != expected.datatype:
        yield f"output `{name}` is {found.datatype} where {expected.datatype} was expected"
    elif found.shape != expected.shape:
        yield f"output `{name}` has shape {found.shape} where {expected.shape} was expected"
    else:
        differs = ~_are_close(found.array, expected.array, tolerance)
        if differs.any():
            yield f"output `{name}`{_describe(found.array, expected.array, differs)}"


def _are_close(found: Array, expected: Array, tolerance: float) -> Mask:
    if found.dtype.kind != "f":
        return np.asarray(found == expected, np.bool_)
    wide, wanted = found.astype(np.float64), expected.astype(np.float64)
    return np.isclose(wide, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)


def _describe(found: Array, expected: Array, differs: Mask) -> str:
    """Say which element differs first, and how many rows do, and how far they are apart."""
    first = tuple(int(each) for each in np.argwhere(differs)[0])
    place = f", row {first[0]}" if first else ""
    place += f", at {list(first[1:])}" if len(first) > 1 else ""
    words = f"{place}: {_show(found[first])} where {_show(expected[first])} was expected"
    if found.ndim and len(found) > 1:
        rows = int(np.count_nonzero(differs.reshape(len(differs), -1).any(axis=1)))
        words += f"; {rows} of {len(found)} rows differ"
    if found.dtype.kind == "f":
        pairs = zip(found[differs].tolist(), expected[differs].tolist(), strict=True)
        apart = [abs(one - other) for one, other in cast("Iterable[tuple[float, float]]", pairs)]
        known = [each for each in apart if math.isfinite(each)]
        words += f", apart by at most {max(known):.3g}" if known else ""
    return words


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return f"`{shorten(value.decode(errors='replace'))}`"
    plain = cast("object", value.item()) if isinstance(value, np.generic) else value
    return f"{plain:.6g}" if isinstance(plain, float) else str(plain)


def write_table(tensors: Sequence[Tensor]) -> str:
    """Return an answer as CSV; raises CaseError where CSV cannot hold it."""
    file = io.StringIO()
    try:
        write_csv(tensors, file)
    except InferError as failure:
        raise CaseError(str(failure)) from failure
    return file.getvalue()


def _compare_table(given: Sequence[Tensor], path: Path, tolerance: float) -> Iterator[str]:
    wanted, found = _read_rows(path), list(csv.reader(io.StringIO(write_table(given))))
    if not wanted:
        raise CaseError(f"`{path}` is empty; its first line names the columns of the answer")
    places = [found[0].index(name) if name in found[0] else None for name in wanted[0]]
    for name, place in zip(wanted[0], places, strict=True):
        if place is None:
            yield f"column `{clean(name)}` is absent"
    if len(found) != len(wanted):
        yield f"has {len(found) - 1} rows where {len(wanted) - 1} were expected"
        return
    for place, column in enumerate(places):
        pairs = [
            (found[row][column], wanted[row][place]) for row in range(1, len(wanted)) if column is not None
        ]
        rows = [row for row, pair in enumerate(pairs) if not _are_same(*pair, tolerance)]
        if rows:
            is_, was = pairs[rows[0]]
            words = f"column `{clean(wanted[0][place])}`, row {rows[0]}: {clean(is_)} where {clean(was)}"
            yield f"{words} was expected; {len(rows)} of {len(pairs)} rows differ"


def _are_same(found: str, wanted: str, tolerance: float) -> bool:
    if found == wanted:
        return True
    try:
        return math.isclose(float(found), float(wanted), rel_tol=tolerance, abs_tol=tolerance)
    except ValueError:
        return False


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise CaseError(f"`{path}` cannot be read as CSV in UTF-8") from failure
    odd = next((number for number, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if odd is not None:
        raise CaseError(f"`{path}` has {len(rows[odd])} columns in row {odd} and {len(rows[0])} in its head")
    return rows
