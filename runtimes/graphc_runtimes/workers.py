"""Several processes for one unit, as GRAPHC_WORKERS asks for.

A parent imports MLServer, forks the workers and does nothing but mind them. Each worker loads the region and listens
on the unit's ports, between which the kernel shares out the connections. None is ready before all have loaded. One
that dies is started again, and takes only its own requests with it. Metrics add up over the workers.
"""

import asyncio
import mmap
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from graphc_runtimes.environment import read_grace
from graphc_runtimes.errors import RegionError
from graphc_runtimes.processes import AWAITED, become_parent, describe_end, fork, shell_code
from graphc_runtimes.weights import shared_weights

_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
_SETTLED: Final = 0.02
_SLACK: Final = 5
"""Seconds that workers have to end in beside those for what they have begun."""
_LONG: Final = 3600

Start = Callable[[], object]
"""Serves until a signal ends it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a parent waits, in seconds: for the end of its workers, and before it starts one again."""

    grace: float = 20
    backoff: float = 0.5
    longest_backoff: float = 30
    quick: float = 20
    """A worker that lived longer than this is started again without further delay."""


# --- The workers -------------------------------------------------------------------------------------


class _Board:
    """In memory that all processes share: a byte for each worker that has loaded, and one for when all had."""

    def __init__(self, workers: int) -> None:
        self._bytes = mmap.mmap(-1, workers + 1)
        self._workers = workers

    def note(self, worker: int, *, loaded: bool) -> None:
        self._bytes[worker] = loaded
        if self.count == self._workers:
            self._bytes[self._workers] = True

    def is_loaded(self, worker: int) -> bool:
        return bool(self._bytes[worker])

    @property
    def count(self) -> int:
        return sum(self._bytes[: self._workers])

    @property
    def was_complete(self) -> bool:
        return bool(self._bytes[self._workers])


@dataclass(frozen=True, slots=True)
class _Self:
    """Which worker this process is."""

    board: _Board
    worker: int


_self: _Self | None = None


def note_loaded() -> None:
    """Let the others know that this process has loaded; in an event loop."""
    if _self is not None:
        here = _self
        # By then MLServer takes requests: it does so only when all that it was told of loading is done.
        asyncio.get_running_loop().call_later(_SETTLED, lambda: here.board.note(here.worker, loaded=True))


def worker_number() -> int:
    """Return which of the processes that serve the unit this is, 0 where there is one."""
    return 0 if _self is None else _self.worker


def have_all_loaded() -> bool:
    """Say whether all processes that serve the unit have loaded: none is ready before."""
    return _self is None or _self.board.was_complete


# --- Their parent ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0
    started: float = 0
    deaths: int = 0
    due: float | None = None
    """When it is started again."""


class _Parent:
    """Minds the workers until it is told to end; there is no event loop and no thread here."""

    def __init__(self, start: Start, workers: int, patience: Patience) -> None:
        self._start, self._patience = start, patience
        self._board = _Board(workers)
        self._workers = [_Worker(number) for number in range(workers)]

    def run(self) -> int:
        for worker in self._workers:
            self._spawn(worker)
        while True:
            number = self._wait()
            if number not in (None, signal.SIGCHLD):
                return self._end(0)
            for worker, status in self._reap():
                if self._is_hopeless(worker):
                    _say(worker, f"{describe_end(status)} before it had loaded")
                    return self._end(shell_code(status) or 1)
                self._plan_restart(worker, status)
            self._restart()

    def _spawn(self, worker: _Worker) -> None:
        worker.started, worker.due = time.monotonic(), None
        self._board.note(worker.number, loaded=False)
        worker.pid = fork(lambda: self._be_worker(worker.number))

    def _be_worker(self, number: int) -> None:
        global _self
        _self = _Self(self._board, number)
        # Not at the top: whoever runs one process only does not need it, and it imports MLServer.
        from graphc_runtimes.sharing import share_with_workers

        share_with_workers()
        self._start()

    def _wait(self) -> int | None:
        """Return the signal that came, None where it is time to start a worker again."""
        dues = [worker.due for worker in self._workers if worker.due is not None]
        left = max(min(dues) - time.monotonic(), 0) if dues else _LONG
        found = signal.sigtimedwait(AWAITED, left)
        return found.si_signo if found else None

    def _reap(self) -> Iterator[tuple[_Worker, int]]:
        by_pid = {worker.pid: worker for worker in self._workers}
        with suppress(ChildProcessError):
            # As the first process of a container it inherits orphans, too.
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] in by_pid:
                    by_pid[found[0]].pid = 0
                    yield by_pid[found[0]], found[1]

    def _is_hopeless(self, worker: _Worker) -> bool:
        """Say whether nothing serves: not all had loaded, or it could not, and no other does."""
        others = self._board.count - self._board.is_loaded(worker.number)
        return not self._board.was_complete or not (others or self._board.is_loaded(worker.number))

    def _plan_restart(self, worker: _Worker, status: int) -> None:
        self._board.note(worker.number, loaded=False)
        now, patience = time.monotonic(), self._patience
        worker.deaths = 1 if now - worker.started > patience.quick else worker.deaths + 1
        delay = min(patience.backoff * 2 ** (worker.deaths - 1), patience.longest_backoff)
        worker.due = now + delay
        _say(worker, f"{describe_end(status)}; it starts again in {delay:g} s")

    def _restart(self) -> None:
        for worker in self._workers:
            if worker.due is not None and worker.due <= time.monotonic():
                self._spawn(worker)

    def _end(self, code: int) -> int:
        """End all workers, those that take too long by force."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + self._patience.grace
        while any(worker.pid for worker in self._workers):
            for _ in self._reap():
                pass
            left = until - time.monotonic()
            if left <= 0:
                self._signal(signal.SIGKILL)
            if any(worker.pid for worker in self._workers):
                signal.sigtimedwait([signal.SIGCHLD], max(min(left, 1), 0.05))
        return code

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def _say(worker: _Worker, what: str) -> None:
    print(f"graphc: worker {worker.number} {what}", file=sys.stderr, flush=True)


def serve_unit(prepare: Callable[[], Start]) -> int:
    """Serve in as many processes as GRAPHC_WORKERS says, and return the exit code.

    `prepare` imports what they need, and returns what each of them does; it makes no thread.
    """
    try:
        workers = _read_workers()
        read_grace()
    except RegionError as error:
        print(f"graphc: {error}", file=sys.stderr)
        return 1
    if workers == 1:
        prepare()()
        return 0
    _add_up_metrics()
    return run_workers(prepare(), workers)


def _read_workers() -> int:
    text = os.environ.get("GRAPHC_WORKERS") or "1"
    if not (text.isascii() and text.isdigit() and int(text)):
        raise RegionError(f"GRAPHC_WORKERS is `{text}`, which is not a positive whole number")
    return int(text)


def _add_up_metrics() -> None:
    """Let metrics add up over processes: before prometheus_client is imported, so that all of them do."""
    root = os.environ.get("MLSERVER_METRICS_DIR") or None
    os.environ[_METRICS] = tempfile.mkdtemp(prefix="graphc-metrics-", dir=root)


def run_workers(start: Start, workers: int, patience: Patience | None = None) -> int:
    """Fork workers that each call `start`, mind them until a signal ends all, and return the exit code."""
    become_parent()
    with shared_weights():
        return _Parent(start, workers, patience or Patience(read_grace() + _SLACK)).run()
