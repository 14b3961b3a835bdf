"""Which numbers are at least a limit; NaN is not."""

from __future__ import annotations

import math

from graphc_components.arguments import number, text
from graphc_components.component import Component, Parameter, ParameterKind, Role, Values
from graphc_components.late import datatypes, limits, np, steps
from graphc_components.signatures import require_numeric
from graphc_components.tensors import FLOATS, TensorType, value_range


def threshold(x: datatypes.Numbers, *, at: float, datatype: str = "BOOL") -> datatypes.Array:
    """Tell which numbers are at least `at`, which is rounded to the input's datatype first; NaN is not."""
    return limits.reaches(x, at).astype(datatypes.to_numpy(datatype))


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_numeric(types)
    return {"output": types[0].with_datatype(text(values, "datatype"))}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the comparison with a limit, rounded to the input's datatype as `limits` does."""
    ordered = steps.order(writer)
    if ordered is None:
        return None
    name, datatype = ordered
    limit = number(values, "at")
    if datatype not in FLOATS:
        limit = math.ceil(limit)
        least, greatest = value_range(datatype)
        if not least <= limit <= greatest:
            return None
    with np.errstate(over="ignore"):
        reached = writer.add("GreaterOrEqual", name, writer.number(limit, datatype))
    return [writer.cast(reached, "BOOL", text(values, "datatype"))]


COMPONENT = Component(
    name="threshold",
    role=Role.TRANSFORMER,
    summary="Tells which numbers are at least a limit.",
    signature=_signature,
    function=threshold,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(name="at", kind=ParameterKind.NUMBER, required=True, doc="The least number that counts."),
        Parameter(
            name="datatype",
            kind=ParameterKind.DATATYPE,
            default="BOOL",
            options=("BOOL", "INT64"),
            doc="The datatype of the answer.",
        ),
    ),
)
