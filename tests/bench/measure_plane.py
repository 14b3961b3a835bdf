"""Measures a fused unit beside peers that do the same by hand, in turns on one machine.

    python tests/bench/measure_plane.py [--case wine-1 wine-64 image] [--seconds 3] [--rounds 5] [--clients 8]
    python tests/bench/measure_plane.py --grpc --servers graphc stock mlserver

Every server runs alone on its turn (the others are stopped with SIGSTOP, so that none takes the processor); the load
comes from a process of its own. Every answer's status is looked at, and one answer of each server is compared.
"""
# The computation is imported from the folder that its processes run in, and onnx has no types.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from graphc.client.call import Call
from graphc.client.rpc import make_request
from graphc.client.tensor import Tensor

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
SIZE: Final = 224
sys.path[:0] = [str(ROOT / "tests" / "support"), str(HERE / "plane")]

from served_graphs import compile_graph  # noqa: E402

Json = dict[str, Any]

IMAGE: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: image}
inputs: {x: "FP32[batch, 224, 224, 3]"}
nodes:
  net: {model: image.onnx, in: {X: x}}
outputs: {probabilities: net}
"""


class Server:
    """A process that serves, and the rounds that were measured on it."""

    def __init__(
        self, name: str, command: list[str], env: Mapping[str, str], path: str, folder: Path
    ) -> None:
        self.name, self.path = name, path
        self.port = int(env.get("PORT") or env["MLSERVER_HTTP_PORT"])
        self.grpc = int(env.get("MLSERVER_GRPC_PORT", 0))
        self.log = folder / f"{name}.log"
        self.rounds: list[Json] = []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **env}, stdout=log, stderr=log, cwd=folder
            )

    def wait(self, body: bytes) -> Json:
        """Wait until the server answers, and return what."""
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                return self.ask(body)
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.name} does not answer:\n{self.log.read_text()[-3000:]}")

    def ask(self, body: bytes) -> Json:
        """Return the answer of one request."""
        url = f"http://127.0.0.1:{self.port}{self.path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def measure(self, request: Path, clients: int, seconds: float, *, is_grpc: bool) -> Json:
        """Put load on the server and return what the load saw."""
        self.process.send_signal(signal.SIGCONT)
        load, port = ("load_rpc.py", self.grpc) if is_grpc else ("load.py", self.port)
        command = [sys.executable, HERE / "plane" / load, "127.0.0.1", str(port), request]
        try:
            for duration in (seconds / 4, seconds):
                before = self._processor_s()
                done = subprocess.run(
                    [*command, str(clients), str(duration)],
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=60 + duration,
                )
        finally:
            self.process.send_signal(signal.SIGSTOP)
        found: Json = json.loads(done.stdout)
        found["cpu_us"] = (self._processor_s() - before) / found["count"] * 1e6
        if found["failed"]:
            raise SystemExit(f"{self.name}: {found['failed']} answers were not 200")
        return found

    def _processor_s(self) -> float:
        """Return the processor's time that the server has had so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def _write_image_model(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    generator = np.random.default_rng(0)
    weights = generator.normal(size=(3, 10)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["X", "axes"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [3, 10], weights.ravel().tolist()),
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


def _make_input(case: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    if case == "image":
        return np.random.default_rng(0).random((1, SIZE, SIZE, 3), np.float32)
    rows = int(case.partition("-")[2])
    (tensor,) = json.loads((ROOT / "graphs" / "wine-average" / "request.json").read_text())["inputs"]
    return np.resize(np.array(tensor["data"], np.float32), (rows, 13))


def _write_json(array: Any) -> bytes:
    tensor = {"name": "x", "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def _write_binary(array: Any) -> tuple[bytes, int]:
    raw = array.tobytes()
    tensor: dict[str, Any] = {"name": "x", "shape": list(array.shape), "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, len(head)


def _write_message(model: str, array: Any) -> bytes:
    return make_request(Call(model, [Tensor("x", "FP32", array)], {})).SerializeToString()


def _write_request(path: str, body: bytes, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _start(case: str, folder: Path, options: argparse.Namespace) -> list[Server]:
    models = folder / "models"
    models.mkdir()
    if case == "image":
        _write_image_model(models / "image.onnx")
        graph, name = models / "graph.yaml", "image"
        graph.write_text(IMAGE.replace("image.onnx", str(models / "image.onnx")))
    else:
        graph, name = ROOT / "graphs" / "wine-average" / "graph.yaml", "wine-average"
        for each in (graph.parent / "models").glob("*.onnx"):
            (models / each.name).write_bytes(each.read_bytes())
    compiled = compile_graph(graph, options.level, folder / "mounted")
    (environment,) = compiled.environments.values()
    threads = {"GRAPHC_THREADS": str(options.threads)} if options.threads else {}
    common = {"CASE": case, "MODELS": str(models), "PYTHONPATH": _python_path(), **threads}
    path = f"/v2/models/{name}/infer"
    started: list[Server] = []

    def start(what: str, command: list[str], env: Mapping[str, str], at: str = path) -> None:
        if what in options.servers:
            started.append(Server(what, command, env, at, folder))

    ours = {
        **common,
        **_mlserver(folder, "graphc_runtimes.RegionModel"),
        "GRAPHC_REGION": environment.region,
        "GRAPHC_ARTIFACTS": str(environment.artifacts),
        "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
        "MLSERVER_MODEL_NAME": name,
    }
    empty = folder / "empty"
    empty.mkdir()
    start("graphc", [sys.executable, "-m", "graphc_runtimes", str(empty)], ours)
    stock = [sys.executable, "-c", "from mlserver.cli import main; main()", "start", str(empty)]
    start("stock", stock, {**ours, **_mlserver(folder, "graphc_runtimes.RegionModel")})
    plain = {**common, **_mlserver(folder, "peer_mlserver.Whole"), "MLSERVER_MODEL_NAME": name}
    start("mlserver", stock, plain)
    start("fastapi", [sys.executable, str(HERE / "plane" / "peer_fastapi.py")], common | _port())
    start("floor", [sys.executable, str(HERE / "plane" / "peer_floor.py")], common | _port() | _answer())
    return started


def _port() -> dict[str, str]:
    return {"PORT": str(_free_port())}


def _answer() -> dict[str, str]:
    outputs = [{"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [0.25, 0.5, 0.25]}]
    return {"ANSWER": json.dumps({"model_name": "floor", "outputs": outputs})}


def _mlserver(folder: Path, implementation: str) -> dict[str, str]:
    return {
        "MLSERVER_MODEL_IMPLEMENTATION": implementation,
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_GZIP_ENABLED": "false",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_METRICS_DIR": str(folder),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(_free_port()),
        "MLSERVER_GRPC_PORT": str(_free_port()),
        "MLSERVER_METRICS_PORT": str(_free_port()),
    }


def _python_path() -> str:
    return os.pathsep.join([str(HERE / "plane"), os.environ.get("PYTHONPATH", "")])


def _compare(servers: list[Server], answers: list[Json]) -> None:
    for server, answer in zip(servers, answers, strict=True):
        if server.name == "floor":
            continue
        found = {each["name"]: each["data"] for each in answer["outputs"]}
        for each in answers[0]["outputs"]:
            np.testing.assert_allclose(
                np.ravel(found[each["name"]]), each["data"], rtol=1e-5, atol=1e-6, err_msg=server.name
            )


def _computation(case: str, models: Path) -> float:
    """Return the milliseconds of the bare computation in this process."""
    from computation import load

    compute, x = load(case, models), _make_input(case)
    samples: list[float] = []
    for _ in range(300):
        start = time.perf_counter()
        compute(x)
        samples.append((time.perf_counter() - start) * 1000)
    return statistics.median(samples)


def measure(case: str, options: argparse.Namespace) -> None:
    """Measure one case and print its table."""
    array = _make_input(case)
    body = _write_json(array)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        servers = _start(case, folder, options)
        try:
            _compare(servers, [server.wait(body) for server in servers])
            requests: dict[str, Path] = {}
            for server in servers:
                server.process.send_signal(signal.SIGSTOP)
                requests[server.name] = folder / f"{server.name}.request"
                requests[server.name].write_bytes(_write_request(server.path, body))
                if server.name == "graphc" and options.binary:
                    raw, length = _write_binary(array)
                    extra = f"Inference-Header-Content-Length: {length}\r\n"
                    requests[server.name].write_bytes(_write_request(server.path, raw, extra))
                if options.grpc:
                    requests[server.name].write_bytes(_write_message(server.path.split("/")[3], array))
            for _ in range(options.rounds):
                for server in servers:
                    request, clients, seconds = requests[server.name], options.clients, options.seconds
                    server.rounds.append(server.measure(request, clients, seconds, is_grpc=options.grpc))
        finally:
            for server in servers:
                server.stop()
        bare = _computation(case, folder / "models")
    _print(case, servers, bare, options)


def _print(case: str, servers: list[Server], bare: float, options: argparse.Namespace) -> None:
    print(f"\n{case}, {options.clients} clients, bare computation {bare:.3f} ms")
    print(
        f"{'':10}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}   graphc is faster by (min, median, max)"
    )
    ours = servers[0].rounds
    median: Callable[[Server, str], float] = lambda server, key: statistics.median(  # noqa: E731
        each[key] for each in server.rounds
    )
    for server in servers:
        ratios = sorted(mine["rps"] / its["rps"] for mine, its in zip(ours, server.rounds, strict=True))
        spent = sorted(its["cpu_us"] / mine["cpu_us"] for mine, its in zip(ours, server.rounds, strict=True))
        line = f"{ratios[0]:.2f}  {statistics.median(ratios):.2f}  {ratios[-1]:.2f}"
        line += f"   processor {statistics.median(spent):.2f}"
        print(
            f"{server.name:10}{median(server, 'rps'):9.0f}{median(server, 'p50_ms'):9.2f}"
            f"{median(server, 'p99_ms'):9.2f}{median(server, 'cpu_us'):9.0f}   {line}"
        )
    floor = [each for each in servers if each.name == "floor"]
    if floor:
        limit = bare * options.clients + median(floor[0], "p50_ms")
        print(
            f"p50 is {median(servers[0], 'p50_ms') / limit:.2f} times the computation of all clients' requests, "
            f"one after another, plus the floor's p50 ({limit:.2f} ms)"
        )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--case", nargs="+", default=["wine-1", "wine-64", "image"])
    parser.add_argument("--servers", nargs="+", default=["graphc", "mlserver", "fastapi", "floor"])
    parser.add_argument("--grpc", action="store_true", help="call graphc, stock or mlserver over gRPC")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves it to the frameworks")
    parser.add_argument("--binary", action="store_true", help="send graphc binary tensors")
    options = parser.parse_args()
    if options.grpc and not {*options.servers} <= {"graphc", "stock", "mlserver"}:
        parser.error("--grpc is for --servers graphc stock mlserver")
    for case in options.case:
        measure(case, options)


if __name__ == "__main__":
    main()
