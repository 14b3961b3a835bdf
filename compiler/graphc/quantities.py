"""Kubernetes quantities as numbers."""

import re
from collections.abc import Iterable
from math import ceil
from typing import Final

_NUMBER: Final = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SCALES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9} | {
    f"{letter}{i}": base**power
    for i, base in (("", 1000.0), ("i", 1024.0))
    for power, letter in enumerate("KMGTPE" if i else "kMGTPE", start=1)
}

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
