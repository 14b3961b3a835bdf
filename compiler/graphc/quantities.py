"""Kubernetes quantities as numbers."""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil
from typing import Final

_NUMBER: Final = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SCALES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9} | {
    f"{letter}{i}": base**power
    for i, base in (("", 1000.0), ("i", 1024.0))
    for power, letter in enumerate("KMGTPE" if i else "kMGTPE", start=1)
}

_DECIMAL: Final = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY: Final = "KMGTPE"

LARGEST: Final = 2.0**63
"""Kubernetes counts in integers of 64 bits, and makes more than they hold the most that they do."""


def is_quantity(text: str) -> bool:
    """Say whether a text is a quantity of something, and not of less than nothing."""
    number = _NUMBER.match(text)
    return number is not None and text[number.end() :] in _SCALES


def parse_quantity(text: str) -> float:
    """Return the number that a checked quantity stands for, in its base unit: `500m` is 0.5."""
    number = _NUMBER.match(text)
    assert number
    suffix = text[number.end() :]
    return float(number[0]) * _SCALES[suffix]


def canonical_quantity(quantity: str | int) -> str:
    """Return a checked quantity as a Kubernetes API server writes it: `0.5Gi` is `512Mi`, and 1 is `1`.

    The rules are those of the API's reference of Quantity: no fraction, and the largest suffix that leaves none. One
    with an exponent stays as it is.
    """
    text = str(quantity)
    number = _NUMBER.match(text)
    assert number
    if number[3]:
        return text
    suffix = text[number.end() :]
    if suffix.endswith("i"):
        count = Fraction(number[1]) * 1024 ** (_BINARY.index(suffix[0]) + 1)
        if count.denominator == 1:
            return _write_whole(int(count), 1024, [*(f"{each}i" for each in reversed(_BINARY)), ""])
    else:
        count = Fraction(number[1]) * Fraction(10) ** (3 * (_DECIMAL.index(suffix) - _DECIMAL.index("")))
    return _write_whole(ceil(count * 10**9), 1000, list(reversed(_DECIMAL)))


def _write_whole(count: int, base: int, suffixes: Sequence[str]) -> str:
    """Return a count with the largest suffix that leaves no fraction; the last suffix is that of one."""
    for power, suffix in zip(range(len(suffixes) - 1, -1, -1), suffixes, strict=True):
        if count % base**power == 0:
            return f"{count // base**power}{suffix}" if count else "0"
    raise AssertionError(count)


def add_cpu(quantities: Iterable[str]) -> str:
    """Return the sum of processors, rounded up to thousandths."""
    thousandths = ceil(sum(parse_quantity(each) for each in quantities) * 1000 - 1e-6)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def add_memory(quantities: Iterable[str]) -> str:
    """Return the sum of memory, in the largest unit that says it in whole numbers."""
    count = ceil(sum(parse_quantity(each) for each in quantities))
    for power, letter in zip(range(4, 0, -1), "TGMK", strict=True):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power}{letter}i"
    return str(count)
