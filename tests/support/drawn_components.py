"""Draws what a component accepts, found from its declaration alone: a new component needs no entry here.

Parameters come from a few values of each kind, and types from a few shapes and all datatypes. The signature picks those
that fit together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from graphc_components.catalog import (
    Component,
    Parameter,
    ParameterKind,
    SignatureError,
    Value,
    check_parameters,
    infer_outputs,
)
from graphc_components.datatypes import Array, to_numpy
from graphc_components.tensors import DATATYPES, NUMERIC, Dim, TensorType
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Shape = tuple[int, ...]

_NUMBERS: Final = (0, 0.5, 0.7, 1, 2.5, -3, 10, 1e30, -1e300, 1e300)
_LISTS: Final = ([1], [0.5, 2], [1, 0, 2], [0.1, 0.2, 0.3], [0, 0, 3, 1], [2, 2, 2])
_DRAWN: Final[Mapping[ParameterKind, Sequence[object]]] = {
    ParameterKind.NUMBER: _NUMBERS,
    ParameterKind.INTEGER: (-2, -1, 1, 2, 3),
    ParameterKind.BOOLEAN: (True, False),
    ParameterKind.STRING: ("", "é"),
    ParameterKind.DATATYPE: DATATYPES,
    ParameterKind.NUMBERS: _LISTS,
    ParameterKind.INTEGERS: ([], [0], [2, 0, 0], [1, 2], [3], [-1], [3, 1], [1, -1], [2, 3]),
    ParameterKind.STRINGS: (["a"], ["", "é"]),
    ParameterKind.LABELS: ([0, 1, 2], [2, 1], [3], [0, 1, 2, 3], ["a", "é", ""]),
    ParameterKind.VALUES: ([0, 1, 7], ["a", "é"], [True, False]),
    ParameterKind.NUMBER_OR_NUMBERS: (*_NUMBERS[1:7], *_LISTS),
    ParameterKind.STRINGS_OR_MAPPING: (
        ["no", "é", "?"],
        {"0": "no", "1": "größer", "3": ""},
        {"true": "yes", "false": "no"},
        {"0": "a", "true": "b"},
    ),
}
"""A few values of each kind of parameter; a declaration's own options take their place."""

_INNER: Final[Sequence[Shape]] = ((), (1,), (2,), (3,), (3, 3), (2, 3), (4, 1))
"""Shapes without their rows."""

_LABELS: Final = (b"", b"a", b"b\x00", "é".encode(), b"true")
_MANY: Final = (1, 2, 3, 4)
"""How many inputs a component gets that takes any number."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Checked parameters and types of inputs that a signature accepts together; the rows are left open."""

    values: Mapping[str, Value]
    names: tuple[str, ...]
    datatypes: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @property
    def is_mixed(self) -> bool:
        """Whether the inputs differ in their datatypes."""
        return len(set(self.datatypes)) > 1

    def types(self, rows: Dim = None) -> tuple[TensorType, ...]:
        """Return the types of the inputs, for a number of rows."""
        pairs = zip(self.datatypes, self.shapes, strict=True)
        return tuple(TensorType(datatype, (rows, *shape)) for datatype, shape in pairs)

    def infer(self, component: Component, rows: Dim = None) -> dict[str, TensorType]:
        """Return the types of the outputs; raises SignatureError."""
        return infer_outputs(component, dict(zip(self.names, self.types(rows), strict=True)), self.values)


@cache
def find_fits(component: Component) -> tuple[Fit, ...]:
    """Return everything from the values above that the component accepts."""
    fits = tuple(_fits(component))
    assert fits, f"nothing that is drawn fits `{component.name}`: draw more in {__name__}"
    return fits


def draw_array(datatype: str, shape: Shape, *, tame: bool) -> st.SearchStrategy[Array]:
    """Draw an array; a tame one holds only what most components take: 0 and 1, as texts too."""
    if datatype == "BYTES":
        return hnp.arrays(np.object_, shape, elements=st.sampled_from((b"0", b"1") if tame else _LABELS))
    return hnp.arrays(to_numpy(datatype), shape, elements=st.integers(0, 1) if tame else None)


def _fits(component: Component) -> Iterator[Fit]:
    for values in _parameters(component):
        for names in _names(component, values):
            for datatypes, shapes in product(_datatypes(len(names)), _shapes(len(names))):
                fit = Fit(values, names, datatypes, shapes)
                if _is_accepted(component, fit):
                    yield fit


def _is_accepted(component: Component, fit: Fit) -> bool:
    try:
        fit.infer(component)
    except SignatureError:
        return False
    return True


def _parameters(component: Component) -> Iterator[dict[str, Value]]:
    names = [each.name for each in component.parameters]
    for drawn in product(*map(_options, component.parameters)):
        given = {name: value for name, value in zip(names, drawn, strict=True) if value is not None}
        checked, problems = check_parameters(component, given)
        if not problems:
            yield checked


def _options(parameter: Parameter) -> Sequence[object]:
    drawn = parameter.options or _DRAWN[parameter.kind]
    # None stands for a parameter that the file leaves out.
    return drawn if parameter.required else (None, *drawn)


def _names(component: Component, values: Mapping[str, Value]) -> Iterator[tuple[str, ...]]:
    if component.inputs is not None:
        yield component.inputs
        return
    weights = values.get("weights")
    counts = [len(weights)] if isinstance(weights, Sequence) else _MANY
    for count in counts:
        # Where a file's names of inputs become those of outputs, positions are no names.
        yield tuple("pq0r"[:count] if component.outputs is None else map(str, range(count)))


def _datatypes(count: int) -> Iterator[tuple[str, ...]]:
    yield from ((each,) * count for each in DATATYPES)
    if count > 1:
        numeric = sorted(NUMERIC)
        yield from (tuple((numeric * 2)[first : first + count]) for first in range(len(numeric)))
        yield ("BYTES", *["BOOL"] * (count - 1))


def _shapes(count: int) -> Iterator[tuple[Shape, ...]]:
    for inner in _INNER:
        yield (inner,) * count
        if count > 1 and inner:
            # The last input is longer, which only some components take.
            yield (*[inner] * (count - 1), (2 * inner[0], *inner[1:]))
