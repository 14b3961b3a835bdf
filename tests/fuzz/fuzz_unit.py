"""The readers of a unit: V2 JSON, raw tensors, gRPC messages and HTTP's framing, up to the answer's bytes."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
from fuzz_words import MOST_ERROR, check_error, v2_seeds

TAKES: Final = {"x": "FP32", "n": "INT64", "t": "BYTES", "b": "BOOL"}
_DTYPES: Final = {"FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}


@cache
def _unit() -> Any:
    """Return a unit that gives its tensors back."""
    from graphc_runtimes.environment import read_environment
    from graphc_runtimes.unit import load_unit

    specs = [
        {"name": name, "datatype": kind, "shape": ["batch"], "optional": True} for name, kind in TAKES.items()
    ]
    answers = [spec | {"tensor": spec["name"]} for spec in specs]
    region = {
        "graphc": 1,
        "graph": {"name": "graph", "inputs": specs, "outputs": specs},
        "unit": "unit",
        "takes": specs,
        "nodes": [],
        "answers": answers,
        "wire": "plain",
        "route": None,
    }
    return asyncio.run(load_unit(read_environment({"GRAPHC_REGION": json.dumps(region)})))


def _answer(read: Callable[[], Any]) -> dict[str, Any] | None:
    """Return the tensors that a unit gives back as arrays; None for a request that it refuses."""
    from graphc_runtimes.errors import DeadlineError, RequestError, RunError

    unit = _unit()
    try:
        message = unit.accept(read())
        return {each.name: each.array for each in unit.answer(message)}
    except (RequestError, RunError, DeadlineError) as error:
        check_error(error)
        return None


def check_unit_json(data: bytes) -> None:
    """JSON is read as Python's own reader has it, number for number, or refused in a few words."""
    from graphc_runtimes.errors import RequestError
    from graphc_runtimes.reading import read_infer, read_message, read_messages

    found = _answer(lambda: read_infer(data, {}).message)
    if found is not None:
        # Fields that nobody knows are passed over, whatever their bytes.
        _compare(found, json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse))
    for read in (read_message, read_messages):
        try:
            read(data, {})
        except RequestError as error:
            check_error(error)


def _refuse(name: str) -> object:
    raise AssertionError(f"{name} is not JSON")


def _compare(found: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Hold what was read against the request as Python reads it, as far as that says plainly what it means."""
    for tensor in request["inputs"]:
        parameters: Mapping[str, Any] = tensor.get("parameters") or {}
        array = found.get(tensor["name"])
        if array is None or tensor["datatype"] not in _DTYPES or "encoding" in parameters:
            continue
        assert list(array.shape) == tensor["shape"]
        flat = _flatten(tensor["data"])
        assert len(flat) == math.prod(tensor["shape"])
        with np.errstate(over="ignore"):
            wanted = np.array(
                [math.nan if each is None else each for each in flat], _DTYPES[tensor["datatype"]]
            )
        assert np.array_equal(array.ravel(), wanted, equal_nan=tensor["datatype"] == "FP32"), (array, wanted)


def _flatten(value: object) -> list[Any]:
    if isinstance(value, list):
        return [leaf for each in cast("list[object]", value) for leaf in _flatten(each)]
    return [value]


def check_unit_binary(data: bytes) -> None:
    """JSON with raw tensors behind it is read within the body, or refused in a few words."""
    from graphc_runtimes.reading import read_infer

    end = data.find(b"}\n") + 1
    for length in {end, len(data) // 2, 0, len(data)}:
        _answer(lambda length=length: read_infer(data, {}, length).message)


def binary_seeds() -> list[bytes]:
    """Return requests with raw tensors, the JSON ending with a line."""
    raws = {"x": np.array([1.5, -2], "<f4").tobytes(), "n": np.array([1, 2], "<i8").tobytes(), "b": b"\1\0"}
    raws["t"] = b"\1\0\0\0a\2\0\0\0bc"
    tensors = [
        {"name": name, "datatype": TAKES[name], "shape": [2], "parameters": {"binary_data_size": len(raw)}}
        for name, raw in raws.items()
    ]
    return [json.dumps({"inputs": tensors}).encode() + b"\n" + b"".join(raws.values()), *v2_seeds("inputs")]


def check_unit_grpc(data: bytes) -> None:
    """A gRPC message is read, or refused in a few words."""
    from graphc_runtimes.errors import RequestError

    try:
        asked = _messages().read(data)
    except RequestError as error:
        check_error(error)
        return
    _answer(lambda: asked.read({}))


@cache
def _messages() -> Any:
    from graphc.engine.proto import message_class
    from graphc_runtimes.rpc_messages import Messages

    described = cast("Any", message_class("ModelInferRequest")).DESCRIPTOR.file
    return Messages(described)


# --- HTTP --------------------------------------------------------------------------------------------


class _Transport:
    """Takes what a connection writes, and remembers whether it was ended."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_ended = False

    def write(self, data: bytes | memoryview) -> None:
        assert not self.is_ended, "something was written behind the end"
        self.written += data

    def close(self) -> None:
        self.is_ended = True

    def abort(self) -> None:
        self.is_ended = True

    def is_closing(self) -> bool:
        return self.is_ended

    def get_extra_info(self, name: str) -> object:
        del name

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Let everything else be asked for without effect."""
        return lambda *_arguments, **_keywords: None


@cache
def _plane() -> Any:
    from graphc_runtimes.desk import Desk, Pace
    from graphc_runtimes.plane import DataPlane, Features, Path
    from plane_parts import Meter, Model

    unit = _unit()
    pace = Pace(unit.region)
    for bits in range(2, 24):
        # Known to be short: what is asked is answered here, without a thread.
        pace.note(1 << bits, 0.0)
    plane = DataPlane(Desk(1, 16), Meter(), Features())
    head: Callable[[str], bytes] = lambda identity: b""  # noqa: E731, ARG005
    path = "/v2/models/graph/infer"
    plane.add(Path(Model(unit), "graph", "infer", path, head, copy_context(), pace))
    return plane


async def _converse(plane: Any, data: bytes, step: int) -> bytes:
    """Return what a connection answers to bytes that come in pieces."""
    from graphc_runtimes.protocol import HttpProtocol, Settings

    settings = Settings(plane, max_body=2**16, max_head=2**12, patience_s=30)
    protocol = type("Fuzzed", (HttpProtocol,), {"settings": settings})
    config = SimpleNamespace(
        loaded=True, loaded_app=_application, root_path="", asgi_version="3.0", timeout_keep_alive=5
    )
    state = SimpleNamespace(connections=set[Any](), tasks=set[Any](), total_requests=0, default_headers=[])
    connection = protocol(cast("Any", config), cast("Any", state), {}, asyncio.get_running_loop())
    transport = _Transport()
    connection.connection_made(cast("Any", transport))
    for at in range(0, len(data), step):
        if transport.is_ended:
            break
        connection.data_received(data[at : at + step])
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=1)
    return bytes(transport.written)


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Stand for MLServer's application."""
    del scope, receive
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def check_unit_http(data: bytes) -> None:
    """Whatever comes over a connection is answered in whole answers, however it is cut, and errors are short."""
    for step in (max(1, len(data)), 7):
        _check_answers(_loop().run_until_complete(_converse(_plane(), data, step)))


def _check_answers(written: bytes) -> None:
    """Hold what was written against HTTP: whole answers, one after the other."""
    while written:
        head, mark, rest = written.partition(b"\r\n\r\n")
        assert mark, written[:200]
        assert head.startswith(b"HTTP/1.1 "), head[:200]
        status = int(head[9:12])
        lengths = [
            int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        ]
        length = lengths[0] if lengths else 0
        assert len(lengths) == (0 if status == 100 else 1), head[:300]
        if status >= 400:
            assert length < MOST_ERROR
        if length and (not rest or rest.startswith(b"HTTP/1.1 ")):
            # What HEAD is answered has a length, and no body.
            length = 0
        assert len(rest) >= length, (head[:300], rest[:100])
        written = rest[length:]


def http_request_seeds() -> list[bytes]:
    """Return requests of every framing."""
    body = v2_seeds("inputs")[0]
    head = b"POST /v2/models/graph/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    sized = head + b"content-length: %d\r\n\r\n" % len(body) + body
    return [
        sized,
        sized + sized,
        head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        head + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
        head + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        head + b"inference-header-content-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ]
