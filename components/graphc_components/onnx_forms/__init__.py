"""Components as ONNX operators, in plain data: for those that mean exactly the same, so that models can absorb them."""

from collections.abc import Mapping, Sequence

from graphc_components.component import Component, Value
from graphc_components.onnx_forms.writer import OnnxForm, Operator, Writer
from graphc_components.tensors import TensorType

__all__ = ["OnnxForm", "Operator", "state_in_onnx"]


def state_in_onnx(
    component: Component, types: Sequence[TensorType], values: Mapping[str, Value]
) -> OnnxForm | None:
    """Return a component's ONNX form for inputs of these types and checked parameters; None where it has none.

    A form answers exactly as the function does, errors included: where a type leaves open what a request may
    bring, and operators would answer it in another way, there is no form. BYTES that come from outside have none
    either, because ONNX has texts and no bytes.
    """
    if component.onnx is None or any(each.datatype == "BYTES" for each in types):
        return None
    writer = Writer(types)
    results = component.onnx(writer, values)
    return None if results is None else writer.finish(results)
