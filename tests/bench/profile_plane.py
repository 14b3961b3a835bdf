"""Says where the time of a request goes in a fused unit: `python tests/bench/profile_plane.py [--level 1]`.

Everything runs in this process, in turns: the whole way from the bytes of a request to those of its answer, without a
socket; the way from JSON to JSON; the nodes; and beside each part the least that it could take. `measure_plane.py`
measures the same graph over sockets.
"""
# The computation is imported from the folder of the peers, and has no types.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import orjson
import uvicorn
from graphc_runtimes.choose import Call
from graphc_runtimes.desk import Desk, Pace
from graphc_runtimes.environment import Environment
from graphc_runtimes.lane import Lane
from graphc_runtimes.plane import DataPlane, Features
from graphc_runtimes.plane import Path as Route
from graphc_runtimes.protocol import HttpProtocol, Settings
from graphc_runtimes.unit import LoadedUnit, load_unit
from uvicorn.server import ServerState

HERE: Final = Path(__file__).parent
GRAPH: Final = HERE.parents[1] / "graphs" / "wine-average"
INFER: Final = "/v2/models/wine-average/infer"
CALLS: Final = 100
sys.path[:0] = [str(HERE.parent / "support"), str(HERE / "plane")]

from computation import load  # noqa: E402
from served_graphs import compile_graph  # noqa: E402

Timed = Callable[[], object]


class Model:
    """A model that is loaded."""

    ready = True

    def __init__(self, unit: LoadedUnit) -> None:
        self.unit: LoadedUnit | None = unit


class Meter:
    """Counts nothing."""

    def count(self, path: str, status: int, seconds: float) -> None:
        """Pass over a request."""

    def count_inference(self, model: str, seconds: float, *, failed: bool) -> None:
        """Pass over an inference."""


class Transport(asyncio.Transport):
    """Throws away what is written."""

    def write(self, data: object) -> None:
        """Take an answer."""
        self.last = data

    def is_closing(self) -> bool:
        """Say that the connection is open."""
        return False


def connect(unit: LoadedUnit, body: bytes) -> Timed:
    """Return what hands a request to a connection that has seen it before."""
    plane = DataPlane(Desk(1, 1), Meter(), Features())
    pace = Pace(unit.region)
    # As after the first requests, whose times would have said so.
    pace.note(len(body), 1e-5)
    plane.add(Route(Model(unit), "wine-average", "infer", INFER, lambda _: b"", copy_context(), pace))
    settings = Settings(plane, max_body=2**24, max_head=2**14, patience_s=30)
    kind = cast("type[HttpProtocol]", type("Profiled", (HttpProtocol,), {"settings": settings}))
    state = ServerState()
    state.default_headers = [(b"date", b"now"), (b"server", b"uvicorn")]
    config = uvicorn.Config(cast("Any", connect), lifespan="off", log_config=None)
    protocol, transport = kind(config, state, {}), Transport()
    protocol.connection_made(transport)
    request = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def ask() -> None:
        protocol.data_received(request)

    ask()
    assert b"200 OK" in cast("bytes", transport.last)
    return ask


def open_unit(level: int, folder: Path) -> LoadedUnit:
    """Compile the example and load its one unit."""
    (environment,) = compile_graph(GRAPH / "graph.yaml", level, folder / "mounted").environments.values()
    return asyncio.run(load_unit(Environment(environment.region, "unit", environment.artifacts, "cpu", 1)))


def prepare(unit: LoadedUnit) -> Mapping[str, Timed]:
    """Return what is measured, by its name."""
    (tensor,) = json.loads((GRAPH / "request.json").read_text())["inputs"]
    x = np.array(tensor["data"], np.float32)[:13].reshape(1, 13)
    asked = {"name": "x", "shape": [1, 13], "datatype": "FP32", "data": x.ravel().tolist()}
    body = json.dumps({"inputs": [asked]}).encode()
    lane, call = Lane.find(unit, "wine-average"), Call()
    compute = cast("Callable[[object], object]", load("wine-1", GRAPH / "models"))
    assert lane is not None
    found = lane.answer(body, {}, "id")
    assert found is not None
    answer = orjson.loads(found)
    return {
        "from bytes to bytes": connect(unit, body),
        "from JSON to JSON": lambda: lane.answer(body, {}, "id"),
        "  least: orjson alone": lambda: orjson.dumps(answer) if orjson.loads(body) else None,
        "the nodes": lambda: unit.run({"x": x}, call),
        "  the same by hand": lambda: compute(x),
    }


async def measure(level: int, rounds: int) -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        # Loading has an event loop of its own.
        timed = prepare(await asyncio.to_thread(open_unit, level, Path(folder)))
        found: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, work in timed.items():
                start = time.perf_counter()
                for _ in range(CALLS):
                    work()
                found[name].append((time.perf_counter() - start) / CALLS * 1e6)
    whole = statistics.median(found["from bytes to bytes"])
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:24}{min(times):8.1f}{median:8.1f} us{median / whole:8.2f} of the whole")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    asyncio.run(measure(options.level, options.rounds))


if __name__ == "__main__":
    main()
