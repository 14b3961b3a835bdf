"""Measure what a shadow costs the live answers: none, a healthy one, one that hangs, one that is dead.

Run it as `python tests/bench/measure_shadow.py`. The client, each front and the units are processes of their own, as
they are in a run. Rounds alternate; ratios are of each round to the round without a shadow beside it, so that what
else the machine does falls on both.
"""

import argparse
import asyncio
import http.client
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from aiohttp import web
from graphc.engine.listen import Listener
from graphc.engine.service import ServedGraph
from graphc.rollout.choose import Chooser
from graphc.rollout.shares import Match, Mirror, Rollout, Share, Way
from graphc.run.versions import Tree, Versions
from graphc.seldon.unit import Endpoint, SeldonUnit

ROWS = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}]})
JSON_TYPE = {"Content-Type": "application/json"}
FOREVER = 3600


async def answer(_: web.Request) -> web.Response:
    return web.json_response({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}]})


async def hang(_: web.Request) -> web.Response:
    await asyncio.sleep(FOREVER)
    return web.Response()


async def serve_unit(behaviour: str) -> None:
    """Serve a unit that answers or hangs, and say at which port."""
    app = web.Application()
    app.router.add_post("/{path:.*}", hang if behaviour == "hangs" else answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    if behaviour == "dead":
        await runner.cleanup()
    print(port, flush=True)
    await asyncio.sleep(FOREVER)


async def serve_front(live: int, shadow: int | None) -> None:
    """Serve the versions behind the units at these ports, and say at which port."""
    ports = {"main": live} | ({"ghost": shadow} if shadow is not None else {})
    mirrors = (Mirror("ghost"),) if shadow is not None else ()
    trees = {name: tree(port) for name, port in ports.items()}
    rollout = Rollout((Way(Match(), (Share("main", 100),)),), mirrors)
    versions = Versions(trees, Chooser("g", rollout, random.Random(1)))
    listener = Listener("127.0.0.1", 0, None)
    versions.start()
    await listener.start(versions.rest, versions.calls)
    print(listener.http_port, flush=True)
    await asyncio.sleep(FOREVER)


def tree(port: int) -> Tree:
    return Tree(
        SeldonUnit("m", "MODEL", endpoint=Endpoint("127.0.0.1", port)), ServedGraph("g", {"name": "g"})
    )


@contextmanager
def starting(*role: str) -> Generator[int]:
    """Run this file in a role of its own; yield the port that it says."""
    with subprocess.Popen([sys.executable, __file__, "--role", *role], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure(port: int, count: int, pause: float) -> list[float]:
    """Return the milliseconds of so many requests, in order of length."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    milliseconds: list[float] = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("POST", "/v2/models/g/infer", ROWS, JSON_TYPE)
        response = connection.getresponse()
        response.read()
        milliseconds.append((time.perf_counter() - started) * 1000)
        assert response.status == 200
        time.sleep(pause)
    connection.close()
    return sorted(milliseconds)


def run(rounds: int, count: int, pause: float) -> None:
    with ExitStack() as stack:
        units = {name: stack.enter_context(starting(name)) for name in ("healthy", "hangs", "dead")}
        live = stack.enter_context(starting("healthy"))
        fronts = {"none": stack.enter_context(starting("front", str(live)))}
        for name, port in units.items():
            fronts[name] = stack.enter_context(starting("front", str(live), str(port)))
        taken: dict[str, list[list[float]]] = {name: [] for name in fronts}
        for number in range(rounds + 1):
            for name, port in fronts.items():
                found = measure(port, count, pause)
                if number:
                    taken[name].append(found)
    for quantile in (0.5, 0.99):
        at = int(quantile * count)
        for name, each in taken.items():
            ratios = [one[at] / base[at] for one, base in zip(each, taken["none"], strict=True)]
            middle, spread = statistics.median(ratios), statistics.quantiles(ratios, n=4)
            milliseconds = statistics.median(one[at] for one in each)
            print(
                f"p{quantile * 100:g} {name:8} {milliseconds:7.2f} ms, ratio {middle:.2f} "
                f"(quartiles {spread[0]:.2f} to {spread[2]:.2f})"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds between an answer and the next request"
    )
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    match options.role:
        case None:
            run(options.rounds, options.count, options.pause)
        case ["front", at, *others]:
            asyncio.run(serve_front(int(at), int(others[0]) if others else None))
        case [behaviour]:
            asyncio.run(serve_unit(behaviour))
        case _:
            parser.error("no such role")
