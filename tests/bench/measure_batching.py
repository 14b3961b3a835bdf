"""Measures what batching brings: `PYTHONPATH=tests/support python tests/bench/measure_batching.py [--http]`.

The units run in this process, called by asyncio tasks as a server would; with `--http` each has a server of its own,
started by `python -m MODULE FOLDER`, and the tasks are clients of it. Each round takes every graph's unit without
batching and with it, one after the other; the ratio of a round is between those two. The machine should be idle.
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
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
from graphc_runtimes.batching import answer
from graphc_runtimes.environment import Environment
from graphc_runtimes.messages import read_message
from graphc_runtimes.region import Batch
from graphc_runtimes.unit import Unit, load_unit
from served_graphs import compile_graph

REPOSITORY: Final = Path(__file__).parents[2]
CLIENTS: Final = 64

Ask = Callable[[], Awaitable[object]]
"""Sends one request, and waits for its answer."""


async def load_both(environment: Environment, body: bytes) -> tuple[Ask, Ask]:
    """Return a way to ask the unit in this process, without batching and with it."""
    message = read_message(json.loads(body), {})
    plain = await load_unit(environment)
    batched = Unit(replace(plain.region, batch=Batch(CLIENTS)), plain.runners)
    return lambda: answer(plain, message), lambda: answer(batched, message)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serve(
    region: str, artifacts: Path, module: str, http: aiohttp.ClientSession, body: bytes
) -> AsyncGenerator[Ask]:
    """Serve a region in a process of its own, and yield a way to ask it."""
    port = free_port()
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
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_METRICS_DIR": str(artifacts),
    }
    command = [sys.executable, "-m", module, str(artifacts)]
    process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/v2/models/{json.loads(region)['graph']['name']}"
    headers = {"Content-Type": "application/json"}

    async def ask() -> object:
        async with http.post(f"{url}/infer", data=body, headers=headers) as response:
            assert response.status == 200
            return await response.read()

    try:
        await wait_ready(http, f"{url}/ready")
        yield ask
    finally:
        process.terminate()
        process.wait()


async def wait_ready(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until a server answers."""
    for _ in range(1200):
        try:
            async with http.get(url) as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(url)


async def ask_on(ask: Ask, until: float, times: list[float]) -> None:
    """Ask one request after the other, as one client does."""
    while (start := time.perf_counter()) < until:
        await ask()
        times.append(time.perf_counter() - start)


async def throughput(ask: Ask, clients: int, seconds: float) -> tuple[float, float, float]:
    """Return the requests per second, and per second of this process' CPU, and the median latency in ms."""
    times: list[float] = []
    start, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask_on(ask, start + seconds, times) for _ in range(clients)))
    used, took = time.process_time() - used, time.perf_counter() - start
    return len(times) / took, len(times) / used, statistics.median(times) * 1000


def show(values: Sequence[float]) -> str:
    """Write a median with its spread."""
    return f"{statistics.median(values):9.2f} ({min(values):.2f}-{max(values):.2f})"


async def measure(graph: Path, options: argparse.Namespace) -> None:
    """Print one line for a graph."""
    body = (graph / "request.json").read_bytes()
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (environment,) = compile_graph(graph / "graph.yaml", 1, root).environments.values()
        if options.http:
            pool = aiohttp.TCPConnector(limit=CLIENTS)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=pool))
            region = json.loads(environment.region)
            regions = [json.dumps(each) for each in (region, region | {"batch": {"max_size": CLIENTS}})]
            both = [
                await stack.enter_async_context(serve(each, root, options.module, http, body))
                for each in regions
            ]
        else:
            both = await load_both(environment, body)
        print(f"{graph.name:16} {await compare(both, options.rounds, options.seconds)}", flush=True)


async def compare(both: Sequence[Ask], rounds: int, seconds: float) -> str:
    """Ask both in turn; return the second's throughput, its ratio to the first's, and that of idle latencies.

    The ratio by CPU time is the steadier one; over HTTP it is the client's, and means nothing.
    """
    for ask in both:
        await throughput(ask, CLIENTS, seconds / 2)
    busy, ratios, by_cpu, idle = list[float](), list[float](), list[float](), list[float]()
    for _ in range(rounds):
        many = [await throughput(ask, CLIENTS, seconds) for ask in both]
        one = [await throughput(ask, 1, seconds) for ask in both]
        busy.append(many[1][0])
        ratios.append(many[1][0] / many[0][0])
        by_cpu.append(many[1][1] / many[0][1])
        idle.append(one[1][2] / one[0][2])
    return (
        f"{show(busy)} requests/s {show(ratios)} times, by CPU time {show(by_cpu)}; "
        f"idle p50 {show(idle)} times"
    )


def main() -> None:
    """Measure the examples, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", default="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--module", default="graphc_runtimes")
    options = parser.parse_args()
    for file in sorted((REPOSITORY / "graphs").glob(f"{options.graph}/graph.yaml")):
        asyncio.run(measure(file.parent, options))


if __name__ == "__main__":
    main()
