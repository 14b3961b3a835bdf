"""MLServer's request and response types, to and from messages of our own."""

from collections.abc import Mapping, Sequence
from typing import cast

from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.messages import Message, WireTensor, decode, encode, want
from graphc_runtimes.region import RegionOutput, TensorSpec
from graphc_runtimes.serving import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)


def to_message(request: InferenceRequest) -> Message:
    """Return a request as a message; its headers are where MLServer put them."""
    tensors: dict[str, WireTensor] = {}
    for each in request.inputs:
        tensors.setdefault(each.name, _to_wire(each))
    parameters = want(_parameters(request.parameters), [each.name for each in request.outputs or ()])
    headers = request.parameters.headers if request.parameters else None
    return Message(
        tensors, request.id, parameters, {key: str(value) for key, value in (headers or {}).items()}
    )


def to_response(
    model: str, identity: str | None, parameters: Mapping[str, object], tensors: Sequence[WireTensor]
) -> InferenceResponse:
    """Return the response that a model gives under a name."""
    return InferenceResponse(
        model_name=model,
        id=identity,
        parameters=_to_parameters(parameters),
        outputs=[_to_output(tensor) for tensor in tensors],
    )


def to_inputs(arrays: Mapping[str, Array]) -> list[RequestInput]:
    """Return arrays as the inputs of a request to the user's own MLServer model."""
    return [_to_input(encode(name, array, "plain", finite=False)) for name, array in arrays.items()]


def from_outputs(outputs: Sequence[ResponseOutput]) -> dict[str, Array]:
    """Return the arrays that the user's own MLServer model answers with; raises ArrayError."""
    return {each.name: _from_output(each) for each in outputs}


def _from_output(output: ResponseOutput) -> Array:
    try:
        return decode(_to_wire(output))
    except ArrayError as error:
        raise ArrayError(f"gave an output `{output.name}` that {error}") from None


def to_metadata(specs: Sequence[TensorSpec | RegionOutput]) -> list[MetadataTensor]:
    """Return tensors as model metadata has them, where -1 is a size that is not fixed."""
    return [
        MetadataTensor(
            name=spec.name,
            datatype=Datatype(spec.datatype),
            shape=[dim if isinstance(dim, int) else -1 for dim in spec.shape],
        )
        for spec in specs
    ]


def _to_input(tensor: WireTensor) -> RequestInput:
    return RequestInput(
        name=tensor.name,
        datatype=Datatype(tensor.datatype),
        shape=list(tensor.shape),
        data=_to_data(tensor),
        parameters=_to_parameters(tensor.parameters),
    )


def _to_output(tensor: WireTensor) -> ResponseOutput:
    return ResponseOutput(
        name=tensor.name,
        datatype=Datatype(tensor.datatype),
        shape=list(tensor.shape),
        data=_to_data(tensor),
        parameters=_to_parameters(tensor.parameters),
    )


def _to_data(tensor: WireTensor) -> TensorData:
    # Validating would copy every element once more.
    return TensorData.model_construct(root=tensor.data)  # pyright: ignore[reportUnknownMemberType]


def _to_parameters(parameters: Mapping[str, object]) -> Parameters | None:
    return Parameters.model_validate(parameters) if parameters else None


def _to_wire(tensor: RequestInput | ResponseOutput) -> WireTensor:
    # MLServer validates a tensor of REST and not one of gRPC: there the datatype is any text.
    datatype = str(getattr(tensor.datatype, "value", tensor.datatype))
    return WireTensor(tensor.name, datatype, tensor.shape, list(tensor.data), _parameters(tensor.parameters))


def _parameters(parameters: Parameters | None) -> dict[str, object]:
    return cast("dict[str, object]", parameters.model_dump()) if parameters else {}  # pyright: ignore[reportUnknownMemberType]
