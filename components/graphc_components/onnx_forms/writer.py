"""Writes operators down one after another, naming the values between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graphc_components.datatypes import Array
from graphc_components.tensors import TensorType

Attribute = int | float | bytes | tuple[int, ...] | tuple[bytes, ...]

ELEMENTS: Final = {
    "FP32": 1,
    "UINT8": 2,
    "INT8": 3,
    "UINT16": 4,
    "INT16": 5,
    "INT32": 6,
    "INT64": 7,
    "BYTES": 8,
    "BOOL": 9,
    "FP16": 10,
    "FP64": 11,
    "UINT32": 12,
    "UINT64": 13,
}
"""ONNX's number for each datatype (TensorProto.DataType)."""

ML: Final = "ai.onnx.ml"
"""The domain of the operators of classical machine learning."""

# All operators in use have been as they are since these versions; a few say that they need a later one.
_SINCE: Final = 13
_ML_SINCE: Final = 2


@dataclass(frozen=True, slots=True)
class Operator:
    """One ONNX node, its values by name."""

    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    domain: str


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """A component as ONNX nodes in a runnable order; BYTES constants are object arrays of UTF-8 `bytes`."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[str, Array]
    opsets: Mapping[str, int]
    """The oldest version of each operator set that has all operators so."""
    only_cpu: bool
    """Whether it refuses values by reading out of bounds, which a GPU does not notice."""


class Writer:
    """Collects the operators of one form."""

    def __init__(self, types: Sequence[TensorType]) -> None:
        self.types = tuple(types)
        self.inputs = tuple(f"input{index}" for index in range(len(types)))
        self._operators: list[Operator] = []
        self._constants: dict[str, Array] = {}
        self._opsets = {"": _SINCE}
        self._only_cpu = False

    def add(
        self,
        type_: str,
        *inputs: str,
        outputs: int = 1,
        domain: str = "",
        since: int = _SINCE,
        **attributes: Attribute,
    ) -> str:
        """Add an operator and return the name of its last output."""
        number = len(self._operators)
        names = tuple(f"{type_}{number}{'abc'[index] if outputs > 1 else ''}" for index in range(outputs))
        self._operators.append(Operator(type_, inputs, names, attributes, domain))
        self._opsets[domain] = max(self._opsets.get(domain, 0), _ML_SINCE if domain else since)
        return names[-1]

    def first_output(self) -> str:
        """Return the name of the first output of the operator added last."""
        return self._operators[-1].outputs[0]

    def constant(self, array: Array) -> str:
        """Add a constant and return its name."""
        name = f"constant{len(self._constants)}"
        self._constants[name] = array
        return name

    def number(self, value: float, datatype: str = "FP64") -> str:
        """Add a constant of one number and no dimensions."""
        return self.constant(np.asarray(value, dtype=_NUMPY[datatype]))

    def sizes(self, *values: int) -> str:
        """Add a list of whole numbers, as operators take axes and shapes."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def cast(self, value: str, source: str, target: str) -> str:
        """Convert between datatypes, where they differ."""
        return value if source == target else self.add("Cast", value, to=ELEMENTS[target])

    def stack(self, values: Sequence[str], axis: int) -> str:
        """Join values along a new axis, counted from the front; onnxruntime fails where their shapes differ."""
        at = self.sizes(axis)
        return self.add("Concat", *(self.add("Unsqueeze", each, at) for each in values), axis=axis)

    def same_shapes(self, values: Sequence[str]) -> list[str]:
        """Return the values of all inputs, refused in a request that gives them different shapes.

        Operators would broadcast them. Where the types tell that the shapes are the same, nothing is added.
        """
        first = self.types[0].shape
        if len(values) == 1 or (None not in first and all(each.shape == first for each in self.types)):
            return list(values)
        stacked = self.stack(values, 0)
        return [
            self.add("Gather", stacked, self.number(index, "INT64"), axis=0) for index in range(len(values))
        ]

    def refuse_out_of_bounds(self, table: str, indices: str) -> str:
        """Look rows of a table up, failing the request for an index that it does not have."""
        self._only_cpu = True
        return self.add("Gather", table, indices, axis=0)

    def finish(self, results: Sequence[str]) -> OnnxForm:
        """Return the form, whose outputs are values of their own even where nothing is done to an input."""
        outputs = tuple(self.add("Identity", each) if each in self.inputs else each for each in results)
        return OnnxForm(
            self.inputs, outputs, tuple(self._operators), self._constants, self._opsets, self._only_cpu
        )


_NUMPY: Final = {
    "FP32": np.float32,
    "FP64": np.float64,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
}
