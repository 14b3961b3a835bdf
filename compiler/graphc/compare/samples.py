"""The worst disagreements, kept only where that is asked for: they hold what clients sent."""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np

from graphc.client.tensor import Tensor
from graphc.compare.figures import DecodedPair, is_good
from graphc.compare.observer import Seen

MOST_KEPT: Final = 16 << 10
"""Of each body, as many bytes are kept."""


@dataclass(frozen=True, order=True, slots=True)
class Sample:
    """A pair of answers, with how far they are apart."""

    score: tuple[float, float]
    request: str
    live: str
    candidate: str
    asked: bytes
    live_answer: bytes
    answer: bytes


class Worst:
    """As many of the worst pairs as were asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[Sample] = []

    def add(self, live: Seen, candidate: Seen, tensors: DecodedPair) -> None:
        """Keep the pair if it is worse than one that is kept."""
        score = _score(live, candidate, tensors)
        if not self._most or score == (0.0, 0.0):
            return
        bodies = (each[:MOST_KEPT] for each in (live.asked, live.body, candidate.body))
        sample = Sample(score, live.request, live.predictor, candidate.predictor, *bodies)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, sample)
        else:
            heapq.heappushpop(self._heap, sample)

    def sorted(self) -> list[Sample]:
        """Return what is kept, the worst first."""
        return sorted(self._heap, reverse=True)


def _score(live: Seen, candidate: Seen, tensors: DecodedPair) -> tuple[float, float]:
    """Return the share of decisions or numbers that differ, and the greatest error; faults are worse than either."""
    if is_good(live) != is_good(candidate) or tensors.faults:
        return 2.0, 0.0
    found = [_distance(one, other) for _, one, other in tensors.shared]
    return max((share for share, _ in found), default=0.0), max((error for _, error in found), default=0.0)


def _distance(live: Tensor, candidate: Tensor) -> tuple[float, float]:
    if not live.array.size:
        return 0.0, 0.0
    if live.array.dtype.kind != "f":
        return _share(live.array != candidate.array), 0.0
    one, other = live.array.astype(np.float64), candidate.array.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(one - other)
    error = float(np.nan_to_num(errors, nan=0.0).max())
    if live.array.dtype.kind == "f" and one.ndim >= 2 and one.shape[-1] >= 2:
        return _share(one.argmax(-1) != other.argmax(-1)), error
    return 0.0, error


def _share(differs: object) -> float:
    return float(np.mean(np.asarray(differs, dtype=np.float64)))
