"""The signature of an ONNX model, read without its weights.

The `onnx` package would take a second to import and read the whole file, often gigabytes, to tell a few
names. The signature lies in a handful of fields with fixed numbers (onnx.proto3), so they are picked by
walking the wire format; `onnx` itself is what the tests compare with.
"""

import io
import os
from dataclasses import dataclass, field
from typing import Final

from graphc_components.tensors import Dim

from graphc.artefacts.locations import leaves_folder
from graphc.artefacts.onnx_names import check_names
from graphc.artefacts.onnx_nodes import Met, Operator, walk_function, walk_graph
from graphc.artefacts.onnx_operators import ONNX, check_versions, judge_operators
from graphc.artefacts.onnx_tensors import read_sparse, read_tensor
from graphc.artefacts.onnx_types import LETTERS, find_unrun
from graphc.artefacts.protobuf_wire import Field, Wire, only, signed
from graphc.artefacts.signature import ArtefactFault, ArtefactTensor, Opset, Signature, Skipped, WeightFile
from graphc.artefacts.source import Budget, MalformedError, Source
from graphc.diagnostics.codes.artefacts import UNREADABLE_ARTEFACT, UNSUPPORTED_TENSOR
from graphc.diagnostics.printable import quoted
from graphc.records import record

_MAX_FIELDS: Final = 2_000_000

# Field numbers of onnx.proto3, by message.
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 1, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_FUNCTION_NAME, _FUNCTION_OPSET, _FUNCTION_DOMAIN = 1, 9, 10
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12
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
_ELEMENTS: Final = {datatype: element for element, datatype in _DATATYPES.items()}
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
_NO_ZIPMAP: Final = "convert the model with `zipmap: False`"
_CAST: Final = "convert it to `FP32` within the model, by the operator `Cast`"
_OTHER_TYPES: Final = {
    4: ("it is a sequence, such as scikit-learn's ZipMap gives", _NO_ZIPMAP),
    5: ("it is a map, such as scikit-learn's ZipMap gives", _NO_ZIPMAP),
    7: ("it is of an opaque type", ""),
    8: ("it is a sparse tensor", ""),
    9: ("it is optional, and a V2 tensor is always there", "take the optional out within the model"),
}
_NO_DIMENSIONS: Final = "it has no dimensions, and a V2 tensor has at least one"
_KEEP_ONE: Final = "keep a dimension in the model, as by `keepdims=1` or `Unsqueeze`"


@record
class _Function:
    """A function that a model brings along: its own operator sets, and what it is made of."""

    domain: str
    name: str
    opsets: tuple[Opset, ...]
    operators: tuple[Operator, ...]


@dataclass(slots=True)
class _Found:
    """What the walk has met so far."""

    has_graph: bool = False
    ir_version: int | None = None
    opsets: list[Opset] = field(default_factory=list[Opset])
    inputs: list[ArtefactTensor | Skipped] = field(default_factory=list[ArtefactTensor | Skipped])
    outputs: list[ArtefactTensor | Skipped] = field(default_factory=list[ArtefactTensor | Skipped])
    initializers: dict[str, int] = field(default_factory=dict[str, int])
    """Their element types by name."""
    given: dict[str, int] = field(default_factory=dict[str, int])
    """The element types of inputs, optional ones included."""
    nodes: list[Operator] = field(default_factory=list[Operator])
    files: dict[str, int] = field(default_factory=dict[str, int])
    functions: list[_Function] = field(default_factory=list[_Function])
    operators: dict[tuple[str, str, str], Operator] = field(
        default_factory=dict[tuple[str, str, str], Operator]
    )

    def take(self, wire: Wire, met: Met) -> None:
        """Note an operator or a tensor of the model; raises MalformedError."""
        if isinstance(met, Operator):
            _note(self.operators, met)
            self.nodes.append(met)
            return
        read = read_sparse if met.is_sparse else read_tensor
        tensor = read(wire, met.field)
        if met.is_initializer:
            self.initializers[tensor.name] = tensor.element
        if tensor.file is not None:
            self.files[tensor.file] = max(tensor.least_size, self.files.get(tensor.file, 0))


def _note(operators: dict[tuple[str, str, str], Operator], operator: Operator) -> None:
    # Models have thousands of nodes and few operators.
    operators.setdefault((operator.domain, operator.name, operator.texts.get("locale", "")), operator)


def read_onnx(file: io.BufferedReader, called: str) -> Signature | ArtefactFault:
    """Return the signature of the model in a file; raises MalformedError or RefusedError about its bytes."""
    size = os.fstat(file.fileno()).st_size
    wire = Wire(Source(file, size), Budget(_MAX_FIELDS))
    found = _walk_model(wire, size)
    if not found.has_graph or not found.outputs or not found.ir_version:
        raise MalformedError("it has no graph with outputs")
    required = [each for each in found.inputs if each.name not in found.initializers]
    if refused := next((each for each in required if isinstance(each, Skipped)), None):
        message = f"`{called}` takes {quoted(refused.name)}, which no V2 message can carry: {refused.reason}"
        return ArtefactFault(UNSUPPORTED_TENSOR, message, refused.cure or None)
    if outside := next((each for each in found.files if leaves_folder(each)), None):
        message = f"`{called}` keeps weights in {quoted(outside)}, outside its own folder"
        return ArtefactFault(UNREADABLE_ARTEFACT, message)
    if fault := check_versions(called, found.ir_version, found.opsets):
        return fault
    only_gpu = _judge(called, found)
    if isinstance(only_gpu, ArtefactFault):
        return only_gpu
    known = {*found.initializers, *(each.name for each in found.inputs)}
    check_names(found.nodes, known, [each.name for each in found.outputs])
    return _signature(found, only_gpu)


def _judge(called: str, found: _Found) -> tuple[str, ...] | ArtefactFault:
    """Return the operators that only a GPU may run, or why the runtime image cannot run one."""
    pending = [_Function("", "", tuple(found.opsets), tuple(found.operators.values()))]
    functions = {(each.domain, each.name): each for each in found.functions}
    unseen = dict(functions)
    only_gpu: dict[str, None] = {}
    while pending:
        each = pending.pop()
        judged = judge_operators(called, each.operators, each.opsets, functions.keys())
        if judged.fault is not None:
            return judged.fault
        only_gpu |= dict.fromkeys(judged.only_gpu)
        used = [unseen.pop((other.domain, other.name), None) for other in each.operators]
        pending += [function for function in used if function is not None]
    return tuple(only_gpu) or _judge_types(found)


def _judge_types(found: _Found) -> tuple[str, ...]:
    """Return the operator that no processor runs with the element types that it meets, if there is one."""
    unrun = find_unrun(found.nodes, found.given | found.initializers, found.opsets)
    if unrun is None:
        return ()
    datatypes = [
        _DATATYPES.get(number, "bfloat16") for number, letter in LETTERS.items() if letter in unrun.types
    ]
    name = f"{unrun.operator.domain or ONNX}.{unrun.operator.name}"
    return (f"{name} {'/'.join(datatypes)}",)


def _signature(found: _Found, only_gpu: tuple[str, ...]) -> Signature:
    inputs = [each for each in found.inputs if isinstance(each, ArtefactTensor)]
    return Signature(
        tuple(each for each in inputs if each.name not in found.initializers),
        tuple(each for each in found.outputs if isinstance(each, ArtefactTensor)),
        optional_inputs=tuple(each for each in inputs if each.name in found.initializers),
        skipped=tuple(each for each in found.outputs if isinstance(each, Skipped)),
        weights=tuple(WeightFile(path, size) for path, size in found.files.items()),
        ir_version=found.ir_version,
        opsets=tuple(found.opsets),
        only_gpu=only_gpu,
    )


def _walk_model(wire: Wire, size: int) -> _Found:
    found = _Found()
    for each in wire.fields(0, size):
        if each.number == _MODEL_IR_VERSION:
            found.ir_version = signed(each.value)
        elif each.number == _MODEL_OPSET:
            found.opsets.append(_read_opset(wire, each))
        elif each.number == _MODEL_FUNCTION:
            found.functions.append(_read_function(wire, each, found))
        elif each.number == _MODEL_GRAPH:
            found.has_graph = True
            _walk_graph(wire, each, found)
    return found


def _walk_graph(wire: Wire, graph: Field, found: _Found) -> None:
    for each in wire.fields(graph.begin, graph.end):
        if each.number == _GRAPH_INPUT:
            found.inputs.append(value := _read_value(wire, each))
            if isinstance(value, ArtefactTensor) and value.datatype:
                found.given[value.name] = _ELEMENTS[value.datatype]
        elif each.number == _GRAPH_OUTPUT:
            found.outputs.append(_read_value(wire, each))
    for met in walk_graph(wire, graph):
        found.take(wire, met)


def _read_function(wire: Wire, function: Field, found: _Found) -> _Function:
    domain = name = ""
    opsets: list[Opset] = []
    for each in wire.fields(function.begin, function.end):
        if each.number == _FUNCTION_DOMAIN:
            domain = wire.text(each)
        elif each.number == _FUNCTION_NAME:
            name = wire.text(each)
        elif each.number == _FUNCTION_OPSET:
            opsets.append(_read_opset(wire, each))
    operators: dict[tuple[str, str, str], Operator] = {}
    for met in walk_function(wire, function):
        if isinstance(met, Operator):
            _note(operators, met)
        else:
            found.take(wire, met)
    return _Function(domain, name, tuple(opsets), tuple(operators.values()))


def _read_opset(wire: Wire, opset: Field) -> Opset:
    domain, version = "", 0
    for each in wire.fields(opset.begin, opset.end):
        if each.number == _OPSET_DOMAIN:
            domain = wire.text(each)
        elif each.number == _OPSET_VERSION:
            version = signed(each.value)
    return Opset(domain, version)


def _read_value(wire: Wire, value: Field) -> ArtefactTensor | Skipped:
    name, reason = "", ("it has no type", "")
    tensor: tuple[int, tuple[Dim, ...] | None] | None = None
    for each in wire.fields(value.begin, value.end):
        if each.number == _VALUE_NAME:
            name = wire.text(each)
        elif each.number == _VALUE_TYPE:
            for kind in wire.fields(each.begin, each.end):
                if kind.number == _TYPE_TENSOR:
                    tensor = _read_tensor_type(wire, kind)
                reason = _OTHER_TYPES.get(kind.number, reason)
    return Skipped(name, *reason) if tensor is None else _as_tensor(name, *tensor)


def _as_tensor(name: str, element: int, shape: tuple[Dim, ...] | None) -> ArtefactTensor | Skipped:
    if element not in _DATATYPES:
        known = _OTHER_ELEMENTS.get(element, "of an unknown type")
        return Skipped(name, f"its elements are {known}", _CAST if element in _OTHER_ELEMENTS else "")
    if shape == ():
        return Skipped(name, _NO_DIMENSIONS, _KEEP_ONE)
    return ArtefactTensor(name, _DATATYPES[element], shape)


def _read_tensor_type(wire: Wire, tensor: Field) -> tuple[int, tuple[Dim, ...] | None]:
    element, shape = 0, None
    for each in wire.fields(tensor.begin, tensor.end):
        if each.number == _TENSOR_TYPE_ELEMENT:
            element = each.value
        elif each.number == _TENSOR_TYPE_SHAPE:
            shape = tuple(_read_dim(wire, dim) for dim in only(wire, each, _SHAPE_DIM))
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
