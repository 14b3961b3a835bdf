"""The messages of V2 over gRPC, as bytes: requests to messages of our own, and arrays to answers.

MLServer's description of them lacks the kinds of parameters that came to the protocol later, which its own classes drop
without a word. These are built from its description, in a pool of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from graphc_components.datatypes import Array, bytes_of, to_numpy
from graphc_components.tensors import CONTENTS

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.lists import convert
from graphc_runtimes.messages import FALLBACKS, Message, WireTensor, to_raw, want
from graphc_runtimes.reading import (
    MOST_TENSORS,
    check_datatype,
    check_id,
    read_raw,
    refuse_tensor,
    twice,
)
from graphc_runtimes.rpc_frame import LEAST, check_frame
from graphc_runtimes.shapes import count_elements, disagree
from graphc_runtimes.shown import show

_LATER: Final = {
    "double_param": (4, FieldDescriptorProto.TYPE_DOUBLE),
    "uint64_param": (5, FieldDescriptorProto.TYPE_UINT64),
}
_PARAMETERS: Final[Sequence[tuple[type, str]]] = (
    (bool, "bool_param"),
    (int, "int64_param"),
    (float, "double_param"),
    (str, "string_param"),
)
_PIECE: Final = 2**15
"""As many numbers are read in a few milliseconds."""
_INT64: Final = range(-(2**63), 2**63)


class Asked:
    """A request whose frame alone has been read."""

    __slots__ = ("_request", "is_raw", "model", "version")

    def __init__(self, request: Any) -> None:
        """Take a ModelInferRequest."""
        self._request = request
        self.model, self.version = cast("str", request.model_name), cast("str", request.model_version)
        self.is_raw = bool(request.raw_input_contents)
        """Whether its tensors came as raw bytes, and those of the answer are to go as such."""

    def read(self, headers: Mapping[str, str]) -> Message:
        """Return what is asked; raises RequestError."""
        request = self._request
        raws: Sequence[bytes] = request.raw_input_contents
        if raws and len(raws) != len(request.inputs):
            raise RequestError(f"the request has {len(raws)} raw contents for {len(request.inputs)} inputs")
        if max(len(request.inputs), len(request.outputs)) > MOST_TENSORS:
            raise RequestError(f"the message has more than {MOST_TENSORS} tensors")
        tensors: dict[str, WireTensor] = {}
        for place, each in enumerate(request.inputs):
            if each.name in tensors:
                raise twice(each.name)
            tensors[each.name] = _read_tensor(each, raws[place] if raws else None)
        parameters = _read_parameters(request.parameters)
        asked = want(parameters, [each.name for each in request.outputs])
        return Message(tensors, check_id(request.id), asked, headers, is_for_arrays=True, is_call=True)


class Messages:
    """Reads requests and writes answers."""

    def __init__(self, described: FileDescriptor) -> None:
        """Take a description of the protocol, to which later kinds of parameters are added."""
        file = FileDescriptorProto()
        described.CopyToProto(file)
        _add_parameters(file)
        pool = DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        self._pool, self._package = pool, file.package
        self._request, self._response = self.kind("ModelInferRequest"), self.kind("ModelInferResponse")

    def kind(self, name: str) -> Any:
        """Return the class of a message of the protocol."""
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{self._package}.{name}"))

    def read(self, raw: bytes) -> Asked:
        """Return a request; raises RequestError."""
        if len(raw) >= LEAST:
            check_frame(raw)
        try:
            return Asked(self._request.FromString(raw))
        except DecodeError:
            raise RequestError("the message is no ModelInferRequest") from None

    def write(
        self,
        model: tuple[str, str],
        identity: str,
        parameters: Mapping[str, object],
        tensors: Sequence[WireTensor],
        *,
        raw: bool,
    ) -> bytes:
        """Return the answer of a model and its version, with tensors that are arrays.

        They go raw where that was asked, or one of them has no other form.
        """
        raw = raw or any(each.datatype not in CONTENTS for each in tensors)
        response = self._response(model_name=model[0], model_version=model[1], id=identity)
        for name, value in parameters.items():
            write_parameter(response.parameters, name, value)
        for tensor in tensors:
            array = tensor.array
            assert array is not None
            output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if raw:
                response.raw_output_contents.append(to_raw(array, tensor.datatype))
            else:
                _write_typed(getattr(output.contents, CONTENTS[tensor.datatype]), array, tensor.datatype)
        return response.SerializeToString()


def _write_typed(field: Any, array: Array, datatype: str) -> None:
    """Write the elements of an array, many in steps between which other threads have their turn."""
    if datatype == "BYTES":
        field.extend(bytes_of(array))
    elif array.size <= _PIECE:
        field.extend(array.ravel().tolist())
    else:
        flat = array.ravel()
        for at in range(0, flat.size, _PIECE):
            field.extend(flat[at : at + _PIECE].tolist())


def _add_parameters(file: FileDescriptorProto) -> None:
    (parameter,) = (each for each in file.message_type if each.name == "InferParameter")
    known = {each.number for each in parameter.field}
    for name, (number, kind) in _LATER.items():
        if number not in known:
            optional = FieldDescriptorProto.LABEL_OPTIONAL
            parameter.field.add(name=name, number=number, label=optional, type=kind, oneof_index=0)


# --- Tensors -----------------------------------------------------------------------------------------


def _read_tensor(tensor: Any, raw: bytes | None) -> WireTensor:
    name, datatype, shape = tensor.name, tensor.datatype, list(tensor.shape)
    check_datatype(name, datatype)
    parameters = _read_parameters(tensor.parameters, name)
    if raw is None:
        return _read_typed(name, datatype, shape, tensor.contents, parameters)
    if tensor.HasField("contents") and tensor.contents.ListFields():
        refuse_tensor(name, "has raw contents, and typed ones too")
    return read_raw(name, datatype, shape, memoryview(raw), parameters)


def _read_typed(
    name: str, datatype: str, shape: list[int], contents: Any, parameters: dict[str, object]
) -> WireTensor:
    """Return a tensor out of the field of its datatype; raises RequestError."""
    # Any datatype may come as the base64 text that our own units send each other over REST.
    field = "bytes_contents" if parameters.get("encoding") == "base64" else CONTENTS.get(datatype)
    values: Sequence[object] = getattr(contents, field) if field else ()
    if len(given := contents.ListFields()) != bool(values):
        others = (described.name for described, _ in given if described.name != field)
        right = f"`{field}`" if field else "raw contents"
        refuse_tensor(name, f"is {datatype} and has `{next(others)}`, where {right} should be")
    if len(values) <= _PIECE or field == "bytes_contents":
        return WireTensor(name, datatype, shape, list(values), parameters)
    try:
        return WireTensor(name, datatype, shape, (), parameters, _convert_all(values, datatype, shape))
    except ArrayError as error:
        refuse_tensor(name, str(error))


def _convert_all(values: Sequence[object], datatype: str, shape: Sequence[int]) -> Array:
    """Return many numbers as an array, in steps between which other threads have their turn; raises ArrayError."""
    if len(values) != count_elements(shape):
        raise disagree(len(values), shape)
    found = np.empty(len(values), to_numpy(datatype))
    for at in range(0, len(values), _PIECE):
        found[at : at + _PIECE] = convert(values[at : at + _PIECE], datatype)
    return found.reshape(shape)


def _read_parameters(given: Any, tensor: str | None = None) -> dict[str, object]:
    """Return the parameters of a tensor, or of the request; raises RequestError."""
    if len(given) > MOST_TENSORS:
        owner = "the request" if tensor is None else f"tensor {show(tensor)}"
        raise RequestError(f"{owner} has more than {MOST_TENSORS} parameters")
    found: dict[str, object] = {}
    for name, each in given.items():
        kind = each.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(each, kind)
    return found


def write_parameter(into: Any, name: str, value: object) -> None:
    """Write a parameter among those of a message."""
    if name == FALLBACKS and isinstance(value, list):
        # gRPC has no lists of names.
        value = ", ".join(cast("list[str]", value))
    kind = next((field for known, field in _PARAMETERS if isinstance(value, known)), None)
    if kind == "int64_param" and value not in _INT64:
        kind = "uint64_param" if 0 < cast("int", value) < 2**64 else None
    # What gRPC has no kind for is left out, as MLServer leaves it out.
    if kind is not None:
        setattr(into[name], kind, value)
