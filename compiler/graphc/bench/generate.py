"""Puts loads on targets from processes of their own, whose work must not slow what they measure."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from graphc.bench.failure import BenchError
from graphc.bench.job import Closed, Job, Open, Outcome, read_outcome

_START: Final = "import runpy; runpy.run_module('graphc.bench.worker', run_name='__main__')"

Worker = subprocess.Popen[str]


def share_job(job: Job, processes: int) -> list[Job]:
    """Return the jobs that together are one."""
    return [replace(job, load=load) for load in _share(job.load, processes)]


def _share(load: Closed | Open, processes: int) -> list[Closed | Open]:
    if isinstance(load, Closed):
        return [Closed(each) for each in _parts(load.clients, processes) if each]
    parts = [each for each in _parts(load.connections, processes) if each]
    return [
        Open(load.rate / len(parts), load.arrivals, part, load.seed + index)
        for index, part in enumerate(parts)
    ]


def _parts(whole: int, count: int) -> list[int]:
    return [whole // count + (index < whole % count) for index in range(count)]


class Generators:
    """Runs jobs; once it was interrupted, what runs ends soon, and nothing else begins."""

    def __init__(self) -> None:
        self._running: list[Worker] = []
        self.was_interrupted = False

    def run(self, job: Job, processes: int = 1) -> list[Outcome]:
        """Do one job; a process for each part of it. Raises BenchError where one fails."""
        with self._start(share_job(job, processes)) as workers:
            if self.was_interrupted:
                self.interrupt()
            for worker in workers:
                _tell(worker, "go")
            lines = _read_all(workers)
        return [read_outcome(line) for line in lines]

    def interrupt(self) -> None:
        """End what runs: its processes say what they measured so far."""
        self.was_interrupted = True
        for worker in list(self._running):
            worker.terminate()

    @contextmanager
    def _start(self, jobs: Sequence[Job]) -> Generator[list[Worker]]:
        # In a session of their own, so that Ctrl-C reaches the command, and no process twice.
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=dict(os.environ),
                start_new_session=True,
            )
            for _ in jobs
        ]
        self._running = workers
        try:
            for worker, job in zip(workers, jobs, strict=True):
                _tell(worker, job.to_line())
            for worker in workers:
                if _read_line(worker) != "ready":
                    raise BenchError("the load generator could not start")
            yield workers
        finally:
            self._running = []
            for worker in workers:
                _end(worker)


def _tell(worker: Worker, line: str) -> None:
    assert worker.stdin is not None
    try:
        print(line, file=worker.stdin, flush=True)
    except BrokenPipeError as error:
        raise BenchError("the load generator ended early") from error


def _read_line(worker: Worker) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().rstrip("\n")


def _read_all(workers: Sequence[Worker]) -> list[str]:
    lines = [""] * len(workers)

    def read(index: int) -> None:
        lines[index] = _read_line(workers[index])

    # All at once: a pipe holds less than what one of them has to say.
    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(workers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not all(lines):
        raise BenchError("the load generator ended without a result")
    return lines


def _end(worker: Worker) -> None:
    for stream in (worker.stdin, worker.stdout):
        if stream is not None:
            stream.close()
    if worker.poll() is None:
        worker.kill()
    worker.wait()
