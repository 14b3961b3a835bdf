"""A request to try a graph with: made from its inputs' types, ready to be pasted into a shell."""

import json
import math
import shlex
from collections.abc import Mapping
from typing import Final

from graphc_components.tensors import FLOATS, Dim, TensorType

MAX_ELEMENTS: Final = 256
"""Beyond this an example is no longer for pasting."""


def make_example(inputs: Mapping[str, TensorType]) -> dict[str, object] | None:
    """Return a V2 request of one row, or None where the inputs are unknown or too large to be pasted."""
    shapes = {name: [_size(dim) for dim in each.shape] for name, each in inputs.items()}
    if not inputs or sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS:
        return None
    return {
        "inputs": [
            {
                "name": name,
                "shape": shapes[name],
                "datatype": each.datatype,
                "data": _values(each.datatype, math.prod(shapes[name])),
            }
            for name, each in inputs.items()
        ]
    }


def write_curl(url: str, body: Mapping[str, object]) -> str:
    """Return the command that posts a body."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(text)}"


def _size(dim: Dim) -> int:
    # One row, and a size of one for every other open dimension.
    return dim if isinstance(dim, int) else 1


def _values(datatype: str, count: int) -> list[object]:
    if datatype == "BYTES":
        return ["text"] * count
    if datatype == "BOOL":
        return [index % 2 == 0 for index in range(count)]
    if datatype in FLOATS:
        return [round(0.1 * (index % 10 + 1), 1) for index in range(count)]
    return [index % 10 for index in range(count)]
