"""Servers of other frameworks as processes, each on ports of its own, and nodes that ask them."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from framework_servers import end_with_children, server_node
from graphc.run.plan import free_ports
from graphc.server_start import ServerPorts, Started
from graphc_components.datatypes import Array
from graphc_components.tensors import parse_tensor_type
from graphc_runtimes.adapters.server import load_server
from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import Declared, Read, ServerNode
from server_environments import CACHE, make_environment

ENVIRONMENTS: Final = Path(__file__).parents[1] / "servers" / "environments"
START_S: Final = 60.0


def environment(name: str, python: str = sys.executable) -> Path:
    """Return the environment of a server whose requirements are kept by that name, or skip the test."""
    return make_environment(CACHE / "servers" / name, ENVIRONMENTS / f"{name}.txt", python)


@dataclass(frozen=True, slots=True)
class RealServer:
    """A server under way, at a URL."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it at once, with all processes that it started."""
        end_with_children(self.process)


@contextlib.contextmanager
def serve(
    start: Callable[[ServerPorts], Started],
    bin_folder: Path,
    folder: Path,
    ready: str,
    env: Mapping[str, str] | None = None,
) -> Generator[RealServer]:
    """Run a server of an environment in a folder, from when its path for readiness answers 200."""
    ports = _free_ports()
    started = start(ports)
    log = folder / "server.log"
    told = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "BENTOML_DO_NOT_TRACK": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(bin_folder / started.command[0]), *started.command[1:]],
            env=told | dict(started.env) | dict(env or {}),
            cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    server = RealServer(f"http://127.0.0.1:{ports.http}", process, log)
    try:
        _await(server, ready)
        yield server
    finally:
        server.kill()


def _free_ports() -> ServerPorts:
    (ports,) = free_ports(1, set())
    return ServerPorts(ports.http, ports.grpc, ports.metrics, "127.0.0.1")


def _await(server: RealServer, ready: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(server.url + ready, timeout=5),
        ):
            return
        time.sleep(0.1)
    raise AssertionError(server.log.read_text(errors="replace")[-3000:])


def node(kind: str, url: str, inputs: Sequence[str], out: Mapping[str, str], **more: Any) -> ServerNode:
    """Return a node that asks a server at a URL; types are as a graph file has them."""
    declares = {name: _declare(text) for name, text in out.items()}
    reads = {name: Read(name) for name in inputs}
    return server_node(kind, url, more.pop("model", "m"), reads, declares, **more)


def asking(kind: str, url: str, inputs: Sequence[str], out: Mapping[str, str], **more: Any) -> Runner:
    """Return what asks a server as its node does."""
    return load_server(node(kind, url, inputs, out, **more))


def _declare(text: str) -> Declared:
    type_ = parse_tensor_type(text)
    return Declared(type_.datatype, type_.shape)


def same(found: Array, expected: Any, dtype: str = "float32") -> None:
    """Assert that an array has these elements and this type."""
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found.astype(np.float64), np.array(expected, np.float64), rtol=1e-6)


def until_served(ask: Callable[[], None]) -> None:
    """Ask until the server, which starts again, does not refuse."""
    until = time.monotonic() + START_S
    while True:
        try:
            return ask()
        except ServerFaultError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def run_beside(
    folder: Path, graph: str, name: str, *inputs: str, at: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a graph answers whose server `graphc run` starts out of an environment, or has at a URL."""
    file = folder / "graph.yaml"
    file.write_text(graph)
    command = [sys.executable, "-c", "from graphc.cli import main; main()", "run", str(file)]
    command += ["--port", "0", "--grpc-port", "0", "--once"]
    command += [word for each in inputs for word in ("--input", each)]
    command += [word for key, url in (at or {}).items() for word in ("--at", f"{key}={url}")]
    path = os.pathsep.join([str(environment(name) / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    return {each["name"]: each["data"] for each in json.loads(done.stdout)["outputs"]}
