"""Figures as JSON holds them, and back."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

Plain = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None

# JSON has no infinity.
INFINITE: Final = "infinite"


def plain_number(value: float) -> Plain:
    """Return a number that may be infinite."""
    return INFINITE if math.isinf(value) else value


def number_of(plain: Plain) -> float:
    """Return the number that JSON holds; raises ValueError."""
    if plain == INFINITE:
        return math.inf
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise ValueError("a figure is not a number")
    return plain


def mapping_of(plain: Plain) -> dict[str, Plain]:
    """Return the mapping that JSON holds; raises ValueError."""
    if not isinstance(plain, dict):
        raise ValueError("figures are not a mapping")
    return plain


def pairs_of(plain: Plain) -> Iterator[tuple[int, int]]:
    """Yield the pairs of whole numbers that JSON holds; raises ValueError."""
    for each in plain if isinstance(plain, list) else []:
        if not isinstance(each, list) or len(each) != 2:
            raise ValueError("counts are not pairs")
        yield int(number_of(each[0])), int(number_of(each[1]))


def plain_counts(counts: Mapping[str, int]) -> Plain:
    """Return counts by name as JSON holds them."""
    return {name: counts[name] for name in sorted(counts)}


def plain_pairs(counts: Mapping[int, int]) -> Plain:
    """Return counts by number as JSON holds them."""
    return [[key, counts[key]] for key in sorted(counts)]


def counter_of(plain: Plain) -> Counter[str]:
    """Return the counts by name that JSON holds; raises ValueError."""
    return Counter({name: int(number_of(count)) for name, count in mapping_of(plain).items()})
