"""The messages of the Open Inference Protocol's gRPC service, in a descriptor pool of their own.

Every V2 library registers these names in protobuf's default pool, and two that differ cannot share a process.
"""

from collections.abc import Iterator, Mapping, MutableSequence
from typing import Final, Protocol, Self, TypeVar, cast

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

PACKAGE: Final = "inference"
SERVICE: Final = f"{PACKAGE}.GRPCInferenceService"

STREAMING: Final = frozenset({"ModelStreamInfer"})
METHODS: Final = STREAMING | {
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
}
"""The methods of the protocol's service with Triton's extensions, which is what the executor was built with."""

Item = TypeVar("Item", covariant=True)


class Readable(Protocol):
    """Any message."""

    @classmethod
    def FromString(cls, s: bytes, /) -> Self:  # noqa: N802
        """Read a message."""
        ...

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Write the message."""
        ...

    def ByteSize(self) -> int:  # noqa: N802
        """Return how many bytes it is written in."""
        ...

    def ClearField(self, field_name: str, /) -> None:  # noqa: N802
        """Take a field away."""
        ...


class Repeated(Protocol[Item]):
    """A repeated field whose items are messages."""

    def add(self) -> Item:
        """Append an empty message."""
        ...

    def __iter__(self) -> Iterator[Item]: ...
    def __len__(self) -> int: ...


class Parameter(Protocol):
    """`InferParameter`: one of several kinds of value."""

    bool_param: bool
    int64_param: int
    string_param: str
    double_param: float
    uint64_param: int

    def WhichOneof(self, oneof_group: str, /) -> str | None:  # noqa: N802
        """Return the field that is set."""
        ...


class Tensor(Protocol):
    """An input or output tensor."""

    name: str
    datatype: str
    shape: MutableSequence[int]
    parameters: Mapping[str, Parameter]
    contents: object


class RequestedOutput(Protocol):
    """An output that a client asks for."""

    name: str
    parameters: Mapping[str, Parameter]


class Named(Readable, Protocol):
    """`ModelReadyRequest` and `ModelMetadataRequest`."""

    name: str
    version: str


class InferRequest(Readable, Protocol):
    """`ModelInferRequest`."""

    model_name: str
    model_version: str
    id: str
    parameters: Mapping[str, Parameter]
    inputs: Repeated[Tensor]
    outputs: Repeated[RequestedOutput]
    raw_input_contents: MutableSequence[bytes]


class InferResponse(Readable, Protocol):
    """`ModelInferResponse`."""

    model_name: str
    model_version: str
    id: str
    parameters: Mapping[str, Parameter]
    outputs: Repeated[Tensor]
    raw_output_contents: MutableSequence[bytes]


class Indexed(Protocol):
    """`RepositoryIndexResponse.ModelIndex`."""

    name: str
    version: str
    state: str
    reason: str


class Index(Readable, Protocol):
    """`RepositoryIndexResponse`."""

    models: Repeated[Indexed]


class Live(Readable, Protocol):
    """`ServerLiveResponse`."""

    live: bool


class Ready(Readable, Protocol):
    """`ServerReadyResponse` and `ModelReadyResponse`."""

    ready: bool


class ServerFacts(Readable, Protocol):
    """`ServerMetadataResponse`."""

    name: str
    version: str
    extensions: MutableSequence[str]


class ModelFacts(Readable, Protocol):
    """`ModelMetadataResponse`."""

    name: str
    versions: MutableSequence[str]
    platform: str
    inputs: Repeated[Tensor]
    outputs: Repeated[Tensor]


# A field is `name: type`, numbered in order; `*` repeats it, `{}` makes it a map of parameters.
_PARAMETERS: Final = "parameters:{}"
_FIELDS: Final[Mapping[str, str]] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:bool",
    "ModelReadyRequest": "name:string version:string",
    "ModelReadyResponse": "ready:bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name:string version:string extensions:string*",
    "ModelMetadataRequest": "name:string version:string",
    "ModelMetadataResponse.TensorMetadata": "name:string datatype:string shape:int64*",
    "ModelMetadataResponse": "name:string versions:string* platform:string"
    " inputs:ModelMetadataResponse.TensorMetadata* outputs:ModelMetadataResponse.TensorMetadata*",
    "InferParameter": "bool_param:bool int64_param:int64 string_param:string double_param:double"
    " uint64_param:uint64",
    "InferTensorContents": "bool_contents:bool* int_contents:int32* int64_contents:int64*"
    " uint_contents:uint32* uint64_contents:uint64* fp32_contents:float* fp64_contents:double*"
    " bytes_contents:bytes*",
    "RepositoryIndexRequest": "repository_name:string ready:bool",
    "RepositoryIndexResponse.ModelIndex": "name:string version:string state:string reason:string",
    "RepositoryIndexResponse": "models:RepositoryIndexResponse.ModelIndex*",
    "ModelInferRequest.InferInputTensor": f"name:string datatype:string shape:int64* {_PARAMETERS}"
    " contents:InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": f"name:string {_PARAMETERS}",
    "ModelInferRequest": f"model_name:string model_version:string id:string {_PARAMETERS}"
    " inputs:ModelInferRequest.InferInputTensor* outputs:ModelInferRequest.InferRequestedOutputTensor*"
    " raw_input_contents:bytes*",
    "ModelInferResponse.InferOutputTensor": f"name:string datatype:string shape:int64* {_PARAMETERS}"
    " contents:InferTensorContents",
    "ModelInferResponse": f"model_name:string model_version:string id:string {_PARAMETERS}"
    " outputs:ModelInferResponse.InferOutputTensor* raw_output_contents:bytes*",
}


def _scalar(name: str) -> FieldDescriptorProto.Type.ValueType | None:
    names = FieldDescriptorProto.Type.keys()
    wanted = f"TYPE_{name.upper()}"
    return FieldDescriptorProto.Type.Value(wanted) if wanted in names else None


def _add_map(message: DescriptorProto, full_name: str) -> str:
    entry = message.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    entry.field.add(name="key", number=1, label=optional, type=FieldDescriptorProto.TYPE_STRING)
    value = entry.field.add(name="value", number=2, label=optional, type=FieldDescriptorProto.TYPE_MESSAGE)
    value.type_name = f".{PACKAGE}.InferParameter"
    return f"{full_name}.ParametersEntry"


def _add_field(message: DescriptorProto, full_name: str, number: int, text: str) -> None:
    name, _, kind = text.partition(":")
    repeated = kind.endswith("*") or kind == "{}"
    field = message.field.add(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    kind = _add_map(message, full_name) if kind == "{}" else kind.removesuffix("*")
    scalar = _scalar(kind)
    field.type = FieldDescriptorProto.TYPE_MESSAGE if scalar is None else scalar
    if scalar is None:
        field.type_name = f".{PACKAGE}.{kind}"
    if full_name == "InferParameter":
        field.oneof_index = 0


def _build_pool() -> DescriptorPool:
    file = FileDescriptorProto(name="graphc/inference.proto", package=PACKAGE, syntax="proto3")
    messages: dict[str, DescriptorProto] = {}
    for full_name in sorted(_FIELDS, key=lambda name: name.count(".")):
        outer, _, name = full_name.rpartition(".")
        siblings = messages[outer].nested_type if outer else file.message_type
        messages[full_name] = siblings.add(name=name)
    messages["InferParameter"].oneof_decl.add(name="parameter_choice")
    for full_name, fields in _FIELDS.items():
        for number, text in enumerate(fields.split(), 1):
            _add_field(messages[full_name], full_name, number, text)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL: Final = _build_pool()


class UnreadableError(ValueError):
    """Bytes are no message of the protocol."""


def read_message(name: str, data: bytes) -> Readable:
    """Read a message of the protocol; raises UnreadableError."""
    try:
        return message_class(name).FromString(data)
    except DecodeError:
        raise UnreadableError("the bytes are no message of the protocol") from None


def message_class(name: str) -> type[Readable]:
    """Return the class of a message of the protocol."""
    return cast("type[Readable]", GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")))
