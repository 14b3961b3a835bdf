"""The messages of V2 over gRPC, as bytes: requests to messages of our own, and arrays to answers.

MLServer's description of them lacks the kinds of parameters that came to the protocol later, which its own classes drop
without a word. These are built from its description, in a pool of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from graphc_components.datatypes import bytes_of
from graphc_components.tensors import CONTENTS, DATATYPES

from graphc_runtimes.errors import RequestError
from graphc_runtimes.messages import FALLBACKS, Message, WireTensor, to_raw, want
from graphc_runtimes.reading import read_raw

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
_INT64: Final = range(-(2**63), 2**63)


class Asked:
    """A request, of which only the frame has been read."""

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
        tensors: dict[str, WireTensor] = {}
        for place, each in enumerate(request.inputs):
            tensors.setdefault(each.name, _read_tensor(each, raws[place] if raws else None))
        parameters = want(_read_parameters(request.parameters), [each.name for each in request.outputs])
        return Message(tensors, request.id, parameters, headers, is_for_arrays=True)


class Messages:
    """Reads requests and writes answers."""

    def __init__(self, described: FileDescriptor) -> None:
        """Take a description of the protocol, to which later kinds of parameters are added."""
        file = FileDescriptorProto()
        described.CopyToProto(file)
        _add_parameters(file)
        pool = DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        self._request, self._response = (
            cast("Any", GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")))
            for name in ("ModelInferRequest", "ModelInferResponse")
        )

    def read(self, raw: bytes) -> Asked:
        """Return a request; raises RequestError."""
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
            _write_parameter(response.parameters, name, value)
        for tensor in tensors:
            array = tensor.array
            assert array is not None
            output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if raw:
                response.raw_output_contents.append(to_raw(array, tensor.datatype))
            else:
                is_text = tensor.datatype == "BYTES"
                elements = bytes_of(array) if is_text else cast("list[object]", array.ravel().tolist())
                getattr(output.contents, CONTENTS[tensor.datatype]).extend(elements)
        return response.SerializeToString()


def _add_parameters(file: FileDescriptorProto) -> None:
    (parameter,) = (each for each in file.message_type if each.name == "InferParameter")
    known = {each.number for each in parameter.field}
    for name, (number, kind) in _LATER.items():
        if number not in known:
            optional = FieldDescriptorProto.LABEL_OPTIONAL
            parameter.field.add(name=name, number=number, label=optional, type=kind, oneof_index=0)


def _read_tensor(tensor: Any, raw: bytes | None) -> WireTensor:
    parameters, shape = _read_parameters(tensor.parameters), list(tensor.shape)
    # What has a datatype that nobody knows is refused where it is compared with what the unit takes.
    if raw is not None and tensor.datatype in DATATYPES:
        return read_raw(tensor.name, tensor.datatype, shape, memoryview(raw), parameters)
    # Clients differ in which field they use for a datatype; that there is one is enough.
    given = tensor.contents.ListFields()
    return WireTensor(tensor.name, tensor.datatype, shape, list(given[0][1]) if given else [], parameters)


def _read_parameters(given: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, each in given.items():
        kind = each.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(each, kind)
    return found


def _write_parameter(into: Any, name: str, value: object) -> None:
    if name == FALLBACKS and isinstance(value, list):
        # gRPC has no lists of names.
        value = ", ".join(cast("list[str]", value))
    kind = next((field for known, field in _PARAMETERS if isinstance(value, known)), None)
    if kind == "int64_param" and value not in _INT64:
        kind = "uint64_param" if 0 < cast("int", value) < 2**64 else None
    # What gRPC has no kind for is left out, as MLServer leaves it out.
    if kind is not None:
        setattr(into[name], kind, value)
