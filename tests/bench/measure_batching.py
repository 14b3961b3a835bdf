"""Measures what batching brings: `PYTHONPATH=tests/support python tests/bench/measure_batching.py`.

The units run in this process, called by asyncio tasks as a server would: no HTTP. Each round takes every graph's
unit without batching and with it, one after the other; the ratio of a round is between those two. The machine should
be idle.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from graphc_runtimes.batching import answer
from graphc_runtimes.messages import Message, read_message
from graphc_runtimes.region import Batch
from graphc_runtimes.unit import Unit, load_unit
from served_graphs import compile_graph

REPOSITORY: Final = Path(__file__).parents[2]
CLIENTS: Final = 64


async def load(graph: Path, root: Path) -> Unit:
    """Return the one unit of an example, without batching."""
    compiled = compile_graph(graph / "graph.yaml", 1, root)
    (environment,) = compiled.environments.values()
    return await load_unit(environment)


async def ask(unit: Unit, message: Message, until: float, times: list[float]) -> None:
    """Ask one request after the other, as one client does."""
    while (start := time.perf_counter()) < until:
        await answer(unit, message)
        times.append(time.perf_counter() - start)


async def throughput(unit: Unit, message: Message, clients: int, seconds: float) -> tuple[float, float]:
    """Return the requests per second and the median latency in milliseconds."""
    times: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(ask(unit, message, start + seconds, times) for _ in range(clients)))
    return len(times) / (time.perf_counter() - start), statistics.median(times) * 1000


def show(values: Sequence[float]) -> str:
    """Write a median with its spread."""
    return f"{statistics.median(values):9.2f} ({min(values):.2f}-{max(values):.2f})"


async def measure(graph: Path, rounds: int, seconds: float) -> None:
    """Print one line for a graph."""
    message = read_message(json.loads((graph / "request.json").read_text()), {})
    with tempfile.TemporaryDirectory() as root:
        plain = await load(graph, Path(root))
    batched = Unit(replace(plain.region, batch=Batch(CLIENTS)), plain.runners)
    units = (plain, batched)
    for unit in units:
        await throughput(unit, message, CLIENTS, seconds / 2)
    busy, ratios, idle = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        many = [(await throughput(unit, message, CLIENTS, seconds))[0] for unit in units]
        one = [(await throughput(unit, message, 1, seconds))[1] for unit in units]
        busy.append(many[1])
        ratios.append(many[1] / many[0])
        idle.append(one[1] / one[0])
    print(f"{graph.name:16} {show(busy)} requests/s {show(ratios)} times; idle p50 {show(idle)} times")


def main() -> None:
    """Measure the examples, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", default="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    for file in sorted((REPOSITORY / "graphs").glob(f"{options.graph}/graph.yaml")):
        asyncio.run(measure(file.parent, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
