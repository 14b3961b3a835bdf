"""What a component declares: its parameters, its inputs and outputs, its function and its ONNX form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from graphc_components.tensors import TensorType

if TYPE_CHECKING:
    from graphc_components.datatypes import Array
    from graphc_components.onnx_forms.writer import Writer

Scalar = bool | int | float | str
Value = Scalar | Sequence[Scalar] | Mapping[str, str]
"""A checked parameter: plain data that JSON can carry."""
Values = Mapping[str, Value]
"""Checked parameters by name, defaults included."""


class Role(StrEnum):
    """What a component is for; a router is used by `router:`, the others by `component:`."""

    COMBINER = "combiner"
    TRANSFORMER = "transformer"
    ROUTER = "router"


class ParameterKind(StrEnum):
    """The forms that a parameter's value can have."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"
    DATATYPE = "datatype"
    NUMBERS = "numbers"
    INTEGERS = "integers"
    STRINGS = "strings"
    LABELS = "labels"
    VALUES = "values"
    NUMBER_OR_NUMBERS = "number-or-numbers"
    STRINGS_OR_MAPPING = "strings-or-mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; limits hold for each element of a list."""

    name: str
    kind: ParameterKind
    doc: str
    required: bool = False
    default: Value | None = None
    """Filled in where the file says nothing; None leaves the parameter out."""
    minimum: float | None = None
    above: float | None = None
    """A limit that is itself excluded."""
    options: tuple[str, ...] = ()
    """The texts allowed; none named allows any."""
    unique: bool = False
    empty: bool = False
    """Whether a list may have no elements."""


def axis_parameter(doc: str) -> Parameter:
    """Declare `axis`, which is the last one where the file says nothing."""
    return Parameter(name="axis", kind=ParameterKind.INTEGER, default=-1, doc=doc)


def weights_parameter(*, required: bool = False) -> Parameter:
    """Declare `weights`, one for each input."""
    return Parameter(
        name="weights",
        kind=ParameterKind.NUMBERS,
        minimum=0,
        required=required,
        doc="How much each input counts, in their order.",
    )


class SignatureError(ValueError):
    """Inputs or parameters do not fit; the message reads on after the component's name.

    `input` is the position of the guilty input and `parameter` the name of the guilty parameter, if any.
    """

    def __init__(self, message: str, *, input: int | None = None, parameter: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.input = input
        self.parameter = parameter


class ComponentError(ValueError):
    """The values of a request do not fit a component; the message says why, in a user's words."""


Signature = Callable[[tuple[TensorType, ...], Values], dict[str, TensorType]]
"""Types of the inputs and checked parameters, defaults included, to types of the outputs.

Raises SignatureError. It may rely on the right number of inputs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A pure function of arrays with its signature; no component mixes rows (axis 0), so they can be split.

    `inputs` None takes any number of inputs, at least `minimum`, by position ("0", "1", ... as names).
    `outputs` None gives one output for each input, called as the file calls that input; `signature` then
    answers by position ("0", "1", ...), and `output_names` tells the names.
    """

    name: str
    role: Role
    summary: str
    signature: Signature
    function: "Callable[..., Array | tuple[Array, ...]]"
    """Takes the inputs by position and the parameters by name; raises ComponentError."""
    onnx: "Callable[[Writer, Values], list[str] | None] | None" = None
    """States the function as ONNX operators and returns the names of its outputs; None where types allow no form."""
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[str, ...] | None = None
    minimum: int = 1
    outputs: tuple[str, ...] | None = ("output",)

    def output_names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the outputs, in the order in which the function returns them."""
        return tuple(inputs) if self.outputs is None else self.outputs
