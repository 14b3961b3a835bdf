"""Rows of text cells, as CSV files have them, and the arrays that become of them.

An empty cell is a missing value: NaN where the input's datatype has one, an empty text in BYTES, an error elsewhere.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from graphc_components.tensors import FLOATS, TensorType

from graphc.client.failure import InferError
from graphc.client.printing import shorten
from graphc.client.tensor import Array, Leaf, make_array, make_texts

SUFFIXES: Final = frozenset({".csv", ".tsv"})

_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False}
_NUMBERED: Final = re.compile(r"(.+)\[(\d{1,6})\]")
_DELIMITERS: Final = (",", ";", "\t")

Rows = Sequence[Sequence[str]]


def read_rows(path: Path, name: str) -> list[list[str]]:
    """Return a file's rows, all of one length, the header among them; raises InferError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _find_delimiter(file.readline())
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InferError(f"`{path}` is not CSV: {error}") from error
    if not rows:
        raise InferError(f"`{path}` is empty")
    if any(len(row) != len(rows[0]) for row in rows):
        raise InferError(f"`{path}` for input `{name}` has rows of different lengths")
    return rows


def _find_delimiter(line: str) -> str:
    """Return what parts the cells of a file, by its first line: spreadsheets of many languages write semicolons."""
    return next((each for each in _DELIMITERS if each in line), ",")


def array_of_file(rows: Rows, name: str, wanted: TensorType | None) -> Array:
    """Return a whole file as the array of one input, without the header if there is one; raises InferError."""
    if wanted is not None and wanted.datatype == "BYTES":
        body = rows[1:] if list(rows[0]) == [name] else rows
        return _texts(body, len(rows[0]), name)
    # A row in which nothing is a number stands above the numbers.
    is_header = all(cell.strip() and _number(cell) is None for cell in rows[0])
    if wanted is None and is_header and not _are_numbers(rows[1:]):
        return _texts(rows, len(rows[0]), name)
    return array_of_rows(rows[1:] if is_header else rows, len(rows[0]), name, wanted)


def group_columns(header: Sequence[str]) -> dict[str, list[int]]:
    """Return where the columns of each input are: `x`, or `x[0]`, `x[1]`, ...; raises InferError."""
    found = dict[str, list[int]]()
    for place, title in enumerate(header):
        numbered = _NUMBERED.fullmatch(title)
        name, index = (numbered[1], int(numbered[2])) if numbered else (title, 0)
        columns = found.setdefault(name, [])
        if index != len(columns):
            raise InferError(
                f"column `{shorten(title)}` stands where `{shorten(name)}[{len(columns)}]` should"
            )
        columns.append(place)
    return found


def array_of_rows(rows: Rows, width: int, name: str, wanted: TensorType | None) -> Array:
    """Return rows without a header as an array of the wanted kind; raises InferError."""
    is_text = not _are_numbers(rows) if wanted is None else wanted.datatype == "BYTES"
    if is_text:
        return _texts(rows, width, name)
    cells = [_leaf(cell, place, name, wanted) for place, row in enumerate(rows, 1) for cell in row]
    return make_array(cells, (len(rows), width), name)


def _texts(rows: Rows, width: int, name: str) -> Array:
    return make_texts([cell for row in rows for cell in row], (len(rows), width), name)


def _are_numbers(rows: Rows) -> bool:
    """Say whether rows hold numbers and missing ones only, and some number."""
    cells = [cell for row in rows for cell in row if cell.strip()]
    return bool(cells) and all(_number(cell) is not None for cell in cells)


def _leaf(cell: str, row: int, name: str, wanted: TensorType | None) -> Leaf:
    if cell.strip():
        number = _number(cell)
        if number is None:
            kind = "numbers" if wanted is None else f"datatype {wanted.datatype}"
            raise InferError(f"input `{name}` has {kind}, and `{shorten(cell)}` in row {row} is no number")
        return number
    if wanted is not None and wanted.datatype not in FLOATS:
        raise InferError(f"input `{name}` has a missing value in row {row}, and {wanted.datatype} has none")
    return None


def _number(cell: str) -> bool | int | float | None:
    text = cell.strip()
    if text.lower() in {"true", "false"}:
        return _TRUTH[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
