"""A unit, a front and an engine as processes of their own, and what they hold of the machine."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml
from mixed_clients import GRAPH, STEPS

GRAPHC: Final = (sys.executable, "-c", "from graphc.cli import start; start()")
START_S: Final = 300.0
END_S: Final = 60.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What processes hold: resident memory in KiB, and open descriptors."""

    memory: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program under way, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    def await_line(self, pattern: str) -> re.Match[str]:
        """Return where a line matches, once it does."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if found := re.search(pattern, self.log.read_text(errors="replace"), re.MULTILINE):
                return found
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        raise AssertionError(self.log.read_text(errors="replace")[-3000:])

    def held(self) -> Held:
        """Return what it and all of its children hold."""
        found = [_held(each) for each in _family(self.process.pid)]
        return Held(sum(each.memory for each in found), sum(each.descriptors for each in found))


@contextmanager
def running(arguments: Sequence[str | Path], folder: Path, name: str) -> Generator[Program]:
    """Run graphc, and end it as a service is ended."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*GRAPHC, *arguments], stdout=output, stderr=output, cwd=folder)
    try:
        yield Program(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def write_graph(folder: Path) -> Path:
    """Write the graph whose answers the clients know."""
    (folder / "steps.py").write_text(STEPS)
    path = folder / "graph.yaml"
    path.write_text(GRAPH)
    return path


@dataclass(frozen=True, slots=True)
class Running:
    """A graph under way: its ports for HTTP and gRPC, and those of its units."""

    program: Program
    http: int
    grpc: int
    units: dict[str, tuple[int, int]]


@contextmanager
def run_graph(folder: Path, level: int) -> Generator[Running]:
    """Run the graph."""
    path = write_graph(folder)
    arguments = ["run", f"-O{level}", "--no-cache", "--port", "0", "--grpc-port", "0", path]
    with running(arguments, folder, f"run-{level}") as program:
        http = int(program.await_line(r"^twins: http://127\.0\.0\.1:(\d+)/")[1])
        grpc = int(program.await_line(r"^gRPC: grpc://127\.0\.0\.1:(\d+)/")[1])
        rows = re.findall(r"^([\w-]+) +(\d+) +(\d+) +\d+ *$", program.log.read_text(), re.MULTILINE)
        yield Running(program, http, grpc, {name: (int(one), int(other)) for name, one, other in rows})


@contextmanager
def run_engine(folder: Path, units: dict[str, tuple[int, int]]) -> Generator[tuple[Program, int]]:
    """Run an engine of its own over the units of the graph that run already."""
    done = subprocess.run(
        [*GRAPHC, "compile", "-O0", folder / "graph.yaml"], capture_output=True, check=True, timeout=START_S
    )
    documents = cast("list[Json]", list(yaml.safe_load_all(done.stdout)))
    (deployment,) = [each for each in documents if each["kind"] == "SeldonDeployment"]
    _bind(deployment["spec"]["predictors"][0]["graph"], units)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(deployment))
    with running(["engine", manifest, "--http-port", "0"], folder, "engine") as program:
        yield program, int(program.await_line(r":(\d+)\b")[1])


def _bind(unit: Json, units: dict[str, tuple[int, int]]) -> None:
    http, grpc = units[unit["name"]]
    unit["endpoint"] = {"service_host": "127.0.0.1", "httpPort": http, "grpcPort": grpc}
    for child in unit.get("children", []):
        _bind(child, units)


def _family(pid: int) -> list[int]:
    """Return a process and all that come of it."""
    parents = dict[int, list[int]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def _held(pid: int) -> Held:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return Held(0, 0)
    memory = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    return Held(int(memory[1]) if memory else 0, descriptors)
