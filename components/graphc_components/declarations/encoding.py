"""Declares the transformers between datatypes."""

from collections.abc import Mapping
from typing import Final

from graphc_components.arguments import elements, text
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Value
from graphc_components.signatures import require_datatype, require_members
from graphc_components.tensors import DATATYPES, INTEGERS, TensorType, value_range


def _one_hot(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_datatype(types, INTEGERS | {"BYTES"}, "a tensor of integers or BYTES")
    (x,), categories = types, elements(values, "categories")
    require_members(x.datatype, categories, "categories")
    return {"output": TensorType(text(values, "datatype"), (*x.shape, len(categories)))}


def _label_map(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    (x,), labels = types, values["labels"]
    if isinstance(labels, Mapping):
        require_datatype(types, INTEGERS | {"BYTES", "BOOL"}, "a tensor of integers, BYTES or BOOL")
        for key in labels:
            _require_key(x.datatype, key)
    else:
        require_datatype(types, INTEGERS, "a tensor of integers for a list of labels")
    return {"output": x.with_datatype("BYTES")}


def _require_key(datatype: str, key: str) -> None:
    if datatype == "BYTES" or (datatype == "BOOL" and key in {"true", "false"}):
        return
    if datatype in INTEGERS and _is_integer(key):
        least, greatest = value_range(datatype)
        if least <= int(key) <= greatest:
            return
    raise SignatureError(f"has `{key}` in `labels`, which is not a value of {datatype}", parameter="labels")


def _is_integer(key: str) -> bool:
    digits = key.removeprefix("-")
    # Values are looked up by their text, which has no leading zero.
    return digits.isascii() and digits.isdigit() and key == str(int(key))


def _cast(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    return {"output": types[0].with_datatype(text(values, "datatype"))}


ONE_HOT: Final = Component(
    name="one-hot",
    role=Role.TRANSFORMER,
    summary="Adds an axis with a 1 at the place of the value among the categories.",
    signature=_one_hot,
    function="graphc_components.encoding:one_hot",
    inputs=("x",),
    parameters=(
        Parameter(
            name="categories",
            kind=ParameterKind.LABELS,
            required=True,
            unique=True,
            doc="The values that are known, in the order of the new axis.",
        ),
        Parameter(
            name="unknown",
            kind=ParameterKind.STRING,
            default="error",
            options=("error", "ignore"),
            doc="What a value that is no category does: fails the request, or becomes all zeros.",
        ),
        Parameter(
            name="datatype",
            kind=ParameterKind.DATATYPE,
            default="FP32",
            options=tuple(name for name in DATATYPES if name != "BYTES"),
            doc="The datatype of the zeros and ones.",
        ),
    ),
)
LABEL_MAP: Final = Component(
    name="label-map",
    role=Role.TRANSFORMER,
    summary="Turns positions or values into labels, as BYTES.",
    signature=_label_map,
    function="graphc_components.encoding:label_map",
    inputs=("x",),
    parameters=(
        Parameter(
            name="labels",
            kind=ParameterKind.STRINGS_OR_MAPPING,
            required=True,
            doc="The labels by position from 0, or a mapping from values to labels.",
        ),
        Parameter(
            name="default",
            kind=ParameterKind.STRING,
            doc="The label of a value that has none; without it such a value fails the request.",
        ),
    ),
)
CAST: Final = Component(
    name="cast",
    role=Role.TRANSFORMER,
    summary="Converts to another datatype; a value that it cannot hold fails the request.",
    signature=_cast,
    function="graphc_components.encoding:cast_to",
    inputs=("x",),
    parameters=(
        Parameter(
            name="datatype", kind=ParameterKind.DATATYPE, required=True, doc="The datatype of the answer."
        ),
    ),
)
