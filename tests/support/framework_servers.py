"""Servers of other frameworks as processes, nodes that ask them, and graphs of such nodes."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import urllib3
from graphc_components.datatypes import Array
from graphc_components.servers import SERVERS
from graphc_runtimes.adapters.server import load_server
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import Declared, Read, ServerNode
from served_graphs import Call, serve_graph

Json = dict[str, Any]
HOST: Final = "127.0.0.1"
END_S: Final = 10.0
HEADER: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: asked}
inputs: {x: "FP32[batch, 3]"}
"""


def free_ports(count: int) -> Sequence[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Generator["subprocess.Popen[bytes]"]:
    """Run a server in a session of its own, and end it with all its children; it may not be ready yet."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | dict(env or {}),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_with_children(process)


def end_with_children(process: "subprocess.Popen[bytes]") -> None:
    """End a server that leads a group at once, with all that it started: some put theirs into sessions of their own."""
    started = _descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(END_S)


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that these did."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_descendants(child)]
    return found


def await_ready(url: str, patience_s: float = 90) -> None:
    """Wait until a path answers 200."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", url, retries=False, timeout=5).status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url} is not ready after {patience_s:g} s")


def server_node(
    kind: str, url: str, model: str, inputs: Mapping[str, Read], out: Mapping[str, Declared], **more: Any
) -> ServerNode:
    """Return a node that asks a server at a URL; parameters that are not given have their defaults."""
    defaults = {each.name: each.default for each in SERVERS[kind].parameters if each.default is not None}
    return ServerNode(
        name="score",
        kind="server",
        server=kind,
        at="score",
        url=url,
        model=model,
        inputs=inputs,
        outputs={name: f"score.{name}" for name in out},
        declares=out,
        parameters=defaults | more.pop("parameters", {}),
        **more,
    )


def load(kind: str, url: str, model: str, out: Mapping[str, Declared], **more: Any) -> Runner:
    """Return what runs a node that asks a server."""
    return load_server(server_node(kind, url, model, {}, out, **more))


def body(x: Array) -> Json:
    """Return a request with one tensor."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}]}


def ask_node(folder: Path, node: str, *rows: Array, output: str = "y") -> list[tuple[int, Json]]:
    """Return what a graph of one node, called `score`, answers to each request."""
    file = folder / "graph.yaml"
    file.write_text(f"{HEADER}nodes:\n  score: {node}\noutputs: {{{output}: score.{output}}}\n")
    return serve_graph(file, 1, [Call(body(x)) for x in rows], folder / "root")


def post(url: str, x: Array) -> tuple[int, Json]:
    """Return the status and answer of a request to a graph that runs."""
    answer = urllib3.request("POST", url, body=json.dumps(body(x)).encode(), retries=False, timeout=60)
    return answer.status, json.loads(answer.data)


def post_until_served(url: str, x: Array) -> Json:
    """Return the first answer that is none of a failure, of those to the same request again and again."""
    until = time.monotonic() + 90
    status, said = post(url, x)
    while status != 200 and time.monotonic() < until:
        time.sleep(0.2)
        status, said = post(url, x)
    assert status == 200, said
    return said


def assert_rows(said: Json, expected: Mapping[str, Any]) -> None:
    """Compare the outputs of an answer."""
    found = {each["name"]: np.reshape(each["data"], each["shape"]) for each in said["outputs"]}
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, rtol=1e-6)


def find_process(*words: str) -> int:
    """Return the process whose command line has all of some words."""
    found = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if all(word in _read(each) for word in words)
    ]
    assert len(found) == 1, found
    return found[0]


def _read(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
