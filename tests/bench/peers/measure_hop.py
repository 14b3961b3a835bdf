"""Measures what a hop costs: `python tests/bench/peers/measure_hop.py [--requests 50] [--executor PATH]`.

A chain of units that pass a tensor on runs under `graphc run`, on an otherwise idle machine; in front is its engine or,
where the binary is given, Seldon's executor. The time of a request grows by a hop for each unit, and by its bytes. The
two lines are `CostModel.hop` and `CostModel.hop_mib` of graphc.lower.costs.
"""

import argparse
import json
import os
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from compare_engines import started, write_over
from graphc.bench.serve import serve
from run import free_ports
from seldon_units import executor_command

UNITS: Final = (2, 6)
ROWS: Final = (1, 4_096)
COLUMNS: Final = 32


def write_chain(units: int) -> str:
    """Return a graph whose nodes do next to nothing, each in a unit of its own."""
    lines = ["apiVersion: graphc/v1", "kind: InferenceGraph", "metadata: {name: hops}", "placement: separate"]
    lines += [f"inputs: {{x: 'FP32[batch, {COLUMNS}]'}}", "nodes:"]
    for index in range(units):
        reads = f"n{index - 1}" if index else "x"
        lines.append(f"  n{index}: {{component: rename, in: {{output: {reads}}}}}")
    # The answer is small: what the client itself decodes is not the hop's.
    lines.append(f"  last: {{component: select, in: n{units - 1}, parameters: {{columns: [0]}}, unit: last}}")
    return "\n".join([*lines, "outputs: {y: last}", ""])


@contextmanager
def serve_chain(folder: Path, units: int, executor: str) -> Generator[str]:
    """Run a chain and yield its URL."""
    graph = folder / "graph.yaml"
    graph.write_text(write_chain(units))
    with serve(str(graph)) as served:
        if not executor:
            yield served.url
            return
        deployment = write_over(graph, 1, served.http_ports, folder)
        port, grpc_port = free_ports(2)
        command = executor_command(executor, deployment, port, grpc_port)
        with started(command, os.environ, folder / "log"):
            _wait(port)
            yield f"http://127.0.0.1:{port}/v2/models/hops/infer"


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the executor does not listen")


def measure(url: str, rows: int, requests: int) -> float:
    """Return the median of the milliseconds of a request."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, COLUMNS], "data": [0.5] * (rows * COLUMNS)}
    body = json.dumps({"inputs": [tensor]}).encode()
    times: list[float] = []
    for _ in range(requests + 5):
        started = time.perf_counter()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            answer.read()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[5:])


def main() -> None:
    """Measure chains of two lengths with requests of two sizes, and print what a hop and a MiB cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--executor", default="", help="the binary of Seldon's executor")
    options = parser.parse_args()
    found: dict[tuple[int, int], float] = {}
    for units in UNITS:
        with (
            tempfile.TemporaryDirectory() as folder,
            serve_chain(Path(folder), units, options.executor) as url,
        ):
            for rows in ROWS:
                found[units, rows] = measure(url, rows, options.requests)
                print(f"{units + 1} units, {rows} rows: {found[units, rows]:.1f} ms", flush=True)
    few, many = UNITS
    small, large = ROWS
    hop = (found[many, small] - found[few, small]) / (many - few)
    heavy = (found[many, large] - found[few, large]) / (many - few)
    # A unit takes the tensor and answers with it.
    mib = 2 * (large - small) * COLUMNS * 4 / 2**20
    print(f"hop: {hop:.1f} ms\nhop_mib: {(heavy - hop) / mib:.1f} ms")


if __name__ == "__main__":
    main()
