"""When the nodes of a region ran: kept at little cost, and told to what counts them when somebody looks."""

import itertools
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Note = Callable[[Sequence[float], int], None]
"""Counts a node's tries: how long those took that were timed, and how many were not."""

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

START: Final = 0.0
"""Stands before each run that was timed, among the times that are kept."""
_UNTIMED: Final = float("inf")
"""Stands before one that was not; for each node a 1 follows, negative where the node had nothing to do."""
_ALL: Final = 256
"""As many runs are timed, after somebody looked, before only some are: clocks cost more than the smallest nodes."""
_MOST_BETWEEN: Final = 31
"""From one run that is timed to the next it is at most as many; at random, so that no pattern of requests hides."""
_MOST: Final = 4096
"""As many times are kept, or those of as many runs as the next says: telling them costs each node something."""
_MOST_RUNS: Final = 256


class Kept:
    """Numbers that are kept until somebody looks; several threads may keep and look."""

    def __init__(self) -> None:
        # Numbers only: a list for each run would have the garbage collector look at all of them again and again.
        self.numbers: Final[list[float]] = []
        """Others may append."""
        self._taking = threading.Lock()

    def take(self) -> list[float]:
        """Return what was kept, each number once."""
        with self._taking:
            # Others may keep more meanwhile, behind what is taken.
            taken = self.numbers[:]
            del self.numbers[: len(taken)]
        return taken


class Timings:
    """How long the nodes of one region took that ran one after another."""

    def __init__(self, notes: Sequence[Note | None]) -> None:
        """Take what counts each node's tries, in seconds; None for a node that counts its own."""
        self._notes = notes
        # Its step is one that no thread can disturb.
        self._usual, self._seen = itertools.count(), -1
        self.count_usual: Final[Callable[[], object]] = self._usual.__next__
        """Count a run that was not timed, and in which each node had something to do."""
        self._seeing = threading.Lock()
        self._most = max(_MOST, _MOST_RUNS * (len(notes) + 2))
        self._kept = Kept()
        self._runs = 0
        self._next = _ALL

    def is_due(self) -> bool:
        """Say whether the next run is to be timed; threads that ask at once may get the same answer."""
        self._runs += 1
        if self._runs < self._next:
            return self._runs < _ALL
        self._next = self._runs + random.randint(1, _MOST_BETWEEN)
        return True

    def add(self, times: Sequence[float]) -> None:
        """Keep one run: START, when it began, and when each node of it ended.

        The time is negative where the node had nothing to do. A run that failed ends with the node that failed.
        """
        kept = self._kept.numbers
        kept.extend(times)
        if len(kept) >= self._most:
            self._tell()

    def pass_over(self, ran: list[bool]) -> None:
        """Keep one run that was not timed and is none of the usual: which nodes had something to do.

        A run that failed ends with the node that failed.
        """
        kept = self._kept.numbers
        kept.extend([_UNTIMED, *[1.0 if each else -1.0 for each in ran]])
        if len(kept) >= self._most:
            self._tell()

    def publish(self) -> None:
        """Tell what was kept to somebody who looks."""
        self._runs, self._next = 0, _ALL
        self._tell()

    def _take_usual(self) -> int:
        """Return how many usual runs there were since the last look."""
        with self._seeing:
            # To look is to count, too.
            found = next(self._usual)
            usual, self._seen = found - self._seen - 1, found
        return usual

    def _tell(self) -> None:
        kept, usual = np.array(self._kept.take()), self._take_usual()
        heads = np.flatnonzero((kept == START) | np.isinf(kept))
        ends = np.append(heads[1:], len(kept))
        kinds = kept[heads]
        timed, untimed = kinds == START, kinds == _UNTIMED
        for place, note in enumerate(self._notes):
            if note is not None:
                found = _places(heads[timed] + place + 2, ends[timed], kept)
                others = _places(heads[untimed] + place + 1, ends[untimed], kept)
                note((kept[found] - np.abs(kept[found - 1])).tolist(), usual + len(others))


def _places(found: Places, ends: Places, kept: Floats) -> Places:
    """Return those of the places, one a run, that lie within it and say that the node had something to do."""
    within = found[found < ends]
    return within[kept[within] > 0]
