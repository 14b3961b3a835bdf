"""What components state as ONNX operators answers as their functions do, the values they refuse included."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from itertools import product
from math import prod
from typing import Any, Final, cast

import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
import pytest
from drawn_components import Fit, find_fits
from graphc_components.catalog import (
    CATALOG,
    Component,
    ComponentError,
    infer_outputs,
)
from graphc_components.datatypes import to_datatype, to_numpy
from graphc_components.onnx_forms import OnnxForm, state_in_onnx
from graphc_components.onnx_forms.writer import ELEMENTS
from graphc_components.tensors import FLOATS, TensorType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from steady_draws import steady_draws

state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
Array = NDArray[Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

ort.set_default_logger_severity(4)  # pyright: ignore[reportUnknownMemberType]

FLOAT_VALUES: Final = [0.0, -0.0, 0.5, 1.0, 1.0, 2.0, -3.5, 1e-30, 1e30, np.nan, np.inf, -np.inf]

COMMON: Final = {"FP32": 3, "FP64": 3, "INT64": 3}
"""How many times as often datatypes are drawn that most graphs have."""

STATED: Final = {name: each for name, each in CATALOG.items() if each.onnx is not None}


def test_most_components_have_a_form() -> None:
    assert len(STATED) > len(CATALOG) / 2


@cache
def find_forms(name: str) -> dict[str, list[tuple[Fit, str | None]]]:
    """Return what has a form by its first datatype, with rows that are unknown or called `batch`."""
    component = CATALOG[name]
    found: dict[str, list[tuple[Fit, str | None]]] = {}
    for fit, rows in product(find_fits(component), (None, "batch")):
        if state_in_onnx(component, fit.types(rows), fit.values) is not None:
            found.setdefault(fit.datatypes[0], []).append((fit, rows))
    return found


def values_of(datatype: str) -> list[Any]:
    if datatype in FLOATS:
        return FLOAT_VALUES
    if datatype == "BOOL":
        return [False, True]
    limits = np.iinfo(str(to_numpy(datatype)))
    return [0, 1, 1, 2, 3, int(limits.min), int(limits.max)]


@st.composite
def drawn_cases(draw: Draw, name: str, datatype: str) -> tuple[list[Array], Fit, str | None]:
    """Draw arrays for what has a form, those with values that a component refuses included."""
    fit, open_rows = draw(st.sampled_from(find_forms(name)[datatype]))
    rows = draw(st.integers(0, 4))
    arrays: list[Array] = []
    for datatype, inner in zip(fit.datatypes, fit.shapes, strict=True):
        options = values_of(datatype)
        # Some arrays of small values only, which no component refuses.
        options = options[: draw(st.sampled_from([3, len(options)]))]
        size = rows * prod(inner)
        flat = draw(st.lists(st.sampled_from(options), min_size=size, max_size=size))
        with np.errstate(over="ignore"):
            arrays.append(np.array(flat, dtype=to_numpy(datatype)).reshape(rows, *inner))
    return arrays, fit, open_rows


def session(form: OnnxForm, types: list[TensorType], outputs: list[TensorType]) -> Any:
    def value(name: str, type_: TensorType) -> Any:
        return helper.make_tensor_value_info(name, ELEMENTS[type_.datatype], list(type_.shape))

    make_node: Any = helper.make_node
    nodes = [
        make_node(each.type, each.inputs, each.outputs, domain=each.domain, **each.attributes)
        for each in form.operators
    ]
    constants = [constant(name, array) for name, array in form.constants.items()]
    inputs = [value(*pair) for pair in zip(form.inputs, types, strict=True)]
    made = [value(*pair) for pair in zip(form.outputs, outputs, strict=True)]
    graph = helper.make_graph(nodes, "form", inputs, made, constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in form.opsets.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def constant(name: str, array: Array) -> TensorProto:
    if array.dtype == np.object_:
        make_tensor: Any = helper.make_tensor
        return make_tensor(name, TensorProto.STRING, array.shape, array.ravel().tolist())
    return numpy_helper.from_array(array, name)


def function_answers(
    component: Component, arrays: list[Array], values: Mapping[str, Any]
) -> list[Array] | None:
    try:
        answer = component.function(*arrays, **values)
    except ComponentError:
        return None
    return list(answer) if isinstance(answer, tuple) else [answer]


def form_answers(
    form: OnnxForm, arrays: list[Array], types: list[TensorType], outputs: list[TensorType]
) -> Any:
    loaded = session(form, types, outputs)
    try:
        return loaded.run(None, dict(zip(form.inputs, arrays, strict=True)))
    except (state.InvalidArgument, state.Fail, state.RuntimeException):
        return None


def assert_same(got: Array, want: Array) -> None:
    assert got.shape == want.shape
    if want.dtype == np.object_:
        assert [each.encode() for each in got.ravel().tolist()] == want.ravel().tolist()
        return
    assert to_datatype(got.dtype) == to_datatype(want.dtype)
    if want.dtype.kind == "f":
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=0)
    else:
        np.testing.assert_array_equal(got, want)


def check(name: str, case: tuple[list[Array], Fit, str | None], seen: Counter[str]) -> None:
    arrays, fit, rows = case
    component, types = CATALOG[name], list(fit.types(rows))
    form = state_in_onnx(component, types, fit.values)
    assert form is not None
    want = function_answers(component, arrays, fit.values)
    got = form_answers(form, arrays, types, list(fit.infer(component, rows).values()))
    seen["refused" if want is None else "answered"] += 1
    assert (got is None) == (want is None)
    for pair in zip(got or [], want or [], strict=True):
        assert_same(*cast("tuple[Array, Array]", pair))


@pytest.mark.parametrize("count", [5, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", STATED)
def test_the_form_answers_as_the_function(name: str, count: int) -> None:
    assert "INT64" in find_forms(name)
    seen: Counter[str] = Counter()
    for datatype in find_forms(name):

        @settings(
            max_examples=count * COMMON.get(datatype, 1),
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(drawn_cases(name, datatype))
        def agree(case: tuple[list[Array], Fit, str | None]) -> None:
            check(name, case, seen)

        with steady_draws():
            agree()
    assert seen["answered"] > 20


def test_different_shapes_are_refused_and_not_broadcast() -> None:
    types = [TensorType("FP32", (None, 3)), TensorType("FP32", (None, 3))]
    for name in ("mean", "min", "median", "hard-vote", "soft-vote"):
        form = state_in_onnx(CATALOG[name], types, {})
        assert form is not None
        arrays = [np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)]
        outputs = list(infer_outputs(CATALOG[name], {"0": types[0], "1": types[1]}, {}).values())
        assert form_answers(form, arrays, types, outputs) is None


def test_bytes_from_outside_have_no_form() -> None:
    assert state_in_onnx(CATALOG["rename"], [TensorType("BYTES", ("batch",))], {}) is None


def test_only_looking_up_out_of_bounds_needs_a_cpu() -> None:
    classes = [TensorType("INT64", ("batch",))]
    checked = state_in_onnx(CATALOG["label-map"], classes, {"labels": ["a", "b"]})
    total = state_in_onnx(CATALOG["label-map"], classes, {"labels": ["a", "b"], "default": "?"})
    assert checked is not None
    assert total is not None
    assert checked.only_cpu
    assert not total.only_cpu
