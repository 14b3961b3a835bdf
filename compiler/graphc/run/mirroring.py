"""Copies of requests for shadows: sent on the side, bounded, and lost rather than waited for."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from graphc.engine.faults import note_fault
from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message
from graphc.engine.service import Serving

Outcome = Literal["answered", "failed", "late", "dropped"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a shadow may hold up of this process: requests and bytes that wait, calls at once, seconds each."""

    waiting: int = 256
    waiting_bytes: int = 64 * 1024 * 1024
    at_once: int = 8
    seconds: float = 30
    pause: float = 1
    """How long a shadow that does not listen is left alone: calls that fail at once would take the live path's time."""
    grace: float = 2
    """How long the end waits for what is under way."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A live request as it is sent again, with the id that both have."""

    request: str
    message: Message
    headers: Headers
    model: str | None


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What came of a copy; no answer where there was none."""

    copy: Copy
    outcome: Outcome
    answer: Answer | None
    seconds: float


class Shadow:
    """One shadow and the copies that wait for it; `tell` hears of each that was sent."""

    def __init__(self, service: Serving, tell: Callable[[Mirrored], None], bounds: Bounds) -> None:
        self._service, self._tell, self._bounds = service, tell, bounds
        self._waiting: deque[Copy] = deque()
        self._waiting_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._paused_until = 0.0

    def offer(self, copy: Copy) -> bool:
        """Take a copy, or say at once that there is no room for it, or that the shadow has ended."""
        size = self._waiting_bytes + len(copy.message.body)
        is_full = len(self._waiting) >= self._bounds.waiting or size > self._bounds.waiting_bytes
        if is_full or perf_counter() < self._paused_until:
            return False
        self._waiting.append(copy)
        self._waiting_bytes = size
        self._start_waiting()
        return True

    async def close(self) -> None:
        """Let what is under way end, for a moment; then end it."""
        limit = asyncio.get_running_loop().time() + self._bounds.grace
        while self._running and (left := limit - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._waiting.clear()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._bounds.at_once:
            copy = self._waiting.popleft()
            self._waiting_bytes -= len(copy.message.body)
            task = asyncio.create_task(self._send(copy))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _send(self, copy: Copy) -> None:
        started = perf_counter()
        answer: Answer | None = None
        outcome: Outcome = "failed"
        try:
            async with asyncio.timeout(self._bounds.seconds):
                answer = await self._service.infer(copy.message, copy.headers, copy.model)
            outcome = "answered" if answer.status == 200 else "failed"
        except TimeoutError:
            outcome = "late"
        finally:
            # An answer that the engine itself stumbles over ends here too, and is told as failed.
            self._tell(Mirrored(copy, outcome, answer, perf_counter() - started))
        if outcome == "failed" and not await self._service.ready():
            self._paused_until = perf_counter() + self._bounds.pause

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            note_fault("a copy for a shadow", fault)
        self._start_waiting()
