"""Counts the operators of an ONNX model that no GPU computes: onnxruntime has no kernels for them but the CPU's."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from graphc.artefacts.onnx_nodes import Operator, walk_function, walk_graph
from graphc.artefacts.protobuf_wire import Wire
from graphc.artefacts.source import Budget, MalformedError, RefusedError, Source
from graphc.regular_files import open_regular

_ON_CPU: Final = "ai.onnx.ml"
"""The domain of trees, linear models and scalers, as scikit-learn's converters write them."""

_NO_WORK: Final = frozenset(
    {"Cast", "Concat", "Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
)
"""Operators of tensors that only hand on what others computed."""

_MAX_FIELDS: Final = 1_000_000

# Field numbers of onnx.proto3, by message.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25


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
        with open_regular(path) as file:
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
            met = walk_graph(wire, each)
        elif each.number == _MODEL_FUNCTION:
            met = walk_function(wire, each)
        else:
            continue
        yield from ((found.domain, found.name) for found in met if isinstance(found, Operator))
