"""Measures what batching brings: `PYTHONPATH=tests/support python tests/bench/measure_batching.py [--http]`.

The units run in this process, called by asyncio tasks as a server would. With `--http` each has a server of its own,
started by `python -m graphc_runtimes`, and the clients are a lean process of their own; beside the ratio of answers a
second stand that of the server's processor time for an answer, in which the clients have no part, and what it would be
if the nodes of a batch took no time at all: HTTP and JSON of each request are left. Each round takes every graph's unit
without batching and with it, one after the other; the ratio of a round is between those two. The machine should be
idle.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.request import urlopen

import numpy as np
from graphc_runtimes.batching import answer
from graphc_runtimes.environment import Environment
from graphc_runtimes.reading import read_message
from graphc_runtimes.region import Batch
from graphc_runtimes.unit import LoadedUnit, load_unit
from served_graphs import compile_graph

REPOSITORY: Final = Path(__file__).parents[2]
LOAD: Final = Path(__file__).parent / "plane" / "load.py"
CLIENTS: Final = 64

Ask = Callable[[], Awaitable[object]]
"""Sends one request, and waits for its answer."""


class Measured(NamedTuple):
    """What clients saw."""

    per_s: float
    """Answers a second."""
    per_processor_s: float
    """Answers for a second of the processor's time."""
    p50_ms: float


Measure = Callable[[int, float], Measured]
"""Has so many clients ask for so many seconds."""


async def load_both(environment: Environment, body: bytes) -> tuple[Ask, Ask]:
    """Return a way to ask the unit in this process, without batching and with it."""
    message = read_message(body, {})
    plain = await load_unit(environment)
    batched = LoadedUnit(replace(plain.region, batch=Batch(CLIENTS)), plain.runners)
    return lambda: answer(plain, message), lambda: answer(batched, message)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A unit that is served by a process of its own."""

    def __init__(self, region: str, folder: Path, artifacts: Path, body: bytes) -> None:
        self.port = free_port()
        self.path = f"/v2/models/{json.loads(region)['graph']['name']}"
        folder.mkdir()
        self._request = folder / "request"
        head = f"POST {self.path}/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self._request.write_bytes(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        variables = {
            "GRAPHC_REGION": region,
            "GRAPHC_ARTIFACTS": str(artifacts),
            "GRAPHC_THREADS": "1",
            "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_GZIP_ENABLED": "false",
            "MLSERVER_DEBUG": "false",
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self.port),
            "MLSERVER_GRPC_PORT": str(free_port()),
            "MLSERVER_METRICS_PORT": str(free_port()),
            "MLSERVER_METRICS_DIR": str(folder),
        }
        command = [sys.executable, "-m", "graphc_runtimes", str(folder)]
        self._process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)

    def wait(self) -> None:
        """Wait until the server is ready."""
        for _ in range(1200):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}{self.path}/ready") as answer:
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise TimeoutError(self.path)

    def measure(self, clients: int, seconds: float) -> Measured:
        """Have clients ask for some time."""
        used = self._processor_s()
        command = [
            sys.executable,
            LOAD,
            "127.0.0.1",
            str(self.port),
            self._request,
            str(clients),
            str(seconds),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert not found["failed"]
        return Measured(found["rps"], found["count"] / (self._processor_s() - used), found["p50_ms"])

    def _processor_s(self) -> float:
        """Return the processor's time that the server has had so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


def time_nodes(unit: LoadedUnit, body: bytes) -> float:
    """Return the seconds that the nodes take for a request, as one of as many as a batch has room for."""
    tensors, call = unit.read(read_message(body, {}))
    count = max(1, CLIENTS // len(next(iter(tensors.values()))))
    joined = {name: np.concatenate([array] * count) for name, array in tensors.items()}
    times: list[float] = []
    for _ in range(300):
        start = time.perf_counter()
        unit.run(joined, call)
        times.append(time.perf_counter() - start)
    return statistics.median(times) / count


async def ask_on(ask: Ask, until: float, times: list[float]) -> None:
    """Ask one request after the other, as one client does."""
    while (start := time.perf_counter()) < until:
        await ask()
        times.append(time.perf_counter() - start)


async def throughput(ask: Ask, clients: int, seconds: float) -> Measured:
    """Have asyncio tasks ask for some time."""
    times: list[float] = []
    start, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask_on(ask, start + seconds, times) for _ in range(clients)))
    used, took = time.process_time() - used, time.perf_counter() - start
    return Measured(len(times) / took, len(times) / used, statistics.median(times) * 1000)


def show(values: Sequence[float]) -> str:
    """Write a median with its spread."""
    return f"{statistics.median(values):9.2f} ({min(values):.2f}-{max(values):.2f})"


def measure(graph: Path, options: argparse.Namespace) -> None:
    """Print one line for a graph."""
    body = (graph / "request.json").read_bytes()
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        root = Path(text)
        (environment,) = compile_graph(graph / "graph.yaml", 1, root / "models").environments.values()
        one = replace(environment, threads=1)
        if options.http:
            region = json.loads(environment.region)
            regions = [json.dumps(each) for each in (region, region | {"batch": {"max_size": CLIENTS}})]
            servers: list[Server] = []
            for number, each in enumerate(regions):
                servers.append(Server(each, root / str(number), environment.artifacts, body))
                stack.callback(servers[-1].stop)
            for server in servers:
                server.wait()
            nodes = time_nodes(asyncio.run(load_unit(one)), body)
            line = compare([server.measure for server in servers], options.rounds, options.seconds, nodes)
        else:
            with asyncio.Runner() as runner:
                both = runner.run(load_both(one, body))
                line = compare(
                    [
                        lambda clients, seconds, ask=ask: runner.run(throughput(ask, clients, seconds))
                        for ask in both
                    ],
                    options.rounds,
                    options.seconds,
                )
        print(f"{graph.name:16} {line}", flush=True)


def compare(both: Sequence[Measure], rounds: int, seconds: float, nodes: float = 0) -> str:
    """Ask both in turn; return the second's throughput, its ratio to the first's, and that of idle latencies.

    `nodes` is the seconds that the nodes take for a request of a batch: with it, the ratio if they took none.
    """
    for each in both:
        each(CLIENTS, seconds / 2)
    many, one = list[list[Measured]](), list[list[Measured]]()
    for _ in range(rounds):
        many.append([each(CLIENTS, seconds) for each in both])
        one.append([each(1, seconds) for each in both])
    alone, shared = (statistics.median(1 / each[at].per_processor_s for each in many) * 1e6 for at in (0, 1))
    limit = (
        f" ({alone:.0f} us, in batches {shared:.0f}, of which nodes {nodes * 1e6:.0f}: "
        f"without them {alone / (shared - nodes * 1e6):.1f})"
    )
    return (
        f"{show([second.per_s for _, second in many])} requests/s "
        f"{show([second.per_s / first.per_s for first, second in many])} times, by processor time "
        f"{show([second.per_processor_s / first.per_processor_s for first, second in many])}"
        f"{limit if nodes else ''}; idle p50 {show([second.p50_ms / first.p50_ms for first, second in one])} times"
    )


def main() -> None:
    """Measure the examples, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", default="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--http", action="store_true")
    options = parser.parse_args()
    for file in sorted((REPOSITORY / "graphs").glob(f"{options.graph}/graph.yaml")):
        measure(file.parent, options)


if __name__ == "__main__":
    main()
