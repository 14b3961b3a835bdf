"""Numbers brought into a range, in their own datatype."""

from __future__ import annotations

from graphc_components.arguments import number
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Values
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import require_numeric
from graphc_components.tensors import FLOATS, INTEGERS, TensorType, value_range


def clip(x: datatypes.Numbers, *, low: float | None = None, high: float | None = None) -> datatypes.Array:
    """Bring each number into `low` to `high`, in its own datatype; NaN stays NaN."""
    least, greatest = _bound(x, low), _bound(x, high)
    clipped = x if least is None else np.maximum(x, least)
    return (clipped if greatest is None else np.minimum(clipped, greatest)).astype(x.dtype)


def _bound(x: datatypes.Numbers, value: float | None) -> datatypes.Numbers | None:
    if value is None:
        return None
    if datatypes.is_float(x):
        with np.errstate(over="ignore"):
            return np.asarray(value).astype(x.dtype)
    limits = np.iinfo(str(x.dtype))
    # A bound outside of the datatype bounds nothing; the signature refuses one that nothing could satisfy.
    within = min(max(int(value), int(limits.min)), int(limits.max))
    return np.asarray(within, dtype=x.dtype)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_numeric(types)
    bounds = {name: number(values, name) for name in ("low", "high") if name in values}
    if not bounds:
        raise SignatureError("needs `low`, `high` or both")
    if len(bounds) == 2 and bounds["low"] > bounds["high"]:
        raise SignatureError(
            f"has a `low` of {bounds['low']} above its `high` of {bounds['high']}", parameter="low"
        )
    for name, bound in bounds.items():
        _require_bound(types[0].datatype, name, bound)
    return {"output": types[0]}


def _require_bound(datatype: str, name: str, bound: float) -> None:
    least, greatest = value_range(datatype)
    if datatype not in FLOATS and bound != int(bound):
        raise SignatureError(f"has a `{name}` of {bound}, which is not a value of {datatype}", parameter=name)
    if (name == "low" and bound > greatest) or (name == "high" and bound < least):
        raise SignatureError(f"has a `{name}` of {bound}, which no {datatype} satisfies", parameter=name)


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the clipping, by operators that keep NaN."""
    datatype = writer.types[0].datatype
    computed = "INT64" if datatype in INTEGERS - {"INT32", "UINT64"} else datatype
    if computed not in {"FP32", "FP64", "INT32", "INT64"}:
        return None
    result = writer.cast(writer.inputs[0], datatype, computed)
    for name, operator in (("low", "Max"), ("high", "Min")):
        if name in values:
            result = writer.add(
                operator, result, _state_bound(writer, number(values, name), datatype, computed)
            )
    return [writer.cast(result, computed, datatype)]


def _state_bound(writer: steps.Writer, value: float, datatype: str, computed: str) -> str:
    if datatype not in INTEGERS:
        with np.errstate(over="ignore"):
            return writer.number(value, computed)
    least, greatest = value_range(datatype)
    return writer.number(min(max(int(value), int(least)), int(greatest)), computed)


COMPONENT = Component(
    name="clip",
    role=Role.TRANSFORMER,
    summary="Brings each number into a range.",
    signature=_signature,
    function=clip,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(name="low", kind=ParameterKind.NUMBER, doc="The least number let through."),
        Parameter(name="high", kind=ParameterKind.NUMBER, doc="The greatest number let through."),
    ),
)
