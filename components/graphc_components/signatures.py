"""The rules that signatures share: which datatypes fit, which shapes agree, which axes may be named."""

import math
from collections.abc import Collection, Mapping, Sequence

from graphc_components.arguments import integer, numbers
from graphc_components.component import Scalar, SignatureError, Value, Values
from graphc_components.tensors import (
    FLOATS,
    INTEGERS,
    NUMERIC,
    Dim,
    MergeError,
    TensorType,
    merge_dims,
    merge_shapes,
    value_range,
)


def require_datatype(types: Sequence[TensorType], allowed: Collection[str], wanted: str) -> None:
    """Refuse the first input whose datatype is not allowed."""
    for index, each in enumerate(types):
        if each.datatype not in allowed:
            raise SignatureError(f"needs {wanted}, not `{each}`", input=index)


def require_numeric(types: Sequence[TensorType]) -> None:
    """Refuse the first input that is not of an integer or a float datatype."""
    require_datatype(types, NUMERIC, "a numeric tensor")


def require_rank(types: Sequence[TensorType], rank: int) -> None:
    """Refuse the first input with fewer dimensions."""
    for index, each in enumerate(types):
        if each.rank < rank:
            raise SignatureError(f"needs a tensor of at least {rank} dimensions, not `{each}`", input=index)


def same_datatype(types: Sequence[TensorType]) -> str:
    """Return the datatype that all inputs have."""
    first = types[0]
    for index, each in enumerate(types):
        if each.datatype != first.datatype:
            message = f"needs inputs of one datatype, not `{first}` and `{each}`; `cast` changes a datatype"
            raise SignatureError(message, input=index)
    return first.datatype


def same_shape(types: Sequence[TensorType]) -> tuple[Dim, ...]:
    """Return what the inputs together tell of the shape that they must share."""
    shape = types[0].shape
    for index, each in enumerate(types):
        try:
            shape = merge_shapes(shape, each.shape)
        except MergeError:
            message = f"needs inputs of one shape, not `{types[0].with_shape(shape)}` and `{each}`"
            raise SignatureError(message, input=index) from None
    return shape


def float_datatype(types: Sequence[TensorType]) -> str:
    """Return the widest float datatype among the inputs, FP64 where one of them is of integers."""
    if any(each.datatype not in FLOATS for each in types):
        return "FP64"
    return max((each.datatype for each in types), key=lambda name: int(name[2:]))


def inner_axis(axis: int, rank: int, what: str = "tensor") -> int:
    """Return an axis counted from the front; refuses one that is not there, and axis 0, which is the rows."""
    of = f"a {what} of {rank} dimension{'s' * (rank != 1)}"
    if not -rank <= axis < rank:
        raise SignatureError(f"has no axis {axis} in {of}", parameter="axis")
    if axis % rank == 0:
        raise SignatureError(f"works row by row, and axis {axis} of {of} is its rows", parameter="axis")
    return axis % rank


def require_size(dim: Dim, size: int, parameter: str, type_: TensorType) -> Dim:
    """Return the last dimension, which the length of a parameter must equal."""
    try:
        return merge_dims(dim, size)
    except MergeError:
        message = f"needs as many numbers in `{parameter}` as `{type_}` has columns: {dim}, not {size}"
        raise SignatureError(message, parameter=parameter) from None


def require_weights(values: Mapping[str, Value], count: int | None) -> None:
    """Refuse weights that are not one for each of the inputs, or that have no sum to divide by."""
    if "weights" not in values:
        return
    weights = numbers(values, "weights")
    if count is not None and len(weights) != count:
        message = f"needs as many weights as it has inputs: {count}, not {len(weights)}"
        raise SignatureError(message, parameter="weights")
    if not 0 < sum(weights) < math.inf:
        raise SignatureError("needs weights with a sum above 0", parameter="weights")


def require_members(datatype: str, members: Sequence[Scalar], parameter: str) -> None:
    """Refuse values that a tensor of the datatype cannot hold."""
    for each in members:
        if not _holds(datatype, each):
            shown = str(each).lower() if isinstance(each, bool) else each
            raise SignatureError(
                f"has `{shown}` in `{parameter}`, which is not a value of {datatype}", parameter=parameter
            )


def average(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    """Infer what averages numbers of one shape, by weight or not."""
    require_numeric(types)
    require_weights(values, len(types))
    return {"output": TensorType(float_datatype(types), same_shape(types))}


def same_type(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    """Infer what answers, for inputs of one datatype and shape, with the same."""
    require_weights(values, len(types))
    return {"output": TensorType(same_datatype(types), same_shape(types))}


def same_numbers(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    """Infer what answers, for numbers of one datatype and shape, with the same."""
    require_numeric(types)
    return same_type(types, values)


def along_axis(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    """Infer what computes floats along an axis."""
    require_numeric(types)
    inner_axis(integer(values, "axis"), types[0].rank)
    return {"output": TensorType(float_datatype(types), types[0].shape)}


def row_count(types: Sequence[TensorType]) -> Dim:
    """Return the number of rows of the one input, which has one value for each row."""
    (value,) = types
    if value.rank > 2 or value.shape[1:] not in {(), (1,), (None,)}:
        raise SignatureError(f"needs one value for each row, not `{value}`", input=0)
    return value.shape[0]


def choices_of(rows: Dim) -> dict[str, TensorType]:
    """Return what a router answers for so many rows."""
    return {"choice": TensorType("INT32", (rows,))}


def _holds(datatype: str, value: Scalar) -> bool:
    if isinstance(value, bool | str):
        return datatype == ("BOOL" if isinstance(value, bool) else "BYTES")
    if datatype in INTEGERS and value != int(value):
        return False
    if datatype not in NUMERIC:
        return False
    least, greatest = value_range(datatype)
    return least <= value <= greatest
