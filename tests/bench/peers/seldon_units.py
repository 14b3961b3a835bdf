"""The graph as Seldon has it: a plain MLServer for each unit, and the executor's command line over any units."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
UNITS: Final[tuple[str, ...]] = ("scale", "first", "second", "third", "mean")
PREDICTOR: Final = "main"
_PATIENCE_S: Final = 90.0


def start_units(python: str, models: Path, folder: Path) -> dict[str, int]:
    """Start an MLServer for each unit with an interpreter that has it; returns their ports once all listen."""
    ports = _free_ports(3 * len(UNITS))
    for index, unit in enumerate(UNITS):
        _start_unit(python, unit, models, folder / unit, ports[3 * index : 3 * index + 3])
    http: dict[str, int] = dict(zip(UNITS, ports[::3], strict=True))
    _wait(http)
    return http


def write_deployment(folder: Path, ports: Mapping[str, int]) -> Path:
    """Write the SeldonDeployment that the executor and graphc's engine both read."""
    children = [{"name": name, "type": "MODEL"} for name in ("first", "second", "third")]
    mean = {"name": "mean", "type": "COMBINER", "children": children}
    graph = with_endpoints({"name": "scale", "type": "MODEL", "children": [mean]}, ports)
    return write_tree(folder, graph)


def write_tree(folder: Path, graph: object) -> Path:
    """Write a SeldonDeployment of one tree of units."""
    path = folder / "deployment.yaml"
    document = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "mean"},
        "spec": {"protocol": "v2", "predictors": [{"name": PREDICTOR, "graph": graph}]},
    }
    path.write_text(json.dumps(document))
    return path


def with_endpoints(unit: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    """Return a tree of units that listen on this machine."""
    endpoint = {"type": "REST", "service_host": "127.0.0.1", "httpPort": ports[unit["name"]]}
    children = [with_endpoints(each, ports) for each in unit.get("children", ())]
    return {**unit, "endpoint": endpoint, "children": children}


def executor_command(executor: str, deployment: Path, port: int, grpc_port: int) -> list[str]:
    """Return the executor's command line, with the arguments that Seldon's operator gives it."""
    options = {
        "sdep": "mean",
        "namespace": "default",
        "predictor": PREDICTOR,
        "file": str(deployment),
        "http_port": str(port),
        "grpc_port": str(grpc_port),
        "protocol": "v2",
        "transport": "rest",
    }
    return [executor, *(each for name, value in options.items() for each in (f"--{name}", value))]


def _start_unit(python: str, unit: str, models: Path, folder: Path, ports: list[int]) -> None:
    folder.mkdir()
    http, grpc, metrics = ports
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
    }
    # The executor passes on that a client takes gzip, and cannot read it.
    fixed = {"parallel_workers": 0, "gzip_enabled": False}
    (folder / "settings.json").write_text(json.dumps(settings | fixed))
    # A client calls every unit by the graph's name.
    model: dict[str, object] = {"name": "mean", "implementation": "unit_models.Mean"}
    if unit != "mean":
        model |= {"implementation": "unit_models.Onnx", "parameters": {"uri": str(models / f"{unit}.onnx")}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    path = os.pathsep.join([str(HERE), str(HERE / "seldon")])
    subprocess.Popen(
        [python, "-c", "from mlserver.cli import main; main()", "start", str(folder)],
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path, "MLSERVER_METRICS_DIR": str(folder)},
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(ports: Mapping[str, int]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    for unit, port in ports.items():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"unit `{unit}` does not listen") from None
                time.sleep(0.2)
