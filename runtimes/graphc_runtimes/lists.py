"""Lists of Python's numbers and texts, as JSON and gRPC give them, to flat arrays."""

import math
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Final, cast

import numpy as np
from graphc_components.datatypes import Array, to_numpy
from graphc_components.tensors import DATATYPES

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.shapes import MOST_DIMS
from graphc_runtimes.shown import describe_kind

EXACT: Final = 2**53
"""Up to here a float64 holds every whole number, so that going through it rounds no more than once."""

_FEW: Final = 128
"""Fewer numbers than these Python handles faster than numpy."""
_MOST_LENGTHS: Final = 64

# What is packed as one of these is neither rounded nor cut: whole numbers are checked, and floats are looked at.
_CODES: Final = {
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}


class FlatDecoder:
    """Makes arrays of a datatype out of flat lists of numbers."""

    def __init__(self, datatype: str) -> None:
        self._code = _CODES.get(datatype)
        self._dtype = to_numpy(datatype)
        self._packs: dict[int, Callable[..., bytes]] = {}

    def __call__(self, data: Sequence[object]) -> Array | None:
        """Return a flat list as an array; None where anything about it is out of the ordinary."""
        code, pack = self._code, self._packs.get(len(data))
        if code is None or not data or isinstance(data[0], bool):
            return None
        try:
            flat = np.frombuffer((pack or self._prepare(len(data)))(*data), self._dtype)
        except (struct.error, OverflowError):
            return None
        return None if code == "f" and not _is_within(flat, cast("Sequence[float]", data)) else flat

    def _prepare(self, count: int) -> Callable[..., bytes]:
        """Return what packs so many numbers, which is kept for the next list of that length."""
        if len(self._packs) >= _MOST_LENGTHS:
            self._packs.clear()
        pack = self._packs[count] = struct.Struct(f"{count}{self._code}").pack
        return pack


_DECODERS: Final = {datatype: FlatDecoder(datatype) for datatype in DATATYPES}


def _is_within(flat: Array, data: Sequence[float]) -> bool:
    least, most = (min(data), max(data)) if len(data) < _FEW else (flat.min(), flat.max())
    # What was rounded to the bound itself may have been beyond it.
    return bool(least > -EXACT and most < EXACT)


def flatten(data: Sequence[object]) -> Sequence[object]:
    """Return the elements of rows within rows, in order; raises ArrayError where rows differ in length."""
    for _ in range(MOST_DIMS):
        kinds = set(map(type, data))
        if list not in kinds:
            return data
        rows = cast("Sequence[list[object]]", data)
        if len(kinds) > 1 or len(set(map(len, rows))) > 1:
            raise ArrayError("has rows that differ in length")
        data = list(chain.from_iterable(rows))
    raise ArrayError(f"has more than {MOST_DIMS} lists within lists")


def convert(data: Sequence[object], datatype: str) -> Array:
    """Return a flat list of numbers as an array; raises ArrayError."""
    if (flat := _DECODERS[datatype](data)) is not None:
        return flat
    kind = to_numpy(datatype).kind
    kinds = set(map(type, data))
    if kind == "b":
        return _to_booleans(data, kinds)
    if kind == "f":
        return _to_floats(data, kinds, datatype)
    return _to_integers(data, kinds, datatype)


def _expect(kinds: Collection[type], known: Collection[type], what: str) -> None:
    """Refuse values of any other kind; truth values pass for numbers only among those."""
    strange = [kind for kind in kinds if kind not in known]
    if strange or kinds == {bool}:
        told = sorted(map(describe_kind, strange or kinds))[0]
        raise ArrayError(f"holds {told} where {what} should be")


def _to_booleans(data: Sequence[object], kinds: Collection[type]) -> Array:
    if not {bool, int}.issuperset(kinds):
        told = sorted(describe_kind(kind) for kind in kinds if kind not in (bool, int))[0]
        raise ArrayError(f"holds {told} where a truth value should be")
    found = np.array(data)
    if found.dtype.kind not in "biu" or not bool(np.isin(found, (0, 1)).all()):
        raise ArrayError("holds a number that is not 0 or 1, where a truth value should be")
    return found.astype(np.bool_)


def _to_floats(data: Sequence[object], kinds: Collection[type], datatype: str) -> Array:
    # JSON has no NaN: a null among floats is a missing value, as MLServer's own codecs have it.
    _expect(kinds, (int, float, bool, type(None)), "a number")
    # Whole numbers that all fit are rounded but once.
    found = np.array(data) if kinds == {int} else np.array(data, np.float64)
    if found.dtype.kind == "O":
        found = found.astype(np.float64)
    return round_floats(found, datatype)


def round_floats(numbers: Array, datatype: str) -> Array:
    """Return numbers as a datatype of floats; raises ArrayError where one is out of its range."""
    with np.errstate(over="ignore"):
        rounded = numbers.astype(to_numpy(datatype))
    if bool((np.isinf(rounded) & ~np.isinf(numbers)).any()):
        raise ArrayError(f"holds a number that is out of range for {datatype}")
    return rounded


def _to_integers(data: Sequence[object], kinds: Collection[type], datatype: str) -> Array:
    _expect(kinds, (int, float, bool), "a whole number")
    numbers = cast("Sequence[int | float]", data)
    if float in kinds:
        # The executor writes large whole numbers as `1e+21`.
        numbers = _to_whole(numbers)
    bounds = np.iinfo(cast("np.dtype[np.integer]", to_numpy(datatype)))
    if numbers and not (min(numbers) >= bounds.min and max(numbers) <= bounds.max):
        raise ArrayError(f"holds a number that is out of range for {datatype}")
    return np.array(numbers, to_numpy(datatype))


def _to_whole(data: Iterable[int | float]) -> list[int]:
    found: list[int] = []
    for each in data:
        if isinstance(each, float) and not (math.isfinite(each) and each.is_integer()):
            raise ArrayError("holds a number with a fraction where a whole number should be")
        found.append(int(each))
    return found
