"""How long a unit has to answer. One timer looks after all calls: a timer for each would cost more than the rest."""

import asyncio
from types import TracebackType
from typing import Final

_PARTS: Final = 16
"""A call that is given up is late by at most the time divided by this."""
_LONGEST_S: Final = 1.0


class Patience:
    """The time that each of many calls has, all in one event loop at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = seconds
        self._calls: dict[Limit, None] = {}
        self._looking_in: asyncio.AbstractEventLoop | None = None

    def limit(self) -> "Limit":
        """Return what raises TimeoutError in the block that it stands before, once the time is over."""
        return Limit(self)

    def begin(self, call: "Limit") -> float:
        """Look after a call, and return when its time is over."""
        loop = asyncio.get_running_loop()
        self._calls[call] = None
        # A loop that ended takes its timer with it.
        if self._looking_in is not loop:
            self._looking_in = loop
            loop.call_later(self._pause_s, self._look, loop)
        return loop.time() + self.seconds

    def end(self, call: "Limit") -> None:
        """Leave a call alone."""
        self._calls.pop(call, None)

    @property
    def _pause_s(self) -> float:
        return min(self.seconds / _PARTS, _LONGEST_S)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for call in list(self._calls):
            # All have as much time: those that began later have more of it left.
            if call.ends > now:
                break
            call.expire()
        self._looking_in = loop if self._calls else None
        if self._calls:
            loop.call_later(self._pause_s, self._look, loop)


class Limit:
    """One call's time."""

    __slots__ = ("_before", "_is_late", "_patience", "_task", "ends")

    def __init__(self, patience: Patience) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._patience, self._is_late = patience, False
        self._task, self._before = task, task.cancelling()

    def __enter__(self) -> None:
        """Begin."""
        self.ends = self._patience.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and raise TimeoutError where the time is what ended the block: anybody else may have, too."""
        self._patience.end(self)
        if not self._is_late:
            return
        is_ours = self._task.uncancel() <= self._before
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block."""
        self._patience.end(self)
        self._is_late = True
        self._task.cancel()
