"""Several processes serve a unit: they share its ports, and what happens to one is not the others' business."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Json = dict[str, Any]
Build = Callable[..., Json]

WORKERS: Final = 2
WIDTH: Final = 1024

CODE: Final = """
import os, time
import numpy as np

if os.environ.get("FAIL_IN") and not os.path.exists(os.environ["FAIL_IN"]):
    open(os.environ["FAIL_IN"], "w").close()
elif os.environ.get("FAIL_IN"):
    raise RuntimeError("the second process finds no room")

def who(x):
    time.sleep(float(x[0, 0]))
    return np.full(len(x), os.getpid(), np.int64)
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [cast("int", each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Served:
    """A unit in several processes; each request comes on a connection of its own."""

    def __init__(self, folder: Path, region: Json, **variables: str) -> None:
        self.http, self.grpc, self.metrics = free_ports(3)
        self.log = folder / "log.txt"
        for name in ("models", "metrics"):
            (folder / name).mkdir()
        (folder / "own.py").write_text(CODE)
        environment = os.environ | {
            "GRAPHC_REGION": json.dumps(region),
            "GRAPHC_WORKERS": str(WORKERS),
            "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_METRICS_DIR": str(folder / "metrics"),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self.http),
            "MLSERVER_GRPC_PORT": str(self.grpc),
            "MLSERVER_METRICS_PORT": str(self.metrics),
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            **variables,
        }
        command = [sys.executable, "-m", "graphc_runtimes", str(folder / "models")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        end = time.monotonic() + 120
        while not self.is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            ready = httpx.get(f"http://127.0.0.1:{self.http}/v2/models/graph/ready", timeout=5)
        except httpx.TransportError:
            return False
        return ready.status_code == 200

    def ask(self, seconds: float = 0) -> int:
        """Return the process that answered, after so many seconds."""
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [seconds]}
        url = f"http://127.0.0.1:{self.http}/v2/models/graph/infer"
        answer = httpx.post(url, json={"inputs": [tensor]}, timeout=60)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["outputs"][0]["data"][0])

    @property
    def children(self) -> set[int]:
        pid = self.process.pid
        return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture
def region(build: Build, node: Build) -> Json:
    made = node("who", {"x": "x"}, {"pid": "who.pid"}, kind="python", entry="own:who", path=None)
    made["declares"] = {"pid": {"datatype": "INT64", "shape": ["batch"]}}
    return build([made], takes=["x: FP32[batch, 1]"], answers={"who.pid": "pid: INT64[batch]"})


@pytest.fixture
def served(region: Json, tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, region)
    yield server
    if server.process.poll() is None:
        server.stop()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_workers_share_the_ports_live_on_their_own_and_add_up(served: Served) -> None:
    served.wait_ready()
    workers = served.children
    assert len(workers) == WORKERS
    counted = 0
    answered = set[int]()
    while answered != workers:
        answered.add(served.ask())
        counted += 1
        assert counted < 200

    # One that hangs holds up neither health nor the other's requests, and takes only its own with it.
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(lambda: served.ask(60))
        time.sleep(0.5)
        for _ in range(12):
            assert served.is_ready()
            health = httpx.get(f"http://127.0.0.1:{served.http}/v2/health/live", timeout=5)
            assert health.status_code == 200
        counted += 12
        assert {served.ask() for _ in range(12)} <= workers
        victim = find_busy(served, workers)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            hanging.result(30)
    (other,) = workers - {victim}
    assert {served.ask() for _ in range(10)} <= {other} | served.children
    counted += 10

    # Another takes its place, and the count goes on.
    end = time.monotonic() + 60
    while served.ask() not in served.children - workers:
        counted += 1
        assert time.monotonic() < end, served.log.read_text()
    counted += 1
    assert "was ended by SIGKILL; it starts again in" in served.log.read_text()
    assert other in served.children
    page = httpx.get(f"http://127.0.0.1:{served.metrics}/metrics", timeout=30).text
    found = next(line for line in page.splitlines() if line.startswith("model_infer_request_duration_count"))
    assert float(found.rpartition(" ")[2]) == counted

    pids = served.children
    assert served.stop() == 0
    assert all(is_gone(pid) for pid in pids)


def find_busy(served: Served, workers: set[int]) -> int:
    """Return the worker that holds the connection of the request that hangs: the other answers all new ones.

    A worker that sleeps in a thread still answers, so it is told by its open connections.
    """
    end = time.monotonic() + 30
    while time.monotonic() < end:
        connected = _established(served.http)
        busy = [pid for pid in workers if _sockets(pid) & connected]
        # Connections of requests that were answered may close a moment later.
        if len(busy) == 1:
            return busy[0]
        time.sleep(0.05)
    raise AssertionError("no one worker has the connection")


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets; what it closes meanwhile is passed over."""
    found = set[str]()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            kind, _, inode = str(each.readlink()).partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


def _established(port: int) -> set[str]:
    """The inodes of the sockets that are connected to a port, on the server's side."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if int(row[1].partition(":")[2], 16) == port and row[3] == "01"}


def test_nothing_is_ready_where_one_cannot_load_and_the_reason_is_said(region: Json, tmp_path: Path) -> None:
    server = Served(tmp_path, region, FAIL_IN=str(tmp_path / "first"))
    was_ready = False
    end = time.monotonic() + 120
    while server.process.poll() is None:
        was_ready = was_ready or server.is_ready()
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.05)
    log = server.log.read_text()
    assert server.process.returncode == 1
    assert not was_ready
    assert "graphc: node `who`: RuntimeError: the second process finds no room" in log
    assert "ended with exit status 1 before it had loaded" in log


@pytest.mark.slow
def test_a_parent_that_is_killed_takes_its_workers_with_it(served: Served) -> None:
    served.wait_ready()
    workers = served.children
    served.process.kill()
    served.process.wait()
    end = time.monotonic() + 15
    while not all(is_gone(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def write_table(path: Path) -> None:
    """A model of 4 MiB that looks up rows of a table, whose first column counts them."""
    table = np.zeros((WIDTH, WIDTH), np.float32)
    table[:, 0] = np.arange(WIDTH)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch"])
    found = helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", WIDTH])
    nodes = [helper.make_node("Gather", ["table", "ids"], ["row"])]
    graph = helper.make_graph(nodes, "table", [ids], [found], [numpy_helper.from_array(table, "table")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.slow
def test_workers_map_the_weights_that_they_share(build: Build, node: Build, tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "table").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    write_table(tmp_path / "artifacts" / "table" / "model.onnx")
    work = {"kind": "model", "framework": "onnx", "path": "table"}
    made = node("table", {"ids": "x"}, {"row": "table.row"}, **work)
    region = build([made], takes=["x: INT64[batch]"], answers={"table.row": f"y: FP32[batch, {WIDTH}]"})
    variables = {"GRAPHC_ARTIFACTS": str(tmp_path / "artifacts"), "TMPDIR": str(tmp_path / "shared")}
    server = Served(tmp_path, region, GRAPHC_THREADS="1", **variables)
    try:
        server.wait_ready()
        tensor = {"name": "x", "shape": [2], "datatype": "INT64", "data": [3, 1000]}
        url = f"http://127.0.0.1:{server.http}/v2/models/graph/infer"
        found = httpx.post(url, json={"inputs": [tensor]}, timeout=60).json()["outputs"][0]["data"]
        assert (found[0], found[WIDTH]) == (3, 1000)
        for pid in server.children:
            assert "graphc-weights" in Path(f"/proc/{pid}/maps").read_text()
    finally:
        code = server.stop()
    assert code == 0
    assert not list((tmp_path / "shared").glob("graphc-weights-*"))


def test_a_number_of_workers_has_to_be_one(region: Json, tmp_path: Path) -> None:
    server = Served(tmp_path, region, GRAPHC_WORKERS="many")
    assert server.process.wait(240) == 1
    assert (
        server.log.read_text() == "graphc: GRAPHC_WORKERS is `many`, which is not a positive whole number\n"
    )


ASK_OVER_GRPC: Final = """
import sys
import numpy as np
import tritonclient.grpc as grpcclient

found = set()
for _ in range(60):
    # A channel that is like another would share its connection, and with it the process that answers.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with grpcclient.InferenceServerClient(sys.argv[1], channel_args=alone) as client:
        tensor = grpcclient.InferInput("x", [1, 1], "FP32")
        tensor.set_data_from_numpy(np.zeros((1, 1), np.float32))
        found.add(int(client.infer("graph", [tensor]).as_numpy("pid")[0]))
    if len(found) == 2:
        break
print(*found)
"""


@pytest.mark.slow
def test_all_workers_answer_over_grpc(served: Served) -> None:
    served.wait_ready()
    command = [sys.executable, "-c", ASK_OVER_GRPC, f"127.0.0.1:{served.grpc}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert {int(each) for each in done.stdout.split()} == served.children
