"""Measure what a shadow costs the live answers: none, a healthy one, one that hangs, one that is dead.

Run it as `python tests/bench/measure_shadow.py`. Rounds alternate in one process; ratios are of each round to the
round without a shadow beside it, so that what else the machine does falls on both.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp import web
from graphc.engine.listen import Listener
from graphc.engine.service import Graph
from graphc.engine.tree import Endpoint, Unit
from graphc.local.versions import Tree, Versions
from graphc.rollout.choose import Chooser
from graphc.rollout.model import Match, Mirror, Rollout, Share, Way

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}]}


async def answer(_: web.Request) -> web.Response:
    return web.json_response({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}]})


async def hang(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


@asynccontextmanager
async def serving(shadow: str | None) -> AsyncGenerator[str]:
    async with AsyncExitStack() as stack:
        trees = {"main": await tree(stack, "healthy")}
        mirrors: tuple[Mirror, ...] = ()
        if shadow is not None:
            trees["ghost"], mirrors = await tree(stack, shadow), (Mirror("ghost"),)
        rollout = Rollout((Way(Match(), (Share("main", 100),)),), mirrors)
        versions = Versions(trees, Chooser("g", rollout, random.Random(1)))
        listener = Listener("127.0.0.1", 0, None)
        versions.start()
        stack.push_async_callback(versions.stop)
        await listener.start(versions.rest, versions.calls)
        stack.push_async_callback(listener.stop)
        yield f"http://127.0.0.1:{listener.http_port}/v2/models/g/infer"


async def tree(stack: AsyncExitStack, behaviour: str) -> Tree:
    app = web.Application()
    app.router.add_post("/{path:.*}", hang if behaviour == "hangs" else answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = Endpoint("127.0.0.1", int(runner.addresses[0][1]))
    if behaviour == "dead":
        await runner.cleanup()
    return Tree(Unit("m", "MODEL", endpoint=endpoint), Graph("g", {"name": "g"}))


async def measure(http: aiohttp.ClientSession, url: str, count: int) -> list[float]:
    seconds: list[float] = []
    for _ in range(count):
        started = time.perf_counter()
        async with http.post(url, json=BODY) as response:
            await response.read()
            assert response.status == 200
        seconds.append((time.perf_counter() - started) * 1000)
    return sorted(seconds)


async def run(rounds: int, count: int) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        urls = {
            name or "none": await stack.enter_async_context(serving(name))
            for name in (None, "healthy", "hangs", "dead")
        }
        taken: dict[str, list[list[float]]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                taken[name].append(await measure(http, url, count))
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
    options = parser.parse_args()
    asyncio.run(run(options.rounds, options.count))
