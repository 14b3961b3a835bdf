"""When the nodes of a region ran: kept at little cost, and told to what counts them when somebody looks."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

Note = Callable[[Sequence[float]], None]

START: Final = 0.0
"""Stands before each run among the times that are kept."""
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
        self._most = max(_MOST, _MOST_RUNS * (len(notes) + 2))
        self._kept = Kept()

    def add(self, times: Sequence[float]) -> None:
        """Keep one run: START, when it began, and when each node of it ended.

        The time is negative where the node had nothing to do. A run that failed ends with the node that failed.
        """
        kept = self._kept.numbers
        kept.extend(times)
        if len(kept) >= self._most:
            self.publish()

    def publish(self) -> None:
        """Tell what was kept."""
        times = np.array(self._kept.take())
        starts = np.flatnonzero(times == START)
        ends = np.append(starts[1:], len(times))
        for place, note in enumerate(self._notes, 2):
            if note is not None:
                found = starts[starts + place < ends] + place
                found = found[times[found] > 0]
                note((times[found] - np.abs(times[found - 1])).tolist())
