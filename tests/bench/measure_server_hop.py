"""Measures what a `server:` node costs: `python tests/bench/measure_server_hop.py [--servers mlserver]`.

Each server answers a request of one row, called by hand and through a unit of graphc that asks it, in turns on kept
connections. The unit is called without an engine in front, as a cluster calls a graph of one unit. The servers come out
of the environments of tests/servers. `raw` has the same numbers as bytes behind the JSON, on both calls.
"""

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ROOT: Final = Path(__file__).parents[1]
sys.path.append(str(ROOT / "support"))

import numpy as np  # noqa: E402
from graphc.bench.serve import serve as serve_graph  # noqa: E402
from graphc.server_start import Started, start_server  # noqa: E402
from mlserver_models import run_models, write_models  # noqa: E402
from real_servers import RealServer, environment, serve  # noqa: E402
from triton_server import install_triton, write_repository  # noqa: E402

COLUMNS: Final = 3
ROW: Final = np.array([[0.5, 1.25, 2]], np.float32)
WARM_UP: Final = 200

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: hop}
inputs: {x: "FP32[batch, 3]"}
servers:
  own: {kind: KIND, url: "http://127.0.0.1:1"}
nodes:
  score: {server: own, model: MODEL, in: {INPUT: x}, out: {OUTPUT}, parameters: {PARAMETERS}}
outputs: {score: score}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to an address, as a client sends it."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """A server, what its node says, and how it is called by hand."""

    name: str
    kind: str
    model: str
    input: str
    output: str
    parameters: str
    by_hand: Asked
    is_raw: bool
    start: Callable[[Path], Generator[RealServer]]


def v2(path: str, name: str, output: str, *, is_raw: bool) -> Asked:
    """Return a V2 request of the row."""
    tensor: dict[str, object] = {"name": name, "shape": [1, COLUMNS], "datatype": "FP32"}
    if not is_raw:
        body = json.dumps({"inputs": [{**tensor, "data": ROW.ravel().tolist()}]}).encode()
        return Asked(path, body, {"Content-Type": "application/json"})
    raw = ROW.tobytes()
    wanted = [{"name": output, "parameters": {"binary_data": True}}] if output else []
    fields = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}
    more = {"outputs": wanted} if wanted else {"parameters": {"binary_data_output": True}}
    head = json.dumps({**fields, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return Asked(path, head + raw, headers)


def start_mlserver(folder: Path) -> Generator[RealServer]:
    """Run MLServer with a linear model of scikit-learn."""
    write_models(folder / "models")
    with run_models(folder / "models") as server:
        yield server


def start_bentoml(folder: Path) -> Generator[RealServer]:
    """Run the service of the tests."""
    shutil.copy(ROOT / "servers" / "bentoml" / "service.py", folder)
    with serve(
        lambda ports: start_server("bentoml", ports, str(folder)),
        environment("bentoml") / "bin", folder, "/readyz",
    ) as server:  # fmt: skip
        yield server


def start_seldon(folder: Path) -> Generator[RealServer]:
    """Run the class of the tests behind the wrapper, which keeps connections for a unit's pool."""
    with serve(
        lambda ports: Started(
            ("seldon-core-microservice", "Classes", "--service-type", "MODEL", "--http-port", str(ports.http),
             "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)),
            {"PYTHONPATH": str(ROOT / "servers" / "seldon")},
        ),
        environment("seldon-1.18") / "bin", folder, "/health/status",
    ) as server:  # fmt: skip
        yield server


def start_triton(folder: Path) -> Generator[RealServer]:
    """Run Triton with a model of its Python backend."""
    programs = install_triton(folder)
    repository = write_repository(folder / "repository", "plain")
    with serve(
        lambda ports: start_server("triton", ports, str(repository)), programs, folder, "/v2/health/ready"
    ) as server:
        yield server


JSON: Final = {"Content-Type": "application/json"}
NESTED: Final = json.dumps({"x": ROW.tolist()}).encode()
SELDON: Final = json.dumps({"data": {"names": [], "ndarray": ROW.tolist()}}).encode()
CASES: Final = {
    "mlserver": Case("MLServer, scikit-learn, JSON", "mlserver", "linear", "x", 'predict: "INT64[batch, 1]"', "",
        v2("/v2/models/linear/infer", "x", "predict", is_raw=False), False, start_mlserver),
    "bentoml": Case("BentoML, JSON", "bentoml", "total", "x", 'y: "FP32[batch, 1]"', "",
        Asked("/total", NESTED, JSON), False, start_bentoml),
    "seldon": Case("Seldon's wrapper, ndarray", "seldon", "m", "x", 'y: "FP32[batch, 1]"', "",
        Asked("/predict", SELDON, JSON), False, start_seldon),
    "triton-json": Case("Triton, JSON", "triton", "plain", "x", 'y: "FP32[batch, 3]"', "tensors: json",
        v2("/v2/models/plain/infer", "x", "y", is_raw=False), False, start_triton),
    "triton-raw": Case("Triton, raw", "triton", "plain", "x", 'y: "FP32[batch, 3]"', "",
        v2("/v2/models/plain/infer", "x", "y", is_raw=True), True, start_triton),
}  # fmt: skip


class Caller:
    """Calls one address on a kept connection."""

    def __init__(self, url: str, asked: Asked) -> None:
        self._asked = asked
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)

    def call(self) -> float:
        """Return how many milliseconds an answer took; raises RuntimeError where it is no success."""
        start = time.perf_counter()
        self._connection.request("POST", self._asked.path, self._asked.body, self._asked.headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - start) * 1000
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}: {body[:300]!r}")
        return took


@contextmanager
def started(case: Case, folder: Path) -> Generator[tuple[RealServer, str]]:
    """Run a server and the graph that asks it, and yield it with the address of the graph's unit."""
    graph = folder / "graph.yaml"
    told = {"KIND": case.kind, "MODEL": case.model, "INPUT": case.input, "OUTPUT": case.output}
    text = GRAPH.replace("PARAMETERS", case.parameters)
    for word, value in told.items():
        text = text.replace(word, value, 1)
    graph.write_text(text)
    servers = case.start(folder)
    server = next(servers)
    try:
        with serve_graph(str(graph), ("--at", f"own={server.url}")) as served:
            yield server, served.address(is_direct=True)
    finally:
        servers.close()


def measure(case: Case, requests: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return the milliseconds of calls by hand and through a unit, in turns."""
    with (
        tempfile.TemporaryDirectory(prefix="graphc-hop-") as name,
        started(case, Path(name)) as (server, address),
    ):
        through = v2(urlsplit(address).path, "x", "", is_raw=case.is_raw)
        one, other = Caller(server.url, case.by_hand), Caller(address, through)
        pairs = [(one.call(), other.call()) for _ in range(WARM_UP + requests)][WARM_UP:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def main() -> None:
    """Read the options, measure, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--servers", default=",".join(CASES))
    told = parser.parse_args()
    print("| server, a row a request | by hand, p50 ms | through a unit, p50 ms | ratio |")
    print("|---|--:|--:|--:|", flush=True)
    for case in (CASES[name] for name in told.servers.split(",")):
        one, other = (statistics.median(each) for each in measure(case, told.requests))
        print(f"| {case.name} | {one:.2f} | {other:.2f} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
