"""What goes into a graph and comes out: from units that graphc wrote, else from what a unit says itself."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphc_components.tensors import DATATYPES, Dim, TensorType

from graphc.source.located import Plain
from graphc.unchecked import fields, items, objects, text

REGION: Final = "GRAPHC_REGION"
REGION_FILE: Final = "GRAPHC_REGION_FILE"


@dataclass(frozen=True, slots=True)
class Signature:
    """A graph's name with its inputs and outputs; empty where nothing is known of them."""

    name: str
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]

    def to_metadata(self) -> dict[str, Plain]:
        """Return the V2 metadata: a dimension that is not a number is -1."""
        return {
            "name": self.name,
            "platform": "graphc",
            "versions": [],
            "inputs": _write_tensors(self.inputs),
            "outputs": _write_tensors(self.outputs),
        }


def find_signature(environments: Iterable[Mapping[str, str]]) -> Signature | None:
    """Return the signature that graphc put into a unit's environment, if it wrote the units."""
    for env in environments:
        if has_region(env):
            graph = fields(load_region(env), "graph")
            if name := text(graph, "name"):
                return Signature(name, read_tensors(graph.get("inputs")), read_tensors(graph.get("outputs")))
    return None


def has_region(env: Mapping[str, str]) -> bool:
    """Say whether graphc wrote the unit."""
    return REGION in env or REGION_FILE in env


def load_region(env: Mapping[str, str]) -> object:
    """Return the region that a unit is given; None where it cannot be read, as the unit will say."""
    try:
        return json.loads(_read_region(env))
    except (OSError, ValueError, RecursionError, zlib.error):
        return None


def _read_region(env: Mapping[str, str]) -> str | bytes:
    if REGION in env:
        return env[REGION]
    content = Path(env[REGION_FILE]).read_bytes()
    return content if content.startswith(b"{") else zlib.decompress(content)


def read_tensors(value: object) -> dict[str, TensorType]:
    """Read the inputs or outputs of V2 metadata; what is no tensor is left out."""
    found = dict[str, TensorType]()
    for tensor in objects(value):
        datatype = text(tensor, "datatype")
        if datatype in DATATYPES:
            shape = tuple(_read_dim(dim) for dim in items(tensor, "shape"))
            found[text(tensor, "name")] = TensorType(datatype, shape)
    return found


def _read_dim(value: object) -> Dim:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    return value if isinstance(value, str) else None


def _write_tensors(tensors: Mapping[str, TensorType]) -> list[Plain]:
    return [
        {
            "name": name,
            "datatype": tensor.datatype,
            "shape": [dim if isinstance(dim, int) else -1 for dim in tensor.shape],
        }
        for name, tensor in tensors.items()
    ]
