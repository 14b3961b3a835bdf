"""A data plane over real sockets, without MLServer, and a client that can send anything."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from socket import create_connection, socket
from typing import Any, Final, cast

import uvicorn
from graphc_runtimes.desk import Desk, Pace
from graphc_runtimes.environment import read_environment
from graphc_runtimes.plane import DataPlane, Features, Path
from graphc_runtimes.protocol import HttpProtocol, Settings
from graphc_runtimes.stream_plane import StreamPlane
from graphc_runtimes.unit import load_unit
from plane_parts import Meter, Model

Json = dict[str, Any]

INFER: Final = "/v2/models/graph/infer"
LIMIT_S: Final = 10


async def cold(scope: Any, receive: Any, send: Any) -> None:
    """Stand for MLServer's application: tell what arrived."""
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    told = {"cold": scope["method"], "path": scope["path"], "body": body.decode("latin-1")}
    text = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json")]
    if scope["path"] != "/chunked":
        headers.append((b"content-length", str(len(text)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@dataclass
class Answer:
    """One parsed answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """A connection on which anything can be sent."""

    def __init__(self, port: int) -> None:
        self.socket: socket = create_connection(("127.0.0.1", port), LIMIT_S)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read_head(self) -> Answer:
        """Read an answer's status and headers."""
        status = self._file.readline()
        assert status, "the server closed the connection"
        headers: dict[str, str] = {}
        while (line := self._file.readline().decode().rstrip("\r\n")) != "":
            name, _, value = line.partition(": ")
            headers[name] = value
        return Answer(int(status.split()[1]), headers, b"")

    def read(self) -> Answer:
        """Read one answer."""
        answer = self.read_head()
        if "content-length" in answer.headers:
            answer.body = self._file.read(int(answer.headers["content-length"]))
            return answer
        while size := int(self._file.readline(), 16):
            answer.body += self._file.read(size)
            self._file.readline()
        self._file.readline()
        return answer

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self.socket.close()

    def is_closed(self) -> bool:
        """Say whether the server has ended the connection."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def ask(self, body: bytes, path: str = INFER, **headers: str) -> Answer:
        """Post a body and read the answer."""
        self.send(post(body, path, **headers))
        return self.read()


def post(body: bytes, path: str = INFER, method: str = "POST", **headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def ask_json(*rows: float, **fields: object) -> bytes:
    """Return the body of a request for rows of two numbers."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows) // 2, 2], "data": list(rows)}
    return json.dumps({"inputs": [tensor], **fields}).encode()


def ask_raw(array: Any, **parameters: object) -> tuple[bytes, str]:
    """Return the body of a request with raw bytes, and the length of its JSON."""
    raw = array.tobytes()
    tensor: Json = {"name": "x", "datatype": "FP32", "shape": list(array.shape)}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    return head + raw, str(len(head))


@dataclass
class Running:
    """A server, and what it was made of."""

    port: int
    model: Model
    meter: Meter
    settings: Settings
    end: Callable[[], None]
    """Tells the server to end, and does not wait."""
    clients: list[Client] = field(default_factory=list[Client])

    def connect(self) -> Client:
        """Open a connection."""
        self.clients.append(Client(self.port))
        return self.clients[-1]


def _head(identity: str) -> bytes:
    return b"x-id: %b\r\n" % identity.encode()


def start(
    region: Mapping[str, object],
    folder: FilePath,
    *,
    threads: int = 4,
    queue: int = 16,
    compresses: bool = False,
    limits: Mapping[str, Any] | None = None,
) -> tuple[Running, Callable[[], None]]:
    """Serve a region as a unit's process does, and return the server and what ends it.

    In the place of what answers all else there is an application that tells what it gets, unless `limits` has `others`.
    """
    variables = {"GRAPHC_REGION": json.dumps(region), "GRAPHC_ARTIFACTS": str(folder)}
    unit = asyncio.run(load_unit(read_environment(variables)))
    meter, model = Meter(), Model(unit)
    desk = Desk(threads, queue)
    plane = DataPlane(desk, meter, Features(compresses=compresses))
    for verb in ("infer", "aggregate", "route"):
        path = f"/v2/models/graph/{verb}"
        plane.add(Path(model, "graph", verb, path, _head, copy_context(), Pace(unit.region)))
    streams = StreamPlane(desk, meter, threads + queue)
    for verb, meant in (("infer_stream", "infer"), ("aggregate_stream", "aggregate")):
        path = f"/v2/models/graph/{verb}"
        streams.add(Path(model, "graph", meant, path, _head, copy_context(), Pace(unit.region)))
    sizes: dict[str, Any] = {"max_body": 2**24, "max_head": 2**14, "patience_s": 30, **(limits or {})}
    settings = Settings(plane, streams=streams, **sizes)
    protocol = type("Tested", (HttpProtocol,), {"settings": settings})
    config = uvicorn.Config(cast("Any", cold), port=0, lifespan="off", log_config=None, http=protocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    running = Running(0, model, meter, settings, lambda: setattr(server, "should_exit", True))

    def stop() -> None:
        for client in running.clients:
            client.close()
        server.should_exit = True
        thread.join(LIMIT_S)
        desk.close()
        assert not thread.is_alive()

    while not server.started:
        time.sleep(0.01)
    running.port = server.servers[0].sockets[0].getsockname()[1]
    return running, stop
