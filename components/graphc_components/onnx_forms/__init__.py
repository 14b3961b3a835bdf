"""Components as ONNX operators, in plain data: for those that mean exactly the same, so that models can absorb them.

The operators of a component are stated by the function that has the name of the component's own, in the module of
that name here; a component without such a function has no ONNX form.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

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
    if any(each.datatype == "BYTES" for each in types):
        return None
    state = _find_statement(component)
    if state is None:
        return None
    writer = Writer(types)
    results = state(writer, values)
    return None if results is None else writer.finish(results)


def _find_statement(component: Component) -> Callable[[Writer, Mapping[str, Value]], list[str] | None] | None:
    module, _, name = component.function.partition(":")
    place = f"{__name__}.{module.rpartition('.')[2]}"
    found = getattr(import_module(place), name, None) if find_spec(place) else None
    return cast("Callable[[Writer, Mapping[str, Value]], list[str] | None] | None", found)
