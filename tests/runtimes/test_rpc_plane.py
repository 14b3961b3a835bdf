"""Inference over gRPC, without MLServer: what is answered from bytes, and what is left to others."""

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
from graphc_runtimes.desk import Desk, Pace
from graphc_runtimes.environment import read_environment
from graphc_runtimes.rpc import Call, RpcPlane, Served
from graphc_runtimes.rpc_messages import Messages
from graphc_runtimes.unit import load_unit
from grpc import StatusCode, aio
from plane_parts import Meter, Model

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


async def others(raw: bytes, call: Call) -> bytes:
    """Stand for MLServer: tell that it was asked."""
    return RESPONSE(model_name="left to MLServer", id=str(len(raw))).SerializeToString()


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
        self._plane.install(server, others)
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
    """Serve a region over gRPC as a unit's process does, MLServer's servicer replaced by one that says so."""
    stops: list[Callable[[], None]] = []

    def start(region: Mapping[str, object], *, threads: int = 4, queue: int = 16) -> Running:
        variables = {"GRAPHC_REGION": json.dumps(region), "GRAPHC_ARTIFACTS": str(tmp_path)}
        unit = asyncio.run(load_unit(read_environment(variables)))
        meter, model, desk = Meter(), Model(unit), Desk(threads, queue)
        # The compiler's description of the protocol: MLServer's cannot be loaded beside tritonclient's.
        plane = RpcPlane(desk, meter, Messages(describe()))
        plane.add(Served(model, "graph", trailers, copy_context(), Pace(unit.region)))
        server = Server(plane)
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        stops.extend([channel.close, server.stop, desk.close])
        return Running(channel, model, meter)

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
        ("datatype", "unit `unit`: tensor `x` is FP99, not FP32"),
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


@pytest.mark.parametrize("fields", [{"model_name": "another"}])
def test_what_is_for_no_model_of_here_is_left_to_mlserver(
    serve: Serve, double: Json, fields: dict[str, str]
) -> None:
    asked = request(1, 2)
    for name, value in fields.items():
        setattr(asked, name, value)
    answer = serve(double).ask(asked)
    assert (answer.model_name, int(answer.id)) == ("left to MLServer", len(asked.SerializeToString()))


def test_a_model_that_is_not_ready_is_left_to_mlserver(serve: Serve, double: Json) -> None:
    running = serve(double)
    running.model.ready = False
    assert running.ask(request(1, 2)).model_name == "left to MLServer"


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
