"""Counts the operators of an ONNX model that no GPU computes: onnxruntime has no kernels for them but the CPU's."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from graphc.artefacts.protobuf_wire import Field, Wire
from graphc.artefacts.source import Budget, MalformedError, RefusedError, Source

_ON_CPU: Final = "ai.onnx.ml"
"""The domain of trees, linear models and scalers, as scikit-learn's converters write them."""

_NO_WORK: Final = frozenset(
    {"Cast", "Concat", "Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
)
"""Operators of tensors that only hand on what others computed."""

_MAX_FIELDS: Final = 1_000_000

# Field numbers of onnx.proto3, by message.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE = 1
_FUNCTION_NODE = 7
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11


@dataclass(frozen=True, slots=True)
class Operators:
    """The operators of a model that a GPU may compute, how many that are, and those that it does not, by name."""

    on_gpu: int
    on_cpu: Mapping[str, int]
    works_on_gpu: bool
    """Whether any of those that a GPU may compute does more than hand on."""

    @property
    def count(self) -> int:
        """All of them."""
        return self.on_gpu + sum(self.on_cpu.values())


@cache
def read_operators(path: Path) -> Operators | None:
    """Return what a model consists of; None where its file cannot be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            found = Counter(_walk_model(Wire(Source(file, size), Budget(_MAX_FIELDS)), size))
    except (OSError, MalformedError, RefusedError):
        return None
    on_cpu = {
        f"{domain}.{name}": count for (domain, name), count in sorted(found.items()) if domain == _ON_CPU
    }
    others = {(domain, name): count for (domain, name), count in found.items() if domain != _ON_CPU}
    works = any(domain not in {"", "ai.onnx"} or name not in _NO_WORK for domain, name in others)
    return Operators(sum(others.values()), on_cpu, works)


def _walk_model(wire: Wire, size: int) -> Iterator[tuple[str, str]]:
    for each in wire.fields(0, size):
        if each.number == _MODEL_GRAPH:
            yield from _walk_nodes(wire, each, _GRAPH_NODE)
        elif each.number == _MODEL_FUNCTION:
            yield from _walk_nodes(wire, each, _FUNCTION_NODE)


def _walk_nodes(wire: Wire, message: Field, number: int) -> Iterator[tuple[str, str]]:
    """Yield the domain and name of each node of a graph or function, those of graphs in its attributes included."""
    for node in _only(wire, message, number):
        domain = name = ""
        for each in wire.fields(node.begin, node.end):
            if each.number == _NODE_OPERATOR:
                name = wire.text(each)
            elif each.number == _NODE_DOMAIN:
                domain = wire.text(each)
            elif each.number == _NODE_ATTRIBUTE:
                for value in wire.fields(each.begin, each.end):
                    if value.number in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                        yield from _walk_nodes(wire, value, _GRAPH_NODE)
        yield domain, name


def _only(wire: Wire, message: Field, number: int) -> Iterator[Field]:
    return (each for each in wire.fields(message.begin, message.end) if each.number == number)
