"""Units of graphc's runtime are forked by one process that imported MLServer, and mind no difference."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from graphc.run.nursery import can_be_forked
from graphc.run.plan import HOST, UnitProcess, free_ports
from graphc.run.supervisor import Failure, Patience, Supervisor

Json = dict[str, Any]

CODE: Final = """
import os, sys, time

BORN = time.time()

def tell(x):
    print("telling", os.environ["GRAPHC_TEST"], os.environ.get("ORT_DISABLE_TELEMETRY"), flush=True)
    return x * int(os.environ["GRAPHC_TEST"])
"""


def region(unit: str, *, entry: str = "own:tell") -> Json:
    tensor = {"name": "x", "datatype": "FP32", "shape": ["batch", 2]}
    declares = {"y": {"datatype": "FP32", "shape": ["batch", 2]}}
    node = {
        "name": "tell",
        "kind": "python",
        "entry": entry,
        "path": None,
        "inputs": {"x": {"tensor": "x"}},
        "outputs": {"y": "tell.y"},
        "declares": declares,
    }
    answer = tensor | {"name": "y", "tensor": "tell.y"}
    graph = {"name": "graph", "inputs": [tensor], "outputs": [tensor | {"name": "y"}]}
    return {
        "graphc": 1,
        "graph": graph,
        "unit": unit,
        "takes": [tensor],
        "nodes": [node],
        "answers": [answer],
        "wire": "plain",
    }


def plan(tmp_path: Path, unit: str, factor: int, **fields: str) -> UnitProcess:
    """A unit whose own module says which environment it has."""
    home = tmp_path / unit
    for name in ("work", "models", "own", "metrics"):
        (home / name).mkdir(parents=True)
    (home / "own" / "own.py").write_text(CODE)
    (ports,) = free_ports(1)
    env = {
        "GRAPHC_REGION": json.dumps(region(unit)),
        "GRAPHC_TEST": str(factor),
        "MLSERVER_MODEL_NAME": unit,
        "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
        "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_METRICS_DIR": str(home / "metrics"),
        "MLSERVER_HOST": HOST,
        "MLSERVER_HTTP_PORT": str(ports.http),
        "MLSERVER_GRPC_PORT": str(ports.grpc),
        "MLSERVER_METRICS_PORT": str(ports.metrics),
        "PYTHONPATH": os.pathsep.join([str(home / "own"), os.environ.get("PYTHONPATH", "")]),
    }
    argv = (sys.executable, "-m", "graphc_runtimes", str(home / "models"))
    environ = dict(os.environ) | env | fields
    return UnitProcess(unit, argv, environ, home / "work", home / "log", ports, is_ours=True)


async def infer(made: UnitProcess) -> list[float]:
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    url = f"http://{HOST}:{made.ports.http}/v2/models/{made.unit}/infer"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        return (await response.json())["outputs"][0]["data"]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def is_gone(pid: int) -> bool:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_units_are_forked_each_with_its_own_environment_log_and_end(tmp_path: Path) -> None:
    made = [plan(tmp_path, "a", 2), plan(tmp_path, "b", 3), plan(tmp_path, "c", 4, OMP_NUM_THREADS="1")]
    said = list[str]()
    pids = set[int]()

    async def run() -> None:
        async with Supervisor(made, said.append, Patience(backoff=0.1)) as supervisor:
            assert await supervisor.wait_ready() is None
            before = supervisor.pids
            nursery = parent_of(before["a"])
            assert parent_of(before["b"]) == nursery != os.getpid()
            assert "graphc_runtimes.nursery" in command_of(nursery)
            # What has to be known before the imports is not there when a process forks.
            assert parent_of(before["c"]) == os.getpid()
            assert [await infer(each) for each in made] == [[2, 4], [3, 6], [4, 8]]
            assert os.getpgid(before["a"]) == before["a"]
            os.kill(before["a"], signal.SIGKILL)
            while supervisor.pids["a"] == before["a"]:
                await asyncio.sleep(0.05)
            assert await supervisor.wait_ready() is None
            assert await infer(made[0]) == [2, 4]
            assert parent_of(supervisor.pids["a"]) == nursery
            assert supervisor.pids["b"] == before["b"]
            pids.update(before.values(), supervisor.pids.values(), {nursery})

    asyncio.run(run())
    assert len(pids) == 5
    assert all(is_gone(pid) for pid in pids)
    assert "unit `a` was ended by SIGKILL; restarting it in 0.1 s" in said
    for each, factor in zip(made, (2, 3, 4), strict=True):
        log = each.log.read_text()
        # onnxruntime sends nothing to its makers: it is imported in the fork.
        assert f"telling {factor} 1\n" in log
        assert "HTTP server running" in log


def test_a_unit_that_cannot_load_stops_the_run_with_its_log(tmp_path: Path) -> None:
    bad = plan(tmp_path, "a", 2)
    env = dict(bad.env) | {"GRAPHC_REGION": json.dumps(region("a", entry="own:missing"))}
    made = [replace(bad, env=env), plan(tmp_path, "b", 3)]

    async def run() -> Failure | None:
        async with Supervisor(made, print) as supervisor:
            return await supervisor.wait_ready()

    failure = asyncio.run(run())
    assert failure is not None
    assert failure.message == "unit `a` ended with exit status 1 before it was ready; from its log:"
    assert "graphc: node `tell`: " in failure.tail


@pytest.mark.slow
def test_units_come_back_after_the_nursery_was_lost(tmp_path: Path) -> None:
    made = [plan(tmp_path, "a", 2), plan(tmp_path, "b", 3)]

    async def run() -> None:
        async with Supervisor(made, print, Patience(backoff=0.1)) as supervisor:
            assert await supervisor.wait_ready() is None
            before = supervisor.pids
            os.kill(parent_of(before["a"]), signal.SIGKILL)
            while set(supervisor.pids.values()) & set(before.values()):
                await asyncio.sleep(0.05)
            assert await supervisor.wait_ready() is None
            assert [await infer(each) for each in made] == [[2, 4], [3, 6]]
            assert all(is_gone(pid) for pid in before.values())

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"GRAPHC_THREADS": "1", "PREDICTIVE_UNIT_ID": "a", "PYTHONPATH": "/x"}, True),
        ({"OPENBLAS_NUM_THREADS": "1"}, False),
        ({"THRESHOLD": "5"}, False),
        ({"GRAPHC_WORKERS": "2"}, False),
    ],
)
def test_what_may_be_forked(changes: Mapping[str, str], wanted: bool, tmp_path: Path) -> None:
    made = UnitProcess(
        "a", (sys.executable,), {"HOME": "/h", **changes}, tmp_path, tmp_path, free_ports(1)[0], is_ours=True
    )
    assert can_be_forked(made, {"HOME": "/h"}) == wanted
    assert not can_be_forked(replace(made, is_ours=False), {"HOME": "/h"})
