"""The observer: takes references on the live path, and compares in a thread of its own."""

import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from graphc.compare.decode import read_parameter
from graphc.compare.figures import NONE, Figures
from graphc.compare.observer import Seen
from graphc.compare.pairing import Pairing, PairingLimits, size_of
from graphc.compare.room import Room, no_limit
from graphc.compare.samples import Sample, Worst
from graphc.engine.faults import note_fault

_WAKE_S: Final = 0.05
_CLOSE_S: Final = 10.0
_RECOVER_S: Final = 1.0


class Archive(Protocol):
    """Where windows of figures go."""

    def write(self, started: float, ended: float, figures: Figures) -> bool:
        """Store a window; False where that failed and the same figures should come again, with later ones."""
        ...

    def keep(self, samples: list[Sample]) -> None:
        """Store the worst disagreements in the place of those stored before."""
        ...

    def close(self, ended: float) -> None:
        """Say that no more will come."""
        ...


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """How much is compared, and how much that may cost."""

    sample: float = 1.0
    """The share of the requests, chosen by their ids: all answers to a request are taken, or none."""
    segment: str | None = None
    """The request parameter by whose values figures are kept apart."""
    queue: int = 4096
    queue_bytes: int = 64 << 20
    busy: float = 0.25
    """The share of the time in which the thread may work: what is too much for it is left out, and counted."""
    window_s: float = 10.0
    keep_samples: int = 0
    limits: PairingLimits = field(default_factory=PairingLimits)


class Recorder:
    """Compares what it is shown until it is closed."""

    def __init__(
        self,
        options: RecorderOptions,
        archive: Archive | None = None,
        clock: Callable[[], float] = time.time,
        *,
        room: Room = no_limit,
    ) -> None:
        self._options, self._archive, self._clock, self._room = options, archive, clock, room
        self._queue: deque[tuple[Seen, float]] = deque()
        self._queue_lock, self._figures_lock = threading.Lock(), threading.Lock()
        self._bytes = 0
        self._refused = Counter[str]()
        self._stored, self._window = Figures(), Figures()
        self._window_start = self._last_flush = clock()
        self._left_out = Counter[str]()
        self._pairing = Pairing(options.limits, self._left_out, room)
        self._worst = Worst(options.keep_samples)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="graphc-compare", daemon=True)
        self._thread.start()

    @property
    def is_working(self) -> bool:
        """Whether answers that it is shown are compared."""
        return self._thread.is_alive()

    def observe(self, seen: Seen) -> None:
        """Take note of an answer; what is not sampled or does not fit is counted and forgotten."""
        if not self._is_sampled(seen.request):
            reason = "sampling"
        elif self._closing.is_set():
            reason = "closed"
        else:
            with self._queue_lock:
                size = size_of(seen)
                full = len(self._queue) >= self._options.queue
                if not full and self._bytes + size <= min(self._options.queue_bytes, self._room()):
                    self._queue.append((seen, self._clock()))
                    self._bytes += size
                    return
            reason = "queue full"
        with self._queue_lock:
            self._refused[reason] += 1

    def figures(self) -> Figures:
        """Return a copy of all figures so far."""
        merged = Figures()
        with self._figures_lock:
            merged.merge(self._stored)
            merged.merge(self._window)
            merged.left_out.update(self._left_out)
        with self._queue_lock:
            merged.left_out.update(self._refused)
        return merged

    def samples(self) -> list[Sample]:
        """Return the worst disagreements, the worst first."""
        with self._figures_lock:
            return self._worst.sorted()

    def drain(self, seconds: float) -> bool:
        """Wait until all that was taken is compared, for so long at most; say whether it is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._queue_lock:
                if not self._queue and not self._bytes:
                    return True
            time.sleep(0.005)
        return False

    def close(self) -> None:
        """Compare what is still queued, store the last window, and end the thread."""
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def _is_sampled(self, request: str) -> bool:
        share = self._options.sample
        return share >= 1 or zlib.crc32(request.encode("utf-8", "replace")) < share * 2**32

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._compare()
            except Exception as error:
                # A thread that ended would leave the figures as they are, and no one would notice.
                self._fail(error)
                self._closing.wait(_RECOVER_S)
        try:
            self._work_off(time.perf_counter() + _CLOSE_S / 2)
            self._flush()
        except Exception as error:
            self._fail(error)
        if self._archive:
            self._archive.close(self._clock())

    def _compare(self) -> None:
        """Compare and store until the end."""
        while not self._closing.is_set():
            worked = self._work_off(time.perf_counter() + _WAKE_S)
            if self._clock() >= self._last_flush + self._options.window_s:
                self._flush()
            if not worked:
                self._closing.wait(_WAKE_S)

    def _fail(self, error: Exception) -> None:
        """Count an unexpected error, and log it under an id, without what clients sent."""
        with self._queue_lock:
            self._refused["failed"] += 1
        note_fault("comparing", error)

    def _work_off(self, until: float) -> bool:
        worked = False
        while time.perf_counter() < until and self._queue:
            began = time.perf_counter()
            seen, at = self._queue.popleft()
            try:
                with self._figures_lock:
                    self._take(seen, at)
            except Exception as error:
                # Answers are strangers' bytes: one that cannot be compared costs its own pair alone.
                self._fail(error)
            finally:
                with self._queue_lock:
                    self._bytes -= size_of(seen)
            worked = True
            if self._options.busy < 1:
                # After each, not after many: what answers clients waits for the interpreter no longer than this took.
                self._closing.wait((time.perf_counter() - began) * (1 / self._options.busy - 1))
        return worked

    def _take(self, seen: Seen, at: float) -> None:
        if predictor := self._window.predictor(seen.predictor):
            predictor.add(seen)
        for live, candidate in self._pairing.add(seen, at):
            comparison = self._window.comparison(live.predictor, candidate.predictor)
            if comparison is None:
                self._left_out["too many predictors"] += 1
                continue
            self._worst.add(live, candidate, comparison.add(live, candidate, self._segment(live)))

    def _segment(self, live: Seen) -> str | None:
        name = self._options.segment
        if name is None:
            return None
        value = read_parameter(live.asked, name)
        return NONE if value is None else value

    def _flush(self) -> None:
        # A database that fails is tried again after a window, not at once.
        now = self._last_flush = self._clock()
        with self._figures_lock:
            self._pairing.expire(now)
            self._window.left_out.update(self._left_out)
            self._left_out.clear()
        with self._queue_lock:
            self._window.left_out.update(self._refused)
            self._refused.clear()
        if self._archive and not self._archive.write(self._window_start, now, self._window):
            return
        if self._archive and self._options.keep_samples:
            self._archive.keep(self._worst.sorted())
        with self._figures_lock:
            self._stored.merge(self._window)
            self._window = Figures()
            self._window_start = now
