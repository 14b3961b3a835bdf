"""Measures what a unit spends on bodies that it refuses, beside sound bodies of the same size that it answers.

    python tests/bench/measure_refusals.py [--sizes 1024 102400 10485760] [--rounds 3] [--only "a null at the end"]

A unit of one node that answers little (`argmax`) runs alone; each kind of bad body and the sound one are sent in turns.
Per byte sent: the processor's time of the unit's process, and its peak memory above what it had before. Ratios above
`--most` are marked, and the command ends with 1.
"""

import argparse
import gzip
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "support")]

from served_graphs import compile_graph  # noqa: E402

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: top}
inputs: {x: "FP32[batch, 13]"}
nodes:
  top: {component: argmax, in: x}
outputs: {top: top}
"""
PATH: Final = "/v2/models/top/infer"
COLUMNS: Final = 13
NUMBERS: Final = b"0.127,13.25,2.5,-1.75,17.2,101.5,2.8,3.06,0.28,2.29,5.64,1.04,3.92,"
SPENT: Final = 0.4
"""Seconds of sending in which one figure is made."""
FLOOR: Final = 2**20
"""Peaks below this are the process's own coming and going."""

Make = Callable[[int], bytes]
Headers = Mapping[str, str]


def _tensor(data: bytes, rows: int, datatype: bytes = b"FP32") -> bytes:
    shape = b'"shape":[%d,%d],"datatype":"%b"' % (rows, COLUMNS, datatype)
    return b'{"inputs":[{"name":"x",%b,"data":[%b]}]}' % (shape, data)


def _rows(size: int) -> int:
    return max((size - 80) // len(NUMBERS), 1)


def make_sound(size: int) -> bytes:
    """Return a body that is answered, of about so many bytes."""
    return _tensor((NUMBERS * _rows(size))[:-1], _rows(size))


def _filled(before: bytes, unit: bytes, after: bytes) -> Make:
    return lambda size: before + unit * max((size - len(before) - len(after)) // len(unit), 1) + after


def _ending(last: bytes, datatype: bytes = b"FP32") -> Make:
    return lambda size: _tensor(NUMBERS * (_rows(size) - 1) + NUMBERS[:-5] + last, _rows(size), datatype)


def _nested(size: int) -> bytes:
    row = b"[%b]," % NUMBERS[:-1]
    rows = max(size // len(row), 2)
    return _tensor(row * (rows - 1) + b"[1]", rows)


BAD: Final[Mapping[str, Make]] = {
    "empty objects": _filled(b'{"inputs":[', b"{},", b"{}]}"),
    "numbers as tensors": _filled(b'{"inputs":[', b"1,", b"1]}"),
    "tensors without data": _filled(b'{"inputs":[', b'{"name":"x"},', b'{"name":"x"}]}'),
    "a tensor many times": _filled(
        b'{"inputs":[', b'{"name":"x","shape":[1,13],"datatype":"FP32","data":[]},', b"{}]}"
    ),
    "no inputs": _filled(b'{"more":[', b"{},", b"{}]}"),
    "open lists": _filled(b"", b"[", b""),
    "open objects": _filled(b"", b'{"a":', b""),
    "no JSON": _filled(b"", b"\xff", b""),
    "blanks": _filled(b"", b" ", b""),
    "cut off": lambda size: make_sound(size)[:-3],
    "a long name": _filled(b'{"inputs":[{"name":"', b"n", b'","shape":[1],"datatype":"FP32","data":null}]}'),
    "a long shape": _filled(
        b'{"inputs":[{"name":"x","shape":[', b"1,", b'1],"datatype":"FP32","data":[1]}]}'
    ),
    "many parameters": _filled(b'{"parameters":{', b'"aa":1,', b'"a":1},"inputs":[{}]}'),
    "another shape": lambda size: make_sound(size).replace(b'"shape":[', b'"shape":[7'),
    "another datatype": lambda size: make_sound(size).replace(b"FP32", b"FP64"),
    "another name": lambda size: make_sound(size).replace(b'"x"', b'"z"'),
    "a null as data": _filled(
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":null}],"more":[', b"1,", b"1]}"
    ),
    "a text at the end": _ending(b'"a"'),
    "an object at the end": _ending(b"{}"),
    "no JSON at the end": _ending(b"nul"),
    "out of range at the end": _ending(b"1e99"),
    "too many numbers": lambda size: make_sound(size).replace(b",13]", b",12]"),
    "rows that differ": _nested,
    "texts for numbers": _filled(
        b'{"inputs":[{"name":"x","shape":[1,13],"datatype":"FP32","data":[', b'"a",', b'"a"]}]}'
    ),
}


@dataclass
class Spent:
    """What rounds of one kind took: microseconds of the processor for a KiB, and bytes of memory for a byte."""

    cpu: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])


class Unit:
    """A unit's process."""

    def __init__(self, folder: Path) -> None:
        graph = folder / "graph.yaml"
        graph.write_text(GRAPH)
        (environment,) = compile_graph(graph, 1, folder / "mounted").environments.values()
        self._ports = [_free_port() for _ in range(3)]
        (folder / "empty").mkdir()
        variables = {
            "GRAPHC_REGION": environment.region,
            "GRAPHC_ARTIFACTS": str(environment.artifacts),
            "GRAPHC_THREADS": "1",
            "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
            "MLSERVER_MODEL_NAME": "top",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_GZIP_ENABLED": "false",
            "MLSERVER_METRICS_DIR": str(folder),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self._ports[0]),
            "MLSERVER_GRPC_PORT": str(self._ports[1]),
            "MLSERVER_METRICS_PORT": str(self._ports[2]),
        }
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "graphc_runtimes", str(folder / "empty")]
            self._process = subprocess.Popen(
                command, env=os.environ | variables, stdout=log, stderr=log, cwd=folder
            )
        self._connection: http.client.HTTPConnection | None = None

    def wait(self) -> None:
        """Wait until the unit answers."""
        for _ in range(600):
            try:
                if self.send(make_sound(1024), {}) == 200:
                    return
            except OSError:
                self._connection = None
            time.sleep(0.1)
        raise SystemExit("the unit does not answer")

    def send(self, body: bytes, headers: Headers) -> int:
        """Send a body and return the status of its answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=120)
        self._connection.request("POST", PATH, body, dict(headers))
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200 and len(text) >= 4096:
            raise SystemExit(f"an error of {len(text)} bytes")
        return answer.status

    def measure(self, body: bytes, headers: Headers, status: int, spent: Spent, size: int = 0) -> None:
        """Send a body for a while, and note what that took."""
        size = size or len(body)
        if (found := self.send(body, headers)) != status:
            raise SystemExit(f"status {found} where {status} should be: {body[:100]!r}")
        before = self._memory("VmRSS")
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        self.send(body, headers)
        # Each body is held once; whether in memory that the process had already is chance.
        spent.memory.append(max(self._memory("VmHWM") - before, FLOOR, size) / size)
        start, ends, count = self._cpu(), time.monotonic() + SPENT, 0
        while time.monotonic() < ends or count < 3:
            self.send(body, headers)
            count += 1
        spent.cpu.append((self._cpu() - start) / count / size * 1024 * 1e6)

    def _memory(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def _cpu(self) -> float:
        """Return the seconds of the processor that the process's threads have had."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def compare(unit: Unit, size: int, kinds: Mapping[str, Make], rounds: int, most: float) -> bool:
    """Print a size's table; says whether every ratio is within what may be."""
    sound, good = make_sound(size), Spent()
    found = {kind: Spent() for kind in [*kinds, "gzip of blanks"]}
    for _ in range(rounds):
        unit.measure(sound, {}, 200, good)
        for kind, make in kinds.items():
            unit.measure(make(size), {}, 400, found[kind])
        # What counts are the bytes that come of it.
        unit.measure(
            gzip.compress(b" " * size), {"Content-Encoding": "gzip"}, 400, found["gzip of blanks"], size
        )
    middle = statistics.median
    print(
        f"\n{size} bytes; answered: {middle(good.cpu):.2f} us a KiB, {middle(good.memory):.1f} bytes a byte"
    )
    print(f"{'':26}{'us a KiB':>10}{'ratio':>8}{'bytes a byte':>14}{'ratio':>8}")
    is_within = True
    for kind, spent in found.items():
        if not spent.cpu:
            continue
        cpu = statistics.median(a / b for a, b in zip(spent.cpu, good.cpu, strict=True))
        memory = statistics.median(a / b for a, b in zip(spent.memory, good.memory, strict=True))
        is_most = cpu > most or memory > most
        is_within = is_within and not is_most
        figures = f"{middle(spent.cpu):10.2f}{cpu:8.2f}{middle(spent.memory):14.1f}{memory:8.2f}"
        print(f"{kind:26}{figures}{'  above' if is_most else ''}", flush=True)
    return is_within


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 102_400, 10_485_760])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(BAD))
    parser.add_argument("--most", type=float, default=1.5)
    options = parser.parse_args()
    kinds = {kind: BAD[kind] for kind in options.only}
    with tempfile.TemporaryDirectory() as folder:
        unit = Unit(Path(folder))
        try:
            unit.wait()
            passed = [compare(unit, size, kinds, options.rounds, options.most) for size in options.sizes]
            return 0 if all(passed) else 1
        finally:
            unit.stop()


if __name__ == "__main__":
    sys.exit(main())
