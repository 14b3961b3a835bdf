"""A graph that `graphc run` serves beside a program."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

_HTTP: Final = re.compile(r"^([\w.-]+): (http://\S+/v2/models/\S+)/infer$")
_GRPC: Final = re.compile(r"^gRPC: (grpc://\S+)$")
_READY: Final = "curl "
_KEPT: Final = 200
_END_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where a graph answers; it ends with the block that serves it."""

    name: str
    url: str
    """The model's URL, `http://HOST:PORT/v2/models/NAME`; `/infer` behind it answers requests."""
    grpc: str | None
    """`grpc://HOST:PORT/NAME`."""
    pid: int


@contextmanager
def serve_files(arguments: Sequence[str], seconds: float) -> Generator[Served]:
    """Run `graphc run` with some arguments until the block ends; raises RuntimeError where it is not ready in time."""
    command = [sys.executable, "-c", "from graphc.cli import start; start()", "run"]
    ports = ["--port", "0", "--grpc-port", "0"]
    process = subprocess.Popen(
        [*command, *ports, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        assert process.stderr is not None
        yield _wait(process, _Reader(process.stderr), seconds)
    finally:
        _end(process)


class _Reader:
    """Reads what a process says, so that it never waits for a reader."""

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.lines.append(line.rstrip("\n"))
            del self.lines[:-_KEPT]

    def finish(self) -> str:
        """Return the last lines, once there are no more."""
        self._thread.join(1)
        return "\n".join(self.lines)


def _wait(process: "subprocess.Popen[str]", reader: _Reader, seconds: float) -> Served:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        lines = list(reader.lines)
        if any(line.startswith(_READY) for line in lines):
            found = next(match for line in lines if (match := _HTTP.match(line)))
            grpc = next((match[1] for line in lines if (match := _GRPC.match(line))), None)
            return Served(found[1], found[2], grpc, process.pid)
        if process.poll() is not None:
            raise RuntimeError(f"the graph is not served:\n{reader.finish()}")
        time.sleep(0.05)
    raise RuntimeError(f"the graph is not ready after {seconds:g} s:\n" + "\n".join(reader.lines))


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
