"""The median of tensors, computed in FP64 and rounded once; NaN in an input makes NaN in the answer."""

from __future__ import annotations

from graphc_components.component import Component, Role, Values
from graphc_components.late import datatypes, np, quiet, steps
from graphc_components.signatures import average, float_datatype


@quiet
def median(*tensors: datatypes.Array) -> datatypes.Array:
    """Return the median of the inputs, element by element: the mean of the middle two of an even number."""
    datatypes.require_one_shape(tensors)
    ordered = np.sort(np.stack([datatypes.floats(tensor) for tensor in tensors]), axis=0)
    half, odd = divmod(len(tensors), 2)
    middle = ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2
    # NaN sorts last, so the last one tells whether there is any.
    result = np.where(np.isnan(ordered[-1]), np.nan, middle)
    return result.astype(datatypes.float_dtype(tensors))


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    if steps.rounds_twice(writer):
        return None
    count = len(writer.inputs)
    stacked = writer.stack(steps.in_fp64(writer), writer.types[0].rank)
    writer.add("TopK", stacked, writer.sizes(count), outputs=2, axis=-1, largest=0, sorted=1)
    ordered = writer.first_output()
    middles = [writer.number(index, "INT64") for index in ((count - 1) // 2, count // 2)]
    low, high = (writer.add("Gather", ordered, index, axis=-1) for index in middles)
    middle = low if count % 2 else writer.add("Div", writer.add("Add", low, high), writer.number(2))
    # NaN has no place in the order.
    missing = writer.cast(writer.add("IsNaN", stacked), "BOOL", "FP32")
    found = writer.add("ReduceSum", missing, writer.sizes(-1), keepdims=0)
    is_missing = writer.add("Greater", found, writer.number(0, "FP32"))
    result = writer.add("Where", is_missing, writer.number(np.nan), middle)
    return [writer.cast(result, "FP64", float_datatype(writer.types))]


COMPONENT = Component(
    name="median",
    role=Role.COMBINER,
    summary="Takes the median of its inputs, element by element.",
    signature=average,
    function=median,
    onnx=_onnx,
)
