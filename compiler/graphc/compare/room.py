"""How many bytes may wait: what several graphs share, each gets a part of."""

from collections.abc import Callable
from typing import Final

Room = Callable[[], int]
"""Returns how many bytes may wait in one place now."""

_PLACES: Final = 3
"""Of one graph events wait for their other half, answers for the thread that compares, and answers for each other."""
_LEAST_SHARERS: Final = 4


def no_limit() -> int:
    """Return more bytes than there are: the limits of the place alone hold."""
    return 1 << 62


class SharedRoom:
    """So many bytes for all graphs together, in equal parts; few graphs leave the rest for those to come."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.sharers = 0
        """How many graphs there are."""

    def __call__(self) -> int:
        """Return how many bytes may wait in one place of one graph."""
        return self._total // (_PLACES * max(_LEAST_SHARERS, self.sharers))
