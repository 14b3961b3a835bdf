"""Figures of one output: how two versions' tensors of that name agree, in aggregates that can be merged."""

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from graphc.client.tensor import Tensor
from graphc.compare.agreement import Agreement
from graphc.compare.plain import (
    Plain,
    counter_of,
    number_of,
    pairs_of,
    plain_counts,
    plain_number,
    plain_pairs,
)
from graphc.compare.sketch import Numbers, Sketch

MOST_CHANGES: Final = 64
"""How many kinds of change from one class to another are told apart; what comes later counts as others."""

CELLS: Final = 256
"""Classes are spread over so many cells to compare their distributions."""

MOST_NAME: Final = 64

OTHERS: Final = "(others)"

Array = NDArray[np.generic]


@dataclass(slots=True)
class OutputFigures:
    """What was seen of one output: decisions, errors of numbers, and both versions' distributions."""

    agreement: Agreement = field(default_factory=Agreement)
    changes: Counter[str] = field(default_factory=Counter[str])
    """Decisions that differ, by `live → candidate`."""
    live_classes: Counter[int] = field(default_factory=Counter[int])
    classes: Counter[int] = field(default_factory=Counter[int])
    errors: Sketch = field(default_factory=Sketch)
    """Absolute differences of the numbers that are finite on both sides."""
    error_sum: float = 0.0
    largest: float = 0.0
    live_values: Sketch = field(default_factory=Sketch)
    values: Sketch = field(default_factory=Sketch)
    unlike: int = 0
    """Elements that are NaN or infinite on one side alone, or infinities of other signs."""

    def add(self, live: Tensor, candidate: Tensor) -> None:
        """Count two tensors of equal datatype and shape."""
        if live.array.dtype.kind == "f":
            self._add_numbers(live.array.astype(np.float64), candidate.array.astype(np.float64))
            if live.array.ndim >= 2 and live.array.shape[-1] >= 2 and live.array.size:
                self._add_decisions(_argmax(live.array), _argmax(candidate.array))
            return
        # Whole numbers are classes: that 2 is further from 0 than 1 means nothing to them.
        self._add_decisions(live.array.ravel(), candidate.array.ravel())

    def merge(self, other: "OutputFigures") -> None:
        """Count all that was counted elsewhere."""
        self.agreement.merge(other.agreement)
        self._count_changes(other.changes)
        self.live_classes.update(other.live_classes)
        self.classes.update(other.classes)
        self.errors.merge(other.errors)
        self.error_sum += other.error_sum
        self.largest = max(self.largest, other.largest)
        self.live_values.merge(other.live_values)
        self.values.merge(other.values)
        self.unlike += other.unlike

    def to_plain(self) -> dict[str, Plain]:
        """Return the figures as JSON holds them."""
        return {
            "agreement": self.agreement.to_plain(),
            "changes": plain_counts(self.changes),
            "live_classes": plain_pairs(self.live_classes),
            "classes": plain_pairs(self.classes),
            "errors": self.errors.to_plain(),
            "error_sum": plain_number(self.error_sum),
            "largest": plain_number(self.largest),
            "live_values": self.live_values.to_plain(),
            "values": self.values.to_plain(),
            "unlike": self.unlike,
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, Plain]) -> "OutputFigures":
        """Return the figures that JSON holds; raises ValueError where it holds none."""
        return cls(
            Agreement.of_plain(plain.get("agreement")),
            counter_of(plain.get("changes")),
            Counter(dict(pairs_of(plain.get("live_classes")))),
            Counter(dict(pairs_of(plain.get("classes")))),
            Sketch.of_plain(plain.get("errors")),
            number_of(plain.get("error_sum")),
            number_of(plain.get("largest")),
            Sketch.of_plain(plain.get("live_values")),
            Sketch.of_plain(plain.get("values")),
            int(number_of(plain.get("unlike"))),
        )

    def _add_numbers(self, live: Numbers, candidate: Numbers) -> None:
        live, candidate = live.ravel(), candidate.ravel()
        finite = np.isfinite(live) & np.isfinite(candidate)
        same = (live == candidate) | (np.isnan(live) & np.isnan(candidate))
        self.unlike += int(np.count_nonzero(~finite & ~same))
        # Halves, because the difference of two huge numbers may be beyond the greatest one.
        errors = np.abs(live[finite] / 2 - candidate[finite] / 2) * 2
        if errors.size:
            self.errors.add(errors)
            self.error_sum += float(errors.sum())
            self.largest = max(self.largest, float(errors.max()))
        self.live_values.add(live[np.isfinite(live)])
        self.values.add(candidate[np.isfinite(candidate)])

    def _add_decisions(self, live: Array, candidate: Array) -> None:
        agree = np.asarray(live == candidate, dtype=bool)
        self.agreement.add(int(np.count_nonzero(agree)), agree.size)
        _count_classes(self.live_classes, live)
        _count_classes(self.classes, candidate)
        before, after = live[~agree][:MOST_CHANGES], candidate[~agree][:MOST_CHANGES]
        found = Counter(f"{_show(a)} → {_show(b)}" for a, b in zip(before, after, strict=True))
        found[OTHERS] += int(agree.size - np.count_nonzero(agree)) - before.size
        self._count_changes(found)

    def _count_changes(self, found: Mapping[str, int]) -> None:
        for change, count in sorted(found.items()):
            known = change in self.changes or len(self.changes) < MOST_CHANGES
            if count:
                self.changes[change if known else OTHERS] += count


def _argmax(array: Array) -> Array:
    # NaN would win; it never is the greatest.
    numbers = array.astype(np.float64)
    return cast("Array", np.where(np.isnan(numbers), -np.inf, numbers).argmax(axis=-1).ravel())


def _count_classes(into: Counter[int], values: Array) -> None:
    if values.dtype.kind == "O":
        for each, count in Counter(cast("list[bytes]", values.tolist())).items():
            into[zlib.crc32(each) % CELLS] += count
        return
    cells, counts = np.unique(values.astype(np.int64) % CELLS, return_counts=True)
    for cell, count in zip(
        cast("list[int]", cells.tolist()), cast("list[int]", counts.tolist()), strict=True
    ):
        into[cell] += count


def _show(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= MOST_NAME else f"{text[: MOST_NAME - 1]}…"
