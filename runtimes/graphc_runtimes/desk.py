"""Where work is done: on the event loop while that is known to be short, else in a thread, or not at all.

Health checks and other requests share the event loop, so what is not known to be short never runs on it.
"""

import asyncio
import contextvars
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from graphc_runtimes.errors import ToldError
from graphc_runtimes.region import PythonNode, Region, ServerNode

_T = TypeVar("_T")

SHORT_S: Final = 0.001
"""What takes no longer than this runs on the event loop: a thread would not be done sooner."""

_WEIGHT: Final = 0.1
"""How much of an estimate a measurement above it becomes; one below it is the new estimate."""


class BusyError(ToldError):
    """As much waits as may wait (503)."""

    status = 503

    def __init__(self, what: str = "requests waiting") -> None:
        super().__init__(f"the unit has as many {what} as it takes; try again")


class Pace:
    """How long the work of a unit takes, by the size of what it is asked."""

    def __init__(self, region: Region) -> None:
        # The user's own code and other servers may take as long as they like; a time limit needs a thread.
        self._is_predictable = not any(
            isinstance(node, PythonNode | ServerNode)
            or getattr(getattr(node, "policy", None), "timeout_ms", None)
            for node in region.nodes
        )
        self._seconds: dict[int, float] = {}

    def is_short(self, size: int) -> bool:
        """Say whether work of a size is known to be short."""
        return self._seconds.get(size.bit_length(), math.inf) < SHORT_S

    def note(self, size: int, seconds: float) -> None:
        """Take a measurement into account."""
        if self._is_predictable:
            bucket = size.bit_length()
            known = self._seconds.get(bucket)
            if known is None or seconds < known:
                self._seconds[bucket] = seconds
            else:
                # A run that was held up says little of the next; several in a row do.
                self._seconds[bucket] = known + _WEIGHT * (min(seconds, 2 * SHORT_S) - known)


class Desk:
    """The threads of a server and how much may wait for them."""

    def __init__(self, threads: int, queue: int) -> None:
        self._most = threads + queue
        self._executor = ThreadPoolExecutor(threads, "graphc")
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether no more work is taken."""
        return self._taken >= self._most

    def take(self) -> None:
        """Count a piece of work that is under way; raises BusyError."""
        if self.is_full:
            raise BusyError
        self._taken += 1

    def give_back(self) -> None:
        """Count a piece of work as done."""
        self._taken -= 1

    async def run(self, work: Callable[[], _T]) -> _T:
        """Work in a thread for what has been taken already."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._executor, context.run, work)

    def start(
        self, pace: Pace, size: int, work: Callable[[], _T], done: Callable[["Future[_T]"], None]
    ) -> Callable[[], object]:
        """Work in a thread and call back on the event loop; returns what gives it up. Raises BusyError."""
        self.take()
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()

        def timed() -> _T:
            # The processor's time: what other threads did meanwhile is not this work's.
            start = time.thread_time()
            try:
                return context.run(work)
            finally:
                pace.note(size, time.thread_time() - start)

        def settle(future: "Future[_T]") -> None:
            self.give_back()
            done(future)

        future = self._executor.submit(timed)
        future.add_done_callback(lambda future: _call(loop, settle, future))
        return future.cancel

    def close(self) -> None:
        """Take no more work, and do not wait for what runs."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _call(
    loop: asyncio.AbstractEventLoop, settle: Callable[["Future[_T]"], None], future: "Future[_T]"
) -> None:
    # A server that was told to end may have closed its loop by now.
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, future)
