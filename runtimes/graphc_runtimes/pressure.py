"""The connections of a server, up to a limit: those that only wait make room for others."""

import logging
import time
from typing import Final, Protocol

_LOG: Final = logging.getLogger("mlserver.graphc")
_PATIENCE_S: Final = 2.0
"""Where connections are scarce, a client that has asked nothing yet has as long."""
_QUIET_S: Final = 60.0


class Connection(Protocol):
    """What is asked of a connection."""

    def waits(self, now: float, /) -> float | None:
        """Return for how many seconds its client has kept it waiting; None for one at work."""
        ...

    def evict(self) -> None:
        """End."""
        ...

    def check_time(self, now: float, /) -> None:
        """End what is idle or too slow."""
        ...


class Connections:
    """Those that are open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._said = -_QUIET_S

    def all(self) -> list[Connection]:
        """Return the connections."""
        return list(self._open)

    def admit(self, connection: Connection, now: float) -> bool:
        """Take a connection, in the place of one that has waited longest where there are as many as may be."""
        is_full = len(self._open) >= self._most
        self._open.add(connection)
        if not is_full:
            return True
        self._say()
        waiting = [(since, each) for each in self._open if (since := each.waits(now)) is not None]
        since, longest = max(waiting, key=lambda pair: pair[0], default=(0.0, connection))
        if longest is connection or since < _PATIENCE_S:
            return False
        longest.evict()
        return True

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    def _say(self) -> None:
        if time.monotonic() - self._said >= _QUIET_S:
            self._said = time.monotonic()
            _LOG.warning("there are %d connections, as many as the unit takes", self._most)
