"""Calls over gRPC."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from graphc_components.tensors import TensorType
from grpc import StatusCode, aio

from graphc.client.answer import InferAnswer, read_answer, read_types
from graphc.client.call import Call, Parameter
from graphc.client.failure import InferError
from graphc.client.printing import shorten
from graphc.client.tensor import Tensor
from graphc.engine.proto import (
    SERVICE,
    InferRequest,
    InferResponse,
    ModelFacts,
    Named,
    Readable,
    message_class,
)
from graphc.engine.proto import Parameter as ProtoParameter
from graphc.engine.proto import Tensor as ProtoTensor
from graphc.engine.raw import RawError, from_bytes, pack, unpack
from graphc.source.located import Plain

_CONTENTS: Final = ("bool", "int", "int64", "uint", "uint64", "fp32", "fp64")
_UNREACHABLE: Final = frozenset({StatusCode.UNAVAILABLE})


class GrpcCaller:
    """Calls one server over gRPC."""

    def __init__(
        self, channel: aio.Channel, base: str, headers: Sequence[tuple[str, str]], timeout: float
    ) -> None:
        self._channel, self._base, self._timeout = channel, base, timeout
        # gRPC takes lower-case names only.
        self._headers = tuple((name.lower(), value) for name, value in headers)

    async def find_model(self) -> str:
        """Give up: over gRPC a server has no list of its models."""
        raise InferError(f"grpc://{self._base} names no model: add it, as in grpc://{self._base}/NAME")

    async def read_inputs(self, model: str) -> Mapping[str, TensorType]:
        """Ask for the metadata."""
        request = cast("Named", message_class("ModelMetadataRequest")())
        request.name = model
        facts = cast("ModelFacts", await self._ask("ModelMetadata", request))
        return read_types(
            [
                {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
                for each in facts.inputs
            ]
        )

    async def infer(self, call: Call) -> InferAnswer:
        """Send the request with raw contents, which every datatype has."""
        response = cast("InferResponse", await self._ask("ModelInfer", make_request(call)))
        return read_answer(write_answer(response))

    async def _ask(self, name: str, request: Readable) -> Readable:
        method = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=_serialize,
            response_deserializer=message_class(f"{name}Response").FromString,
        )
        try:
            return await method(request, timeout=self._timeout, metadata=aio.Metadata(*self._headers))
        except aio.AioRpcError as error:
            raise InferError(self._explain(error)) from error
        except ValueError as error:
            raise InferError(f"grpc://{self._base} gave an answer that is not V2: {error}") from error

    def _explain(self, error: aio.AioRpcError) -> str:
        details = shorten(error.details() or "no reason given")
        if error.code() in _UNREACHABLE:
            return f"grpc://{self._base} cannot be reached: {details}"
        if error.code() is StatusCode.DEADLINE_EXCEEDED:
            return f"grpc://{self._base} did not answer in time"
        return f"grpc://{self._base} refused the request ({error.code().name}): {details}"


def _serialize(message: Readable) -> bytes:
    return message.SerializeToString()


def make_request(call: Call) -> InferRequest:
    """Return the message of a call."""
    request = cast("InferRequest", message_class("ModelInferRequest")())
    request.model_name, request.model_version = call.model, call.version or ""
    _write_parameters(request.parameters, call.parameters)
    for tensor in call.tensors:
        _add_input(request, tensor)
    return request


def write_answer(response: InferResponse) -> str:
    """Return an answer as V2 JSON; raises InferError."""
    return json.dumps(_to_json(response))


def _add_input(request: InferRequest, tensor: Tensor) -> None:
    message = request.inputs.add()
    message.name, message.datatype = tensor.name, tensor.datatype
    message.shape.extend(tensor.shape)
    if tensor.datatype == "BYTES":
        elements = cast("list[bytes]", tensor.array.ravel().tolist())
        values, content_type = from_bytes(elements)
        request.raw_input_contents.append(pack("BYTES", values, content_type))
    else:
        request.raw_input_contents.append(tensor.array.tobytes())


def _write_parameters(target: Mapping[str, ProtoParameter], parameters: Mapping[str, Parameter]) -> None:
    for key, value in parameters.items():
        match value:
            case bool():
                target[key].bool_param = value
            case int() if -(2**63) <= value < 2**63:
                target[key].int64_param = value
            case float():
                target[key].double_param = value
            case _:
                target[key].string_param = str(value)


def _to_json(response: InferResponse) -> dict[str, Plain]:
    raw = list(response.raw_output_contents)
    if raw and len(raw) != len(response.outputs):
        raise InferError(f"the answer has {len(raw)} raw contents for {len(response.outputs)} outputs")
    outputs: list[Plain] = [
        _output_to_json(tensor, raw[index] if raw else None) for index, tensor in enumerate(response.outputs)
    ]
    version: dict[str, Plain] = {"model_version": response.model_version} if response.model_version else {}
    return {"model_name": response.model_name, **version, "id": response.id, "outputs": outputs}


def _output_to_json(tensor: ProtoTensor, raw: bytes | None) -> Plain:
    shape: list[Plain] = list(tensor.shape)
    fields: dict[str, Plain] = {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}
    try:
        data, content_type = _read_contents(tensor) if raw is None else unpack(tensor.datatype, raw)
    except RawError:
        # JSON has no infinity; the raw bytes have.
        fields["data"] = [base64.b64encode(raw or b"").decode()]
        fields["parameters"] = {"encoding": "base64"}
        return fields
    if content_type is not None:
        fields["parameters"] = {"content_type": content_type}
    fields["data"] = data
    return fields


def _read_contents(tensor: ProtoTensor) -> tuple[list[Plain], str | None]:
    if tensor.datatype == "BYTES":
        return from_bytes(list(cast("list[bytes]", getattr(tensor.contents, "bytes_contents"))))  # noqa: B009
    for kind in _CONTENTS:
        if values := list(cast("list[Plain]", getattr(tensor.contents, f"{kind}_contents"))):
            return values, None
    return [], None
