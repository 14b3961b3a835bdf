"""Kubernetes quantities as numbers."""

import re
from typing import Final

_NUMBER: Final = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SCALES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9} | {
    f"{letter}{i}": base**power
    for i, base in (("", 1000.0), ("i", 1024.0))
    for power, letter in enumerate("KMGTPE" if i else "kMGTPE", start=1)
}


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
