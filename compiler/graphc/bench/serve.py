"""Runs a graph file or manifest with `graphc run` for as long as it is measured or asked."""

import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphc.bench.failure import BenchError

_GRAPHC: Final = "from graphc.cli import start; start()"
_URL: Final = re.compile(r"^\S+: (http://\S+/infer)$", re.MULTILINE)
_GRPC: Final = re.compile(r"^gRPC: (grpc://\S+)$", re.MULTILINE)
_UNITS: Final = re.compile(r"^unit +http +grpc +metrics\n((?:\S+ +\d+ +\d+ +\d+\n)+)", re.MULTILINE)
_PORT: Final = re.compile(r"(?<=:)\d+(?=/)")
_ENDING: Final = 30


@dataclass(frozen=True, slots=True)
class Served:
    """Where a graph that runs here answers."""

    url: str
    grpc: str
    units: tuple[tuple[str, int, int], ...]
    """Each unit with its ports for HTTP and gRPC."""
    pid: int
    """The process that runs it."""

    @property
    def http_ports(self) -> dict[str, int]:
        """The port for HTTP of each unit."""
        return {name: http for name, http, _ in self.units}

    def address(self, *, is_grpc: bool = False, is_direct: bool = False) -> str:
        """Return where to call the graph; raises BenchError for several units that would be called directly."""
        address = self.grpc if is_grpc else self.url
        if not is_direct:
            return address
        if len(self.units) != 1:
            names = ", ".join(f"`{name}`" for name, *_ in self.units)
            raise BenchError(f"--direct is for a graph of one unit, and this one has {names}")
        ((_, http, grpc),) = self.units
        return _PORT.sub(str(grpc if is_grpc else http), address, count=1)


@contextmanager
def serve(
    path: str, options: Sequence[str] = (), seconds: float = math.inf, python: str = sys.executable
) -> Generator[Served]:
    """Run a graph and yield its addresses; raises BenchError where it does not start, or not in so many seconds.

    `python` is the interpreter whose graphc runs it: another checkout's, to measure one beside the other.
    """
    with tempfile.TemporaryDirectory(prefix="graphc-bench-") as folder:
        log = Path(folder) / "log"
        command = [python, "-c", _GRAPHC, "run", path, *options, "--port", "0", "--grpc-port", "0"]
        with log.open("w") as file:
            # In a session of its own: Ctrl-C ends the measurement, and then this ends the graph.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | {"COLUMNS": "400"},
                start_new_session=True,
            )
        try:
            yield _wait(log, process, seconds)
        finally:
            _end(process)


def _wait(log: Path, process: "subprocess.Popen[bytes]", seconds: float) -> Served:
    until = time.monotonic() + seconds
    while process.poll() is None:
        if found := _read(_said(log), process.pid):
            return found
        if time.monotonic() > until:
            raise BenchError(f"the graph is not ready after {seconds:g} s:\n{_said(log)}")
        time.sleep(0.1)
    raise BenchError(f"the graph does not start:\n{_said(log)}")


def _said(log: Path) -> str:
    return log.read_text("utf-8", "replace").strip()


def _read(text: str, pid: int) -> Served | None:
    url, rpc, units = _URL.search(text), _GRPC.search(text), _UNITS.search(text)
    if url is None or rpc is None or units is None:
        return None
    rows = (line.split() for line in units[1].splitlines())
    return Served(url[1], rpc[1], tuple((name, int(http), int(grpc)) for name, http, grpc, _ in rows), pid)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
