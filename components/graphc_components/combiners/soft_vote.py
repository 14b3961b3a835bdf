"""The average of probabilities, with the class that has the greatest."""

from __future__ import annotations

from collections.abc import Sequence

from graphc_components.arguments import numbers
from graphc_components.component import Component, Role, SignatureError, Values, weights_parameter
from graphc_components.late import datatypes, np, quiet, steps
from graphc_components.signatures import average, float_datatype, require_rank
from graphc_components.tensors import TensorType


@quiet
def soft_vote(
    *tensors: datatypes.Array, weights: Sequence[float] | None = None
) -> tuple[datatypes.Array, datatypes.Array]:
    """Average probabilities and tell which is the greatest along the last axis.

    The first of equals wins; NaN counts as minus infinity.
    """
    weighed = datatypes.weigh(tensors, weights or [1.0] * len(tensors))
    probabilities = weighed.astype(datatypes.float_dtype(tensors))
    ranked = np.where(np.isnan(probabilities), -np.inf, probabilities)
    return probabilities, ranked.argmax(axis=-1).astype(np.int64)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_rank(types, 2)
    probabilities = average(types, values)["output"]
    classes = probabilities.shape[-1]
    if classes == 0:
        raise SignatureError(f"needs at least one class, not `{probabilities}`", input=0)
    return {"probabilities": probabilities, "index": TensorType("INT64", probabilities.shape[:-1])}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    weights = numbers(values, "weights") if "weights" in values else [1.0] * len(writer.inputs)
    mean = steps.average(writer, weights)
    classes = writer.types[0].shape[-1]
    if mean is None or not isinstance(classes, int) or classes == 0:
        return None
    ranked = steps.rank(writer, mean, float_datatype(writer.types))
    return [mean, writer.add("ArgMax", ranked, axis=-1, keepdims=0)]


COMPONENT = Component(
    name="soft-vote",
    role=Role.COMBINER,
    summary="Averages probabilities, and tells which class has the greatest.",
    signature=_signature,
    function=soft_vote,
    onnx=_onnx,
    parameters=(weights_parameter(),),
    outputs=("probabilities", "index"),
)
