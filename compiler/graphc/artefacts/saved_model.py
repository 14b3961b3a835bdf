"""The signatures of a TensorFlow SavedModel, read without its graph and its weights.

A `saved_model.pb` may hold a graph of a gigabyte, and TensorFlow takes seconds to import. The signatures are a few
fields with fixed numbers (tensorflow/core/protobuf/saved_model.proto, meta_graph.proto); all others are passed over.
"""

import io
import os
from collections.abc import Iterator, Mapping
from typing import Final

from graphc.artefacts.described import DescribedTensor
from graphc.artefacts.protobuf_wire import Field, Wire, only, signed
from graphc.artefacts.source import Budget, MalformedError, RefusedError, Source
from graphc.records import record

_MOST_FIELDS: Final = 100_000
_MOST_BYTES: Final = 1 << 22
"""Of all signatures of a model together."""
_MOST_DIMS: Final = 64

# Field numbers, by message.
_SAVED_GRAPHS: Final = 2
_GRAPH_INFO, _GRAPH_SIGNATURES = 1, 5
_INFO_TAGS: Final = 4
_KEY, _VALUE = 1, 2
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_DEFAULTS = 1, 2, 4
_TENSOR_TYPE, _TENSOR_SHAPE = 2, 3
_SHAPE_DIM, _SHAPE_UNKNOWN = 2, 3
_DIM_SIZE: Final = 1

_SERVE: Final = "serve"
"""The tag of the graph that TensorFlow Serving takes."""

# tensorflow/core/framework/types.proto
_DATATYPES: Final = {
    1: "FP32", 2: "FP64", 3: "INT32", 4: "UINT8", 5: "INT16", 6: "INT8", 7: "BYTES", 9: "INT64", 10: "BOOL",
    17: "UINT16", 19: "FP16", 22: "UINT32", 23: "UINT64",
}  # fmt: skip


@record
class SavedSignature:
    """The tensors of a signature by their names.

    A datatype that no V2 tensor has is None, and so is a shape of any rank.
    """

    inputs: Mapping[str, DescribedTensor]
    outputs: Mapping[str, DescribedTensor]
    optional: frozenset[str] = frozenset()
    """Inputs that have a default."""


def read_saved_model(file: io.BufferedReader) -> Mapping[str, SavedSignature]:
    """Return the signatures of the graph that is served, by their names; raises MalformedError and RefusedError."""
    size = os.fstat(file.fileno()).st_size
    wire = Wire(Source(file, size), Budget(_MOST_FIELDS))
    has_graph = False
    for graph in only(wire, Field(0, 0, 0, size), _SAVED_GRAPHS):
        has_graph = True
        if _SERVE in _read_tags(wire, graph):
            return _read_signatures(wire, graph)
    if not has_graph:
        raise MalformedError("it is no SavedModel")
    raise MalformedError(f"it has no graph with the tag `{_SERVE}`")


def _read_tags(wire: Wire, graph: Field) -> list[str]:
    return [wire.text(tag) for info in only(wire, graph, _GRAPH_INFO) for tag in only(wire, info, _INFO_TAGS)]


def _read_signatures(wire: Wire, graph: Field) -> Mapping[str, SavedSignature]:
    found: dict[str, SavedSignature] = {}
    left = _MOST_BYTES
    for entry in only(wire, graph, _GRAPH_SIGNATURES):
        left -= entry.end - entry.begin
        if left < 0:
            raise RefusedError("its signatures are too long")
        name, value = _read_entry(wire, entry)
        if value is not None:
            found[name] = SavedSignature(
                dict(_read_tensors(wire, value, _SIGNATURE_INPUTS)),
                dict(_read_tensors(wire, value, _SIGNATURE_OUTPUTS)),
                frozenset(
                    _read_entry(wire, default)[0] for default in only(wire, value, _SIGNATURE_DEFAULTS)
                ),
            )
    return found


def _read_entry(wire: Wire, entry: Field) -> tuple[str, Field | None]:
    """Return the key and the value of an entry of a map, whose last fields count."""
    key, value = "", None
    for each in wire.fields(entry.begin, entry.end):
        if each.number == _KEY:
            key = wire.text(each)
        elif each.number == _VALUE:
            value = each
    return key, value


def _read_tensors(wire: Wire, signature: Field, number: int) -> Iterator[tuple[str, DescribedTensor]]:
    for entry in only(wire, signature, number):
        name, value = _read_entry(wire, entry)
        if value is not None:
            yield name, _read_tensor(wire, value)


def _read_tensor(wire: Wire, info: Field) -> DescribedTensor:
    element, shape = 0, None
    for each in wire.fields(info.begin, info.end):
        if each.number == _TENSOR_TYPE:
            element = each.value
        elif each.number == _TENSOR_SHAPE:
            shape = _read_shape(wire, each)
    return DescribedTensor(_DATATYPES.get(element), shape)


def _read_shape(wire: Wire, shape: Field) -> tuple[int | None, ...] | None:
    sizes: list[int | None] = []
    for each in wire.fields(shape.begin, shape.end):
        if each.number == _SHAPE_UNKNOWN and each.value:
            return None
        if each.number == _SHAPE_DIM:
            size = 0
            for part in only(wire, each, _DIM_SIZE):
                size = signed(part.value)
            sizes.append(size if size >= 0 else None)
        if len(sizes) > _MOST_DIMS:
            raise MalformedError("a tensor in it has too many dimensions")
    return tuple(sizes)
