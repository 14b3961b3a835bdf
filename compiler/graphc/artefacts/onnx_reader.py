"""The signature of an ONNX model, read without its weights.

The `onnx` package would take a second to import and read the whole file, often gigabytes, to tell a few
names. The signature lies in a handful of fields with fixed numbers (onnx.proto3), so they are picked by
walking the wire format; `onnx` itself is what the tests compare with.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from graphc_components.tensors import Dim

from graphc.artefacts.locations import leaves_folder
from graphc.artefacts.model import ArtefactFault, ArtefactTensor, Opset, Signature, Skipped
from graphc.artefacts.protobuf_wire import Field, Wire, signed
from graphc.artefacts.source import Budget, MalformedError, Source
from graphc.diagnostics.codes.artefacts import UNREADABLE_ARTEFACT, UNSUPPORTED_TENSOR
from graphc.diagnostics.printable import quoted

_MAX_FIELDS: Final = 1_000_000

# Field numbers of onnx.proto3, by message.
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSET = 1, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE_INITIALIZER = 5, 11, 12, 15
_SPARSE_VALUES = 1
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA = 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
_SHAPE_DIM = 1
_DIM_VALUE, _DIM_PARAM = 1, 2

_DATATYPES: Final = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
}
_OTHER_ELEMENTS: Final = {
    0: "no type",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4e2m1",
    24: "float8e8m0",
    25: "uint2",
    26: "int2",
    27: "float6e2m3",
    28: "float6e3m2",
}
_OTHER_TYPES: Final = {
    4: "it is a sequence, such as scikit-learn's ZipMap gives; convert with `zipmap: False`",
    5: "it is a map",
    7: "it is of an opaque type",
    8: "it is a sparse tensor",
    9: "it is optional",
}


@dataclass(slots=True)
class _Found:
    """What the walk has met so far."""

    has_graph: bool = False
    ir_version: int | None = None
    opsets: list[Opset] = field(default_factory=list[Opset])
    inputs: list[ArtefactTensor | Skipped] = field(default_factory=list[ArtefactTensor | Skipped])
    outputs: list[ArtefactTensor | Skipped] = field(default_factory=list[ArtefactTensor | Skipped])
    initializers: set[str] = field(default_factory=set[str])
    files: dict[str, None] = field(default_factory=dict[str, None])


def read_onnx(file: io.BufferedReader, called: str) -> Signature | ArtefactFault:
    """Return the signature of the model in a file; raises MalformedError or RefusedError about its bytes."""
    size = os.fstat(file.fileno()).st_size
    found = _walk_model(Wire(Source(file, size), Budget(_MAX_FIELDS)), size)
    if not found.has_graph or not found.outputs or not found.ir_version:
        raise MalformedError("it has no graph with outputs")
    required = [each for each in found.inputs if each.name not in found.initializers]
    if refused := next((each for each in required if isinstance(each, Skipped)), None):
        message = f"`{called}` takes {quoted(refused.name)}, which no V2 message can carry: {refused.reason}"
        return ArtefactFault(UNSUPPORTED_TENSOR, message)
    if outside := next((each for each in found.files if leaves_folder(each)), None):
        message = f"`{called}` keeps weights in {quoted(outside)}, outside its own folder"
        return ArtefactFault(UNREADABLE_ARTEFACT, message)
    return _signature(found)


def _signature(found: _Found) -> Signature:
    inputs = [each for each in found.inputs if isinstance(each, ArtefactTensor)]
    return Signature(
        tuple(each for each in inputs if each.name not in found.initializers),
        tuple(each for each in found.outputs if isinstance(each, ArtefactTensor)),
        optional_inputs=tuple(each for each in inputs if each.name in found.initializers),
        skipped=tuple(each for each in found.outputs if isinstance(each, Skipped)),
        files=tuple(found.files),
        ir_version=found.ir_version,
        opsets=tuple(found.opsets),
    )


def _walk_model(wire: Wire, size: int) -> _Found:
    found = _Found()
    for each in wire.fields(0, size):
        if each.number == _MODEL_IR_VERSION:
            found.ir_version = signed(each.value)
        elif each.number == _MODEL_OPSET:
            found.opsets.append(_read_opset(wire, each))
        elif each.number == _MODEL_GRAPH:
            found.has_graph = True
            _walk_graph(wire, each, found)
    return found


def _walk_graph(wire: Wire, graph: Field, found: _Found) -> None:
    for each in wire.fields(graph.begin, graph.end):
        if each.number == _GRAPH_INPUT:
            found.inputs.append(_read_value(wire, each))
        elif each.number == _GRAPH_OUTPUT:
            found.outputs.append(_read_value(wire, each))
        elif each.number == _GRAPH_INITIALIZER:
            _walk_initializer(wire, each, found)
        elif each.number == _GRAPH_SPARSE_INITIALIZER:
            for values in _only(wire, each, _SPARSE_VALUES):
                _walk_initializer(wire, values, found)


def _walk_initializer(wire: Wire, tensor: Field, found: _Found) -> None:
    for each in wire.fields(tensor.begin, tensor.end):
        if each.number == _TENSOR_NAME:
            found.initializers.add(wire.text(each))
        elif each.number == _TENSOR_EXTERNAL_DATA and (location := _read_location(wire, each)):
            found.files[location] = None


def _read_location(wire: Wire, entry: Field) -> str | None:
    texts = {each.number: wire.text(each) for each in wire.fields(entry.begin, entry.end)}
    return texts.get(_ENTRY_VALUE) if texts.get(_ENTRY_KEY) == "location" else None


def _read_opset(wire: Wire, opset: Field) -> Opset:
    domain, version = "", 0
    for each in wire.fields(opset.begin, opset.end):
        if each.number == _OPSET_DOMAIN:
            domain = wire.text(each)
        elif each.number == _OPSET_VERSION:
            version = signed(each.value)
    return Opset(domain, version)


def _read_value(wire: Wire, value: Field) -> ArtefactTensor | Skipped:
    name, reason = "", "it has no type"
    tensor: tuple[int, tuple[Dim, ...] | None] | None = None
    for each in wire.fields(value.begin, value.end):
        if each.number == _VALUE_NAME:
            name = wire.text(each)
        elif each.number == _VALUE_TYPE:
            for kind in wire.fields(each.begin, each.end):
                if kind.number == _TYPE_TENSOR:
                    tensor = _read_tensor_type(wire, kind)
                reason = _OTHER_TYPES.get(kind.number, reason)
    if tensor is None:
        return Skipped(name, reason)
    element, shape = tensor
    if element not in _DATATYPES:
        return Skipped(name, f"its elements are {_OTHER_ELEMENTS.get(element, 'of an unknown type')}")
    return ArtefactTensor(name, _DATATYPES[element], shape)


def _read_tensor_type(wire: Wire, tensor: Field) -> tuple[int, tuple[Dim, ...] | None]:
    element, shape = 0, None
    for each in wire.fields(tensor.begin, tensor.end):
        if each.number == _TENSOR_TYPE_ELEMENT:
            element = each.value
        elif each.number == _TENSOR_TYPE_SHAPE:
            shape = tuple(_read_dim(wire, dim) for dim in _only(wire, each, _SHAPE_DIM))
    return element, shape


def _read_dim(wire: Wire, dim: Field) -> Dim:
    size: Dim = None
    for each in wire.fields(dim.begin, dim.end):
        if each.number == _DIM_VALUE:
            size = signed(each.value)
        elif each.number == _DIM_PARAM:
            size = wire.text(each)
    # ONNX Runtime takes negative sizes and empty names for unknown too.
    return None if size == "" or (isinstance(size, int) and size < 0) else size


def _only(wire: Wire, message: Field, number: int) -> Iterator[Field]:
    return (each for each in wire.fields(message.begin, message.end) if each.number == number)
