"""A unit that is told to end answers what it has begun, takes nothing new, and is gone right after."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest

Json = dict[str, Any]
Build = Callable[..., Json]
LIMIT_S: Final = 120

CODE: Final = """
import time
from pathlib import Path

def wait(x):
    Path("begun").touch()
    time.sleep(float(x[0, 0]))
    return x
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [cast("int", each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


class Served:
    """A unit whose one node takes as long as it is asked to."""

    def __init__(self, folder: Path, region: Json, **variables: str) -> None:
        self.folder, self.ports = folder, free_ports(3)
        (folder / "models").mkdir()
        (folder / "own.py").write_text(CODE)
        environment = os.environ | {
            "GRAPHC_REGION": json.dumps(region),
            "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_METRICS_DIR": str(folder),
            "MLSERVER_HOST": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            **{
                f"MLSERVER_{name}_PORT": str(port)
                for name, port in zip(("HTTP", "GRPC", "METRICS"), self.ports, strict=True)
            },
            **variables,
        }
        self.log = folder / "log.txt"
        command = [sys.executable, "-m", "graphc_runtimes", str(folder / "models")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/v2"

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, seconds: float) -> httpx.Response:
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [seconds]}
        return httpx.post(f"{self.url}/models/graph/infer", json={"inputs": [tensor]}, timeout=LIMIT_S)

    def is_refused(self) -> bool:
        """Say whether nobody listens any more."""
        with socket.socket() as each:
            each.settimeout(5)
            return each.connect_ex(("127.0.0.1", self.ports[0])) != 0


@pytest.fixture
def serve(build: Build, node: Build, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(**variables: str) -> Served:
        types = {"declares": {"y": {"datatype": "FP32", "shape": ["batch", 1]}}}
        nodes = [node("n", {"x": "x"}, {"y": "n.y"}, kind="python", entry="own:wait", path=None, **types)]
        region = build(nodes, takes=["x: FP32[batch, 1]"], answers={"n.y": "y: FP32[batch, 1]"})
        made.append(Served(tmp_path, region, **variables))
        wait_for(made[-1].is_ready)
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.wait()


def begin(served: Served, pool: ThreadPoolExecutor, seconds: float) -> "Future[httpx.Response]":
    asking = pool.submit(served.ask, seconds)
    wait_for((served.folder / "begun").exists)
    return asking


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_what_has_begun_is_answered_and_nothing_new_is_taken(
    serve: Callable[..., Served], workers: str
) -> None:
    served = serve(GRAPHC_GRACE_S="60", GRAPHC_WORKERS=workers)
    with ThreadPoolExecutor() as pool:
        asking = begin(served, pool, 6)
        served.process.send_signal(signal.SIGTERM)
        wait_for(served.is_refused)
        assert not asking.done()
        answer = asking.result()
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert answer.json()["outputs"][0]["data"] == [6.0]
    # Long before the grace is over.
    assert served.process.wait(30) == 0, served.log.read_text()


def test_what_takes_longer_than_the_grace_is_cut(serve: Callable[..., Served]) -> None:
    served = serve(GRAPHC_GRACE_S="1")
    with ThreadPoolExecutor() as pool:
        asking = begin(served, pool, LIMIT_S)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(LIMIT_S / 2) == 0
        with pytest.raises(httpx.TransportError):
            asking.result()


def test_a_grace_that_is_no_number_is_refused(serve: Callable[..., Served]) -> None:
    with pytest.raises(
        AssertionError, match="GRAPHC_GRACE_S is `soon`, which is not a positive whole number"
    ):
        serve(GRAPHC_GRACE_S="soon")
