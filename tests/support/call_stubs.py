"""Stub units over gRPC, and messages in the form of the executor's recordings."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from graphc.engine.proto import SERVICE, message_class
from graphc_components.tensors import CONTENTS
from grpc import aio

Json = Any
UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 1 << 20),
    ("grpc.absolute_max_metadata_size", 1 << 20),
    ("grpc.so_reuseport", 0),
]
OWN_METADATA = {"user-agent"}


def write(name: str, fields: Json) -> Any:
    """Return the message of recorded fields, or an empty one of a class that we have not."""
    message: Any = message_class(name)()
    ParseDict(unroll(fields), message)
    return message


def unroll(value: Json) -> Json:
    """Return a recorded value with its long runs written out."""
    if isinstance(value, list):
        return [unroll(each) for each in cast("list[Json]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Json]", value)
    if "count" in fields and "repeat" in fields:
        return [fields["repeat"]] * fields["count"]
    if "chars" in fields and "repeat" in fields:
        text: str = fields["repeat"]
        return (text * (fields["chars"] // len(text) + 1))[: fields["chars"]]
    return {key: unroll(each) for key, each in fields.items()}


def read(message: Any) -> Json:
    """Return a message as the recordings write one."""
    return MessageToDict(message, preserving_proto_field_name=True)


@dataclass
class CallStub:
    """A unit that answers as it is told and remembers what it got."""

    behaviour: Mapping[str, Json]
    calls: list[Json] = field(default_factory=list[Json])
    port: int = 0

    async def handle(self, method: str, raw: bytes, context: Any) -> bytes:
        request = message_class(f"{method}Request").FromString(raw)
        told, deadline = self.behaviour, context.time_remaining() is not None
        metadata = [[key, value] for key, value in context.invocation_metadata() if key not in OWN_METADATA]
        self.calls.append(
            {"method": method, "message": read(request), "metadata": metadata, "deadline": deadline}
        )
        if "sleep_s" in told:
            await asyncio.sleep(told["sleep_s"])
        if headers := told.get("headers"):
            await context.send_initial_metadata([tuple(each) for each in headers])
        if told["do"] == "fail" and (method == "ModelInfer" or told.get("all")):
            trailing = tuple(tuple(each) for each in told.get("trailing", ()))
            await context.abort(grpc.StatusCode[told["code"]], told["details"], trailing)
        return getattr(self, method)(request).SerializeToString()

    def ModelReady(self, _: Any) -> Any:  # noqa: N802
        return write("ModelReadyResponse", {"ready": self.behaviour.get("ready", True)})

    def ModelMetadata(self, _: Any) -> Any:  # noqa: N802
        tensors = [("inputs", "x", ["-1", "3"]), ("outputs", "y", ["-1"])]
        fields = {key: [{"name": name, "datatype": "FP32", "shape": shape}] for key, name, shape in tensors}
        name = self.behaviour["name"]
        return write("ModelMetadataResponse", {"name": name, "versions": ["1"], "platform": "stub", **fields})

    def ModelInfer(self, request: Any) -> Any:  # noqa: N802
        told = self.behaviour
        answer: Any = message_class("ModelInferResponse")()
        answer.model_name, answer.id = told["name"], request.id
        answer.model_version = told.get("version", "")
        if told["do"] == "echo":
            for key, value in request.parameters.items():
                answer.parameters[key].MergeFrom(value)
            for tensor in request.inputs:
                answer.outputs.add().ParseFromString(tensor.SerializeToString())
            answer.raw_output_contents.extend(request.raw_input_contents)
        if told["do"] == "affine":
            self._add_affine(request, answer)
        return answer

    def _add_affine(self, request: Any, answer: Any) -> None:
        import numpy as np

        told, tensor = self.behaviour, request.inputs[0]
        kinds = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}
        given = getattr(tensor.contents, CONTENTS[tensor.datatype])
        if request.raw_input_contents:
            given = np.frombuffer(request.raw_input_contents[0], kinds[tensor.datatype]).tolist()
        a, b = (
            int(each) if tensor.datatype == "INT64" and each == int(each) else each
            for each in (told["a"], told["b"])
        )
        values = [a * each + b for each in given]
        if tensor.datatype == "INT64":
            values = [int(each) for each in values]
        copies = told.get("copies", 1)
        for index in range(copies):
            name = f"{told['out']}{index}" if copies > 1 else told["out"]
            output = answer.outputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
            if told.get("raw"):
                answer.raw_output_contents.append(np.asarray(values, kinds[tensor.datatype]).tobytes())
            else:
                output.contents.SetInParent()
                getattr(output.contents, CONTENTS[tensor.datatype]).extend(values)


class CallStubs:
    """The units of a tree, each on a free port of its own."""

    def __init__(self) -> None:
        self.by_name: dict[str, CallStub] = {}

    def document(self, graph: Mapping[str, Json]) -> dict[str, Json]:
        """Write the deployment that the engine reads."""
        return {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "case"},
            "spec": {"protocol": "v2", "predictors": [{"name": "main", "graph": self._placed(graph)}]},
        }

    def _placed(self, graph: Mapping[str, Json]) -> dict[str, Json]:
        unit = {key: value for key, value in graph.items() if key != "behaviour"}
        port = self.by_name[graph["name"]].port
        endpoint = {"service_host": "127.0.0.1", "httpPort": 9, "grpcPort": port}
        children = [self._placed(child) for child in graph.get("children", [])]
        return {**unit, "endpoint": endpoint, "children": children}

    @asynccontextmanager
    async def started(self, graph: Mapping[str, Json]) -> AsyncGenerator["CallStubs"]:
        """Run a stub for every unit; one that is absent has a port on which nobody listens."""
        async with AsyncExitStack() as stack:
            for unit in _units(graph):
                stub = CallStub({"name": unit["name"], **unit.get("behaviour", {"do": "echo"})})
                self.by_name[unit["name"]] = stub
                server = await _listen(stub)
                if stub.behaviour.get("absent"):
                    await server.stop(None)
                else:
                    stack.push_async_callback(server.stop, None)
            yield self


def _units(graph: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    return [graph, *(unit for child in graph.get("children", []) for unit in _units(child))]


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, stub: CallStub) -> None:
        self._stub = stub

    def service(self, handler_call_details: Any) -> Any:
        _, service, method = handler_call_details.method.split("/")
        if service != SERVICE:
            return None

        async def handle(raw: bytes, context: Any) -> bytes:
            return await self._stub.handle(method, raw, context)

        made: Any = grpc.unary_unary_rpc_method_handler
        return made(handle)


async def _listen(stub: CallStub) -> aio.Server:
    server = aio.server(options=UNLIMITED)
    server.add_generic_rpc_handlers((_Handler(stub),))
    stub.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server


@dataclass(frozen=True)
class Reply:
    """What a client got."""

    code: str
    details: str
    headers: list[tuple[str, Any]]
    trailers: list[tuple[str, Any]]
    message: bytes = b""


async def send(port: int, request: Mapping[str, Json]) -> Reply:
    """Make a recorded request."""
    method = request["method"]
    path = method if method.startswith("/") else f"/{SERVICE}/{method}"
    known = {"ModelInfer", "ModelReady", "ModelMetadata"}
    message = write(f"{method}Request", request["message"]).SerializeToString() if method in known else b""
    message = request.get("raw", message)
    metadata = tuple((key, _value(value)) for key, value in request["metadata"])
    compression = grpc.Compression.Gzip if request.get("compression") == "gzip" else None
    async with aio.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
        asks: Any = channel
        call: Any = asks.unary_unary(path)(
            message, metadata=metadata, timeout=request["timeout_s"], compression=compression
        )
        try:
            answer = await call
        except aio.AioRpcError as error:
            return Reply(
                error.code().name,
                error.details() or "",
                _pairs(error.initial_metadata()),
                _pairs(error.trailing_metadata()),
            )
        return Reply(
            "OK", "", _pairs(await call.initial_metadata()), _pairs(await call.trailing_metadata()), answer
        )


def _pairs(metadata: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in metadata or ()]


def _value(value: Json) -> str | bytes:
    return value if isinstance(value, str) else base64.b64decode(value["base64"])
