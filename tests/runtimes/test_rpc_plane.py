"""Inference over gRPC, without MLServer: what is answered from bytes, and what is refused."""

import asyncio
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from graphc.engine.proto import message_class
from graphc_components.tensors import CONTENTS
from graphc_runtimes.desk import Desk, Pace
from graphc_runtimes.environment import read_environment
from graphc_runtimes.errors import RequestError
from graphc_runtimes.messages import Message
from graphc_runtimes.room import Room
from graphc_runtimes.rpc import RpcPlane, Served
from graphc_runtimes.rpc_messages import Asked, Messages
from graphc_runtimes.unit import load_unit
from grpc import StatusCode, aio
from plane_parts import Meter, Model
from served_graphs import compile_graph

Json = dict[str, Any]
Build = Callable[..., Json]

LIMIT_S: Final = 10
REQUEST: Final = cast("Any", message_class("ModelInferRequest"))
RESPONSE: Final = cast("Any", message_class("ModelInferResponse"))
METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Running:
    """A server, what it was made of, and a channel to it."""

    channel: grpc.Channel
    model: Model
    meter: Meter
    room: Room

    def start(self, request: Any, timeout: float = LIMIT_S, **metadata: str) -> "Future[bytes]":
        """Send a request, which may be bytes of any kind."""
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        call = cast("Any", self.channel.unary_unary(METHOD))
        return call.future(raw, timeout=timeout, metadata=tuple(metadata.items()))

    def ask(self, request: Any, **metadata: str) -> Any:
        """Send a request and return the answer."""
        return RESPONSE.FromString(self.start(request, LIMIT_S, **metadata).result())

    def refuse(self, request: Any, timeout: float = LIMIT_S, **metadata: str) -> tuple[StatusCode, str]:
        """Send a request and return how it failed."""
        with pytest.raises(grpc.RpcError) as failed:
            self.start(request, timeout, **metadata).result()
        error = cast("Any", failed.value)
        return error.code(), error.details()


Serve = Callable[..., Running]


def describe() -> FileDescriptor:
    """Return the protocol as MLServer describes it, without the kinds of parameters that came later."""
    file = FileDescriptorProto()
    REQUEST.DESCRIPTOR.file.CopyToProto(file)
    (parameter,) = (each for each in file.message_type if each.name == "InferParameter")
    del parameter.field[3:]
    return DescriptorPool().AddSerializedFile(file.SerializeToString())


class Server:
    """A gRPC server on an event loop of its own."""

    def __init__(self, plane: RpcPlane) -> None:
        self._plane, self._loop = plane, asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server, self.port = self._do(self._start())

    async def _start(self) -> tuple[aio.Server, int]:
        server = aio.server(options=[("grpc.max_receive_message_length", 2**24)])
        self._plane.install(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    def stop(self) -> None:
        """End it."""
        self._do(self._server.stop(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        self._loop.close()

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_S)


def trailers(identity: str) -> Sequence[tuple[str, str]]:
    return [("x-id", identity)] if identity else []


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a region over gRPC as a unit's process does."""
    stops: list[Callable[[], None]] = []

    def start(region: Mapping[str, object], *, threads: int = 4, queue: int = 16) -> Running:
        variables = {"GRAPHC_REGION": json.dumps(region), "GRAPHC_ARTIFACTS": str(tmp_path)}
        unit = asyncio.run(load_unit(read_environment(variables)))
        meter, model, desk, room = Meter(), Model(unit), Desk(threads, queue), Room(2**24)
        # The compiler's description of the protocol: MLServer's cannot be loaded beside tritonclient's.
        plane = RpcPlane(desk, meter, Messages(describe()), room, names=["graph", "later"])
        plane.add(Served(model, "graph", trailers, copy_context(), Pace(unit.region)))
        server = Server(plane)
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        stops.extend([channel.close, server.stop, desk.close])
        return Running(channel, model, meter, room)

    yield start
    for stop in stops:
        stop()


def request(*rows: float, raw: bool = False, **fields: object) -> Any:
    made = REQUEST(model_name="graph", **fields)
    tensor = made.inputs.add(name="x", datatype="FP32", shape=[len(rows) // 2, 2])
    if raw:
        made.raw_input_contents.append(np.array(rows, np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend(rows)
    return made


def test_an_answer_has_the_form_and_the_id_of_its_request(serve: Serve, double: Json) -> None:
    running = serve(double)
    # Several, so that some are answered in a thread and some on the event loop.
    for turn in range(20):
        answer = running.ask(request(1, 2, 3, 4, id=f"id-{turn}"))
        (output,) = answer.outputs
        assert (answer.model_name, answer.id) == ("graph", f"id-{turn}")
        assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", [2, 2])
        assert list(output.contents.fp32_contents) == [1, 2, 3, 4]
        assert not answer.raw_output_contents

        answer = running.ask(request(1, 2, 3, 4, raw=True))
        assert not answer.outputs[0].contents.ListFields()
        assert struct.unpack("<4f", answer.raw_output_contents[0]) == (1, 2, 3, 4)
    assert running.meter.inferences == [("graph", False)] * 40


def test_the_trailers_are_those_of_the_answer(serve: Serve, double: Json) -> None:
    running = serve(double)
    call = running.start(request(1, 2, id="mine"))
    call.result()
    assert ("x-id", "mine") in cast("Any", call).trailing_metadata()


@pytest.mark.parametrize("raw", [False, True])
def test_every_datatype_comes_back_as_it_went(serve: Serve, build: Build, raw: bool) -> None:
    arrays = {
        "BOOL": np.array([True, False]),
        "INT8": np.array([-128, 127], np.int8),
        "INT16": np.array([-(2**15), 2**15 - 1], np.int16),
        "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
        "INT64": np.array([-(2**63), 2**63 - 1], np.int64),
        "UINT8": np.array([0, 255], np.uint8),
        "UINT16": np.array([0, 2**16 - 1], np.uint16),
        "UINT32": np.array([0, 2**32 - 1], np.uint32),
        "UINT64": np.array([0, 2**64 - 1], np.uint64),
        "FP32": np.array([np.nan, np.inf], np.float32),
        "FP64": np.array([0.1, -np.inf]),
    }
    fields = {"BOOL": "bool", "FP32": "fp32", "FP64": "fp64", "INT64": "int64", "UINT64": "uint64"}
    texts = [b"\xff\x00", "é".encode()]
    takes = [f"i{kind}: {kind}[batch]" for kind in (*arrays, "BYTES")]
    answers = {f"i{kind}": f"o{kind}: {kind}[batch]" for kind in (*arrays, "BYTES")}
    running = serve(build([], takes=takes, answers=answers))
    asked = REQUEST(model_name="graph")
    for kind, array in arrays.items():
        tensor = asked.inputs.add(name=f"i{kind}", datatype=kind, shape=[2])
        if raw:
            asked.raw_input_contents.append(array.tobytes())
        else:
            field = fields.get(kind) or ("uint" if kind.startswith("U") else "int")
            getattr(tensor.contents, f"{field}_contents").extend(array.tolist())
    tensor = asked.inputs.add(name="iBYTES", datatype="BYTES", shape=[2])
    if raw:
        asked.raw_input_contents.append(b"".join(struct.pack("<I", len(text)) + text for text in texts))
    else:
        tensor.contents.bytes_contents.extend(texts)

    answer = running.ask(asked)
    assert [each.name for each in answer.outputs] == [f"o{kind}" for kind in (*arrays, "BYTES")]
    assert list(answer.raw_output_contents) == list(asked.raw_input_contents)
    for given, got in zip(asked.inputs, answer.outputs, strict=True):
        assert got.datatype == given.datatype
        # NaN is not itself: the bytes of a message tell.
        assert got.contents.SerializeToString() == given.contents.SerializeToString()


def test_half_floats_are_answered_as_bytes_whatever_was_asked(serve: Serve, build: Build) -> None:
    takes = ["h: FP16[batch]"]
    running = serve(build([], takes=takes, answers={"h": "h: FP16[batch]"}))
    asked = REQUEST(model_name="graph")
    asked.inputs.add(name="h", datatype="FP16", shape=[2])
    asked.raw_input_contents.append(np.array([0.5, -2], np.float16).tobytes())
    assert list(running.ask(asked).raw_output_contents) == list(asked.raw_input_contents)
    # There is no field for them, so what comes in one is no number of theirs.
    asked.ClearField("raw_input_contents")
    asked.inputs[0].contents.bytes_contents.extend([b"\x00\x38", b"\x00\x38"])
    assert running.refuse(asked)[0] is StatusCode.INVALID_ARGUMENT


def test_parameters_of_every_kind_are_carried(serve: Serve, double: Json) -> None:
    asked = request(1, 2)
    asked.parameters["flag"].bool_param = True
    asked.parameters["count"].int64_param = -3
    asked.parameters["large"].uint64_param = 2**64 - 1
    asked.parameters["share"].double_param = 0.25
    asked.parameters["tier"].string_param = "gold"
    answer = serve(double).ask(asked)
    found = {
        name: getattr(each, each.WhichOneof("parameter_choice")) for name, each in answer.parameters.items()
    }
    assert found == {"flag": True, "count": -3, "large": 2**64 - 1, "share": 0.25, "tier": "gold"}


def test_an_output_may_be_asked_for(serve: Serve, build: Build) -> None:
    takes = ["a: FP32[batch]", "b: FP32[batch]"]
    running = serve(build([], takes=takes, answers={"a": "one: FP32[batch]", "b": "two: FP32[batch]"}))
    asked = REQUEST(model_name="graph")
    for name in "ab":
        asked.inputs.add(name=name, datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
    asked.outputs.add(name="two")
    assert [each.name for each in running.ask(asked).outputs] == ["two"]
    asked.outputs.add(name="three")
    assert running.refuse(asked) == (
        StatusCode.INVALID_ARGUMENT,
        "unit `unit`: the graph has no output `three`",
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("few", "tensor `x` has 4 bytes, which is not FP32 [1, 2]"),
        ("more", "the request has 2 raw contents for 1 inputs"),
        ("datatype", "tensor `x` has the datatype `FP99`, which the V2 protocol lacks"),
        ("negative", "tensor `x` "),
        ("name", "unit `unit`: the graph has no input `z`"),
        ("empty", "unit `unit`: tensor `x` has 0 elements, which is not the shape [1, 2]"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    serve: Serve, double: Json, change: str, told: str
) -> None:
    asked = request(1, 2, raw=True)
    match change:
        case "few":
            asked.raw_input_contents[0] = b"1234"
        case "more":
            asked.raw_input_contents.append(b"")
        case "datatype":
            asked.inputs[0].datatype = "FP99"
        case "negative":
            asked.inputs[0].shape[:] = [-1, -2]
        case "name":
            asked.inputs[0].name = "z"
        case _:
            asked.ClearField("raw_input_contents")
    running = serve(double)
    code, details = running.refuse(asked)
    assert code is StatusCode.INVALID_ARGUMENT
    assert details.startswith(told)
    assert running.meter.inferences == [("graph", True)]


FIELDS = [each.name for each in REQUEST().inputs.add().contents.DESCRIPTOR.fields]


@pytest.mark.parametrize("kind", [*CONTENTS, "FP16"])
@pytest.mark.parametrize("field", FIELDS)
def test_contents_are_taken_from_the_field_of_their_datatype_alone(
    serve: Serve, build: Build, kind: str, field: str
) -> None:
    running = serve(build([], takes=[f"x: {kind}[batch]"], answers={"x": f"y: {kind}[batch]"}))
    asked = REQUEST(model_name="graph")
    tensor = asked.inputs.add(name="x", datatype=kind, shape=[1])
    getattr(tensor.contents, field).append(b"1" if field == "bytes_contents" else 1)
    right = CONTENTS.get(kind)
    if field == right:
        assert running.ask(asked).outputs[0].contents == tensor.contents
        other = next(each for each in FIELDS if each != right)
        getattr(tensor.contents, other).append(b"1" if other == "bytes_contents" else 1)
        field = other
    told = f"`{right}`" if right else "raw contents"
    assert running.refuse(asked) == (
        StatusCode.INVALID_ARGUMENT,
        f"tensor `x` is {kind} and has `{field}`, where {told} should be",
    )


def _repeat_tensor(asked: Any) -> None:
    asked.inputs.append(asked.inputs[0])
    if asked.raw_input_contents:
        asked.raw_input_contents.append(asked.raw_input_contents[0])


def _add_contents(asked: Any) -> None:
    asked.inputs[0].contents.fp32_contents.extend([1, 2])
    asked.raw_input_contents[:] = [bytes(8)]


def _set(**fields: object) -> Callable[[Any], None]:
    def change(asked: Any) -> None:
        for name, value in fields.items():
            if name in ("shape", "datatype"):
                asked.inputs[0].ClearField(name)
                asked.inputs[0].MergeFrom(type(asked.inputs[0])(**{name: value}))
            else:
                asked.MergeFrom(REQUEST(**{name: value}))

    return change


def _add_many(asked: Any) -> None:
    for place in range(1024):
        asked.inputs.add(name=f"n.{place}", datatype="FP32", shape=[0])
        if asked.raw_input_contents:
            asked.raw_input_contents.append(b"")


def _add_parameters(asked: Any) -> None:
    for place in range(1025):
        asked.inputs[0].parameters[str(place)].bool_param = True


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_repeat_tensor, "tensor `x` is there twice"),
        (_add_contents, "tensor `x` has raw contents, and typed ones too"),
        (_set(shape=[1, 3]), "tensor `x` has "),
        (_set(shape=[1, 1]), "tensor `x` has "),
        (_set(shape=[]), "tensor `x` has "),
        (_set(shape=[2, 1]), "tensor `x` has shape [2, 1], not [batch=2, 2]"),
        (_set(shape=[2]), "tensor `x` has shape [2], not [batch, 2]"),
        (_set(shape=[-1, -2]), "tensor `x` has a negative size in its shape [-1, -2]"),
        (_set(shape=[2**62, 2**62]), "tensor `x` has "),
        (_set(shape=[0, 2**40]), "tensor `x` has no elements, and the shape "),
        (_set(shape=[1] * 33), "tensor `x` has 33 dimensions; a tensor has at most 32"),
        (_set(datatype=""), "tensor `x` has the datatype ``, which the V2 protocol lacks"),
        (_set(datatype="fp32"), "tensor `x` has the datatype `fp32`, which the V2 protocol lacks"),
        (_set(id="i" * 5000), "the `id` has more than 4096 characters"),
        (_add_many, "the message has more than 1024 tensors"),
        (_add_parameters, "tensor `x` has more than 1024 parameters"),
    ],
)
def test_whatever_is_no_tensor_is_refused_in_our_own_words(
    serve: Serve, double: Json, change: Callable[[Any], None], told: str, raw: bool
) -> None:
    asked = request(1, 2, raw=raw)
    change(asked)
    running = serve(double)
    code, details = running.refuse(asked)
    assert code is StatusCode.INVALID_ARGUMENT
    # What is seen when a tensor is taken names the unit, too.
    assert details.removeprefix("unit `unit`: ").startswith(told)
    assert list(running.ask(request(1, 2)).outputs[0].contents.fp32_contents) == [1, 2]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (b"\x2a\x00" * 2**19, "the message has more than 16384 fields; it may have 1024 tensors"),
        (b"\x32\x00" * 2**19, "the message has more than 16384 fields; it may have 1024 tensors"),
        (b"\x3a\x00" * 2**19, "the message has more than 16384 fields; it may have 1024 tensors"),
        # One tensor, with sizes in one piece, or one by one.
        (b"\x2a\x84\x80\x04\x1a\x80\x80\x04" + b"\x01" * 2**16, "a tensor has more than 32 dimensions"),
        (
            b"\x2a\x80\x80\x04" + b"\x18\x01" * 2**15,
            "the message has more than 16384 fields; it may have 1024 tensors",
        ),
        (b"\x2b" * 2**17, "the message is no ModelInferRequest"),
        (b"\xff" * 2**17, "the message is no ModelInferRequest"),
        (b"\x3a\xff\xff\xff\x7f" + b"\x00" * 2**17, "the message is no ModelInferRequest"),
    ],
)
def test_a_message_of_too_many_parts_is_refused_before_any_is_made(part: bytes, told: str) -> None:
    with pytest.raises(RequestError, match=f"^{told}$"):
        Messages(describe()).read(part)


@pytest.mark.parametrize("raw", [False, True])
def test_a_tensor_without_rows_is_answered_without_rows(serve: Serve, double: Json, raw: bool) -> None:
    answer = serve(double).ask(request(raw=raw))
    assert list(answer.outputs[0].shape) == [0, 2]
    assert not answer.outputs[0].contents.fp32_contents


@pytest.mark.parametrize("raw", [False, True])
def test_models_answer_without_rows_too(serve: Serve, tmp_path: Path, raw: bool) -> None:
    compiled = compile_graph(Path(__file__).parents[2] / "graphs/wine-average/graph.yaml", 2, tmp_path)
    (environment,) = compiled.environments.values()
    running = serve(json.loads(environment.region))
    asked = REQUEST(model_name="graph")
    asked.inputs.add(name="x", datatype="FP32", shape=[0, 13])
    if raw:
        asked.raw_input_contents.append(b"")
    found = {each.name: (each.datatype, list(each.shape)) for each in running.ask(asked).outputs}
    assert found == {"probabilities": ("FP32", [0, 3]), "cultivar": ("INT64", [0])}


@pytest.mark.parametrize("kind", sorted(set(CONTENTS) - {"BYTES"}))
def test_many_typed_numbers_are_read_as_they_are(serve: Serve, build: Build, kind: str) -> None:
    running = serve(build([], takes=[f"x: {kind}[batch]"], answers={"x": f"y: {kind}[batch]"}))
    values = (np.arange(100_001) % (2 if kind == "BOOL" else 101)).tolist()
    asked = REQUEST(model_name="graph")
    tensor = asked.inputs.add(name="x", datatype=kind, shape=[len(values)])
    getattr(tensor.contents, CONTENTS[kind]).extend(values)
    assert running.ask(asked).outputs[0].contents == tensor.contents
    if kind.endswith("8"):
        getattr(tensor.contents, CONTENTS[kind])[-1] = 256
        told = f"tensor `x` holds a number that is out of range for {kind}"
        assert running.refuse(asked) == (StatusCode.INVALID_ARGUMENT, told)


@pytest.mark.parametrize("batch", [None, {"max_size": 8, "max_delay_ms": 1}])
def test_many_typed_numbers_are_not_read_on_the_event_loop(
    serve: Serve, double: Json, monkeypatch: pytest.MonkeyPatch, batch: Json | None
) -> None:
    threads: list[str] = []
    read = Asked.read

    def noted(self: Asked, headers: Mapping[str, str]) -> Message:
        threads.append(threading.current_thread().name)
        return read(self, headers)

    monkeypatch.setattr(Asked, "read", noted)
    running = serve(double if batch is None else double | {"batch": batch})
    # Often enough that a unit whose work is short would answer where the request came in.
    for _ in range(5):
        running.ask(request(*range(40_000)))
    assert len(threads) == 5
    assert all(each.startswith("graphc") for each in threads)


def _wait_for(room: Room, taken: int) -> None:
    end = time.monotonic() + LIMIT_S
    while room.taken != taken:
        assert time.monotonic() < end, f"{room.taken} bytes are taken, not {taken}"
        time.sleep(0.001)


def test_bytes_in_flight_are_bounded_and_given_back(serve: Serve, slow: Json) -> None:
    running = serve(slow)
    room, asked = running.room, request(77, 0)
    size = len(asked.SerializeToString())
    call = running.start(asked)
    _wait_for(room, size)
    call.result()
    _wait_for(room, 0)
    # What others of the same server hold, over HTTP, leaves too little.
    assert room.take(room.most - size + 1)
    told = "the unit has as many bytes in flight as it takes; try again"
    assert running.refuse(asked) == (StatusCode.UNAVAILABLE, told)
    room.give_back(room.most - size + 1)
    # Whatever becomes of a request, its room is there again.
    assert running.refuse(b"\xff\xff\xff")[0] is StatusCode.INVALID_ARGUMENT
    other = REQUEST(model_name="other")
    assert running.refuse(other)[0] is StatusCode.NOT_FOUND
    running.start(asked).cancel()
    assert running.ask(request(1, 0)).outputs[0].contents.fp32_contents[0] == 2
    _wait_for(room, 0)


def test_what_is_no_message_is_refused(serve: Serve, double: Json) -> None:
    assert serve(double).refuse(b"\xff\xff\xff") == (
        StatusCode.INVALID_ARGUMENT,
        "the message is no ModelInferRequest",
    )


def test_a_version_that_the_unit_does_not_answer_for_is_not_found(serve: Serve, double: Json) -> None:
    asked = request(1, 2)
    asked.model_name, asked.model_version = "graph", "2"
    code, details = serve(double).refuse(asked.SerializeToString())
    assert code is StatusCode.NOT_FOUND
    assert details == "model `graph` has no version `2`; there are: none"


def test_a_model_that_is_not_there_is_not_found(serve: Serve, double: Json) -> None:
    asked = request(1, 2)
    asked.model_name = "another"
    assert serve(double).refuse(asked) == (StatusCode.NOT_FOUND, "model `another` not found")


@pytest.mark.parametrize("name", ["graph", "later"])
def test_a_model_that_is_not_ready_is_unavailable(serve: Serve, double: Json, name: str) -> None:
    running = serve(double)
    running.model.ready = False
    asked = request(1, 2)
    asked.model_name = name
    assert running.refuse(asked) == (StatusCode.UNAVAILABLE, f"model `{name}` is not ready")


def test_a_node_that_fails_is_an_error_of_the_server(serve: Serve, slow: Json, tmp_path: Path) -> None:
    (tmp_path / "slow" / "code.py").write_text("def wait(x):\n    raise ValueError('no')\n")
    code, details = serve(slow).refuse(request(1, 2))
    assert (code, details) == (StatusCode.INTERNAL, "node `p` failed: ValueError: no")


def test_too_much_waiting_is_refused(serve: Serve, slow: Json) -> None:
    running = serve(slow, threads=1, queue=1)
    waiting = [running.start(request(77, 0))]
    time.sleep(0.3)
    waiting.append(running.start(request(1, 0)))
    time.sleep(0.3)
    code, details = running.refuse(request(1, 0))
    assert code is StatusCode.UNAVAILABLE
    assert details.startswith("the unit has as many requests waiting as it takes")
    assert [RESPONSE.FromString(each.result()).id for each in waiting] == ["", ""]
    assert running.ask(request(1, 0)).outputs[0].contents.fp32_contents[0] == 2


def test_a_client_that_goes_leaves_its_place(serve: Serve, slow: Json) -> None:
    running = serve(slow, threads=1, queue=1)
    first = running.start(request(77, 0))
    time.sleep(0.3)
    gone = running.start(request(78, 0))
    time.sleep(0.2)
    gone.cancel()
    time.sleep(0.2)
    assert running.ask(request(1, 0)).outputs[0].contents.fp32_contents[0] == 2
    first.result()


def test_a_request_past_its_deadline_is_told_so(serve: Serve, slow: Json) -> None:
    slow["graph"]["deadline_ms"] = 60_000
    running = serve(slow)
    late = {"x-graphc-deadline-ms": "1"}
    assert running.refuse(request(1, 0), LIMIT_S, **late) == (
        StatusCode.DEADLINE_EXCEEDED,
        "the client's deadline passed before node `p`",
    )
    assert running.ask(request(1, 0)).outputs[0].contents.fp32_contents[0] == 2


def test_a_client_that_gave_up_has_no_further_node_run(
    serve: Serve, slow: Json, node: Build, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "slow" / "after.py").write_text(
        f"def note(y):\n    with open({str(ran)!r}, 'a') as file:\n        print(y[0, 0], file=file)\n"
        "    return {'z': y}\n"
    )
    declares = {"z": {"datatype": "FP32", "shape": ["batch", 2]}}
    after: Json = {"kind": "python", "entry": "after:note", "path": "slow", "declares": declares}
    slow["nodes"].append(node("q", {"y": "p.y"}, {"z": "q.z"}, **after))
    slow["answers"][0]["tensor"] = "q.z"
    slow["graph"]["deadline_ms"] = 60_000
    running = serve(slow, threads=1)
    assert running.refuse(request(77, 0), timeout=0.5)[0] is StatusCode.DEADLINE_EXCEEDED
    # One thread works for both, so what came first is over.
    assert running.ask(request(1, 0)).outputs[0].contents.fp32_contents[0] == 2
    assert ran.read_text() == "2.0\n"


def test_requests_that_wait_run_together(serve: Serve, slow: Json, tmp_path: Path) -> None:
    (tmp_path / "slow" / "code.py").write_text("def wait(x):\n    return {'y': x + len(x)}\n")
    running = serve(slow | {"batch": {"max_size": 8, "max_delay_ms": 5000}})
    calls = [running.start(request(turn, 0, id=str(turn))) for turn in range(8)]
    answers = [RESPONSE.FromString(each.result()) for each in calls]
    assert [each.id for each in answers] == [str(turn) for turn in range(8)]
    assert [list(each.outputs[0].contents.fp32_contents) for each in answers] == [
        [turn + 8, 8] for turn in range(8)
    ]


STATED = """
class Mine:
    model_error_handler = object()
    def predict(self, X, names):
        if X[0, 0] > 1:
            error = ValueError("no such row")
            error.status_code = int(X[0, 0])
            raise error
        return X
    def tags(self): return {"text": "a", "yes": True, "count": 3, "share": 0.5, "list": [1]}
"""


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, StatusCode.INVALID_ARGUMENT),
        (401, StatusCode.UNAUTHENTICATED),
        (403, StatusCode.PERMISSION_DENIED),
        (404, StatusCode.NOT_FOUND),
        (409, StatusCode.ABORTED),
        (418, StatusCode.INVALID_ARGUMENT),
        (429, StatusCode.RESOURCE_EXHAUSTED),
        (500, StatusCode.INTERNAL),
        (501, StatusCode.UNIMPLEMENTED),
        (503, StatusCode.UNAVAILABLE),
        (504, StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_what_a_class_says_beside_its_tensors_and_by_which_status_it_refuses(
    serve: Serve, build: Build, node: Build, tmp_path: Path, status: int, code: StatusCode
) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "mine.py").write_text(STATED)
    written = node(
        "n", {"X": "x"}, {"y": "n.y"}, kind="python", entry="mine:Mine", path="n", seldon={"method": "predict"},
        declares={"y": {"datatype": "FP32", "shape": ["batch", 2]}},
    )  # fmt: skip
    running = serve(build([written], takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"}))
    answer = running.ask(request(1, 0))
    found = {
        name: getattr(each, each.WhichOneof("parameter_choice")) for name, each in answer.parameters.items()
    }
    assert found == {"n.text": "a", "n.yes": True, "n.count": 3, "n.share": 0.5, "n.list": "[1]"}
    assert running.refuse(request(status, 0)) == (code, "node `n`: no such row")
