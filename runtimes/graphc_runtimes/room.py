"""The bytes of requests that a server holds at once, in all of its connections together."""

import threading


class Room:
    """How many bytes may be in flight; several threads take of it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many bytes are in flight."""
        return self._taken

    def take(self, count: int) -> bool:
        """Count bytes that come in; says whether there is room for them, else none are counted."""
        with self._lock:
            if self._taken + count > self.most:
                return False
            self._taken += count
            return True

    def give_back(self, count: int) -> None:
        """Count bytes as gone."""
        if count:
            with self._lock:
                self._taken -= count
