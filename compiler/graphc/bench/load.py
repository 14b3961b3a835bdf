"""The two loads: clients that wait for their answers, and arrivals that do not."""

import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from graphc.bench.job import Closed, Job, Open, Outcome
from graphc.bench.transport import Done, Transport

PAUSE: Final = 0.05
"""How many seconds a client waits after a request that got no answer: a refusal costs no time by itself."""

_POLL: Final = 0.1
"""How many seconds pass at most until a request to stop is seen."""

_LAST: Final = 1.0
"""How many seconds what is under way may take once a load is stopped."""

Check = Callable[[Done], str]
"""Says how an answer differs from the expected one, nothing where it does not."""


class Stop:
    """A flag that a signal sets."""

    def __init__(self) -> None:
        self.is_set = False


@dataclass(slots=True)
class _Clock:
    """The times of one load."""

    start: float
    measured: float
    end: float
    last: float

    @classmethod
    def begin(cls, job: Job) -> "_Clock":
        start = time.monotonic()
        end = start + job.warmup + job.duration
        # What the transport gives up it reports; somewhat later nothing can be under way.
        return cls(start, start + job.warmup, end, end + (job.timeout + 1 if job.lasts else 0))

    def cut(self, now: float) -> None:
        """End now."""
        self.end, self.last = min(self.end, now), min(self.last, now + _LAST)


class _Recorder:
    """Keeps what is measured, and the processor's time it took."""

    def __init__(self, clock: _Clock, check: Check) -> None:
        self.outcome = Outcome(clock.measured, clock.end)
        self._check = check
        self._indices: dict[str, int] = {"ok": 0}
        self._cpu: float | None = None

    def record(self, start: float, done: Done) -> None:
        """Take one request."""
        self.add(start, done.at, _kind(done, self._check))

    def add(self, start: float, end: float, kind: str) -> None:
        """Take one request of a known kind."""
        if start < self.outcome.begin:
            return
        if self._cpu is None:
            self._cpu = time.process_time()
        index = self._indices.setdefault(kind, len(self._indices))
        if index == len(self.outcome.names):
            self.outcome.names.append(kind)
        self.outcome.starts.append(start)
        self.outcome.ends.append(end)
        self.outcome.kinds.append(index)

    def stop_cpu(self) -> None:
        """Take the processor's time at the end of what is measured."""
        self.outcome.cpu = time.process_time() - (self._cpu or time.process_time())


def _kind(done: Done, check: Check) -> str:
    if done.failure:
        return done.failure
    if not done.is_success:
        return f"status {done.status}"
    difference = check(done)
    return f"wrong answer: {difference}" if difference else "ok"


def run_load(job: Job, transport: Transport, check: Check, stop: Stop) -> Outcome:
    """Put a load on a target until its time is over, or it is stopped."""
    clock = _Clock.begin(job)
    recorder = _Recorder(clock, check)
    if isinstance(job.load, Closed):
        _run_closed(job.load, clock, transport, recorder, stop)
    else:
        _run_open(job.load, clock, transport, recorder, stop)
    outcome = recorder.outcome
    outcome.end = max(clock.end, outcome.begin)
    outcome.was_stopped, outcome.reconnects = stop.is_set, transport.reconnects
    return outcome


def _run_closed(load: Closed, clock: _Clock, transport: Transport, recorder: _Recorder, stop: Stop) -> None:
    started = [0.0] * load.clients
    paused: list[tuple[float, int]] = [(clock.start, slot) for slot in range(load.clients)]
    busy, is_over = 0, False
    while True:
        now = time.monotonic()
        if stop.is_set:
            clock.cut(now)
        if now >= clock.end and not is_over:
            is_over = True
            recorder.stop_cpu()
        while paused and paused[0][0] <= now and not is_over:
            _, slot = heapq.heappop(paused)
            started[slot] = time.monotonic()
            transport.send(slot)
            busy += 1
        if is_over and (not busy or now > clock.last):
            return
        for done in transport.poll(_until(now, clock.end, paused[0][0] if paused else None)):
            busy -= 1
            start = started[done.slot]
            if done.failure:
                heapq.heappush(paused, (done.at + PAUSE, done.slot))
            elif done.at < clock.end:
                # The next one first: looking at an answer is no part of what a client waits for.
                started[done.slot] = time.monotonic()
                transport.send(done.slot)
                busy += 1
            recorder.record(start, done)


def _until(now: float, end: float, due: float | None) -> float:
    """Return how long to wait: until something is due, and not beyond the end or a look at the signals."""
    soonest = min(_POLL, end - now if end > now else _POLL, _POLL if due is None else due - now)
    return max(0.0, soonest)


def schedule(load: Open, start: float, end: float) -> Iterator[float]:
    """Yield when requests are due: evenly, or as independent clients come; equal seeds give equal times."""
    drawn = random.Random(load.seed)
    at = start
    for index in count(1):
        # Adding up the same step would add up its rounding.
        at = start + index / load.rate if load.arrivals == "constant" else at + drawn.expovariate(load.rate)
        if at >= end:
            return
        yield at


def _run_open(load: Open, clock: _Clock, transport: Transport, recorder: _Recorder, stop: Stop) -> None:
    arrivals = schedule(load, clock.start, clock.end)
    due = next(arrivals, None)
    waiting: deque[float] = deque()
    free: list[int] = []
    used = 0
    started: dict[int, float] = {}
    is_over = False
    while True:
        now = time.monotonic()
        if stop.is_set:
            clock.cut(now)
            due = None
        if now >= clock.end and not is_over:
            is_over = True
            recorder.stop_cpu()
        while due is not None and due <= now:
            _note_arrival(due, now, recorder.outcome)
            waiting.append(due)
            due = next(arrivals, None)
        while waiting and (free or used < load.connections):
            if not free:
                free.append(used)
                used += 1
            slot = free.pop()
            started[slot] = waiting.popleft()
            transport.send(slot)
        if waiting:
            recorder.outcome.queued = max(recorder.outcome.queued, len(waiting))
        if is_over and ((not started and not waiting) or now > clock.last):
            _leave(started, waiting, recorder)
            return
        for done in transport.poll(_until(now, clock.end, due)):
            recorder.record(started.pop(done.slot), done)
            free.append(done.slot)


def _note_arrival(due: float, now: float, outcome: Outcome) -> None:
    if due >= outcome.begin:
        outcome.waits.append(now - due)


def _leave(started: dict[int, float], waiting: deque[float], recorder: _Recorder) -> None:
    """Count what was never answered: leaving it out would leave out the slowest."""
    now = time.monotonic()
    for start in started.values():
        recorder.add(start, now, "not answered when it ended")
    for start in waiting:
        recorder.add(start, now, "not sent when it ended")
