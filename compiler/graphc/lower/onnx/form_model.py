"""Writes a component's ONNX form as a model, so that models are all that there is to join."""

from collections.abc import Callable, Sequence
from typing import Final, cast

import numpy as np
from graphc_components.datatypes import Array, bytes_of
from graphc_components.onnx_forms import OnnxForm, Operator
from graphc_components.onnx_forms.writer import ELEMENTS
from graphc_components.tensors import TensorType
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

# The oldest that has opset 18, which is the latest that a form asks for.
_IR_VERSION: Final = 8

# Their types leave out what they take by other names, and texts.
_make_tensor = cast("Callable[..., TensorProto]", helper.make_tensor)
_make_node = cast("Callable[..., NodeProto]", helper.make_node)


def write_form(form: OnnxForm, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> ModelProto:
    """Return a form as a model."""
    graph = helper.make_graph(
        [_write_operator(each) for each in form.operators],
        "form",
        [describe_value(name, each) for name, each in zip(form.inputs, inputs, strict=True)],
        [describe_value(name, each) for name, each in zip(form.outputs, outputs, strict=True)],
        [_write_constant(name, array) for name, array in form.constants.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(form.opsets.items())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def describe_value(name: str, type_: TensorType) -> ValueInfoProto:
    """Return the declaration of an input or output."""
    return helper.make_tensor_value_info(name, ELEMENTS[type_.datatype], list(type_.shape))


def _write_operator(operator: Operator) -> NodeProto:
    attributes = dict(sorted(operator.attributes.items()))
    name = operator.outputs[0]
    return _make_node(
        operator.type, operator.inputs, operator.outputs, name=name, domain=operator.domain, **attributes
    )


def _write_constant(name: str, array: Array) -> TensorProto:
    if array.dtype == np.object_:
        return _make_tensor(name, TensorProto.STRING, array.shape, bytes_of(array))
    return numpy_helper.from_array(array, name)
