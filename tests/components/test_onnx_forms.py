"""What components state as ONNX operators answers as their functions do, the values they refuse included."""

from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
import pytest
from graphc_components.catalog import (
    CATALOG,
    Component,
    ComponentError,
    SignatureError,
    check_parameters,
    infer_outputs,
    load_function,
)
from graphc_components.datatypes import to_datatype, to_numpy
from graphc_components.onnx_forms import OnnxForm, state_in_onnx
from graphc_components.onnx_forms.writer import ELEMENTS
from graphc_components.tensors import DATATYPES, FLOATS, INTEGERS, TensorType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
Array = NDArray[Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
Json = dict[str, Any]

ort.set_default_logger_severity(4)  # pyright: ignore[reportUnknownMemberType]

COMMON: Final = ["FP32", "FP64", "INT64"] * 4
"""Datatypes that are drawn more often."""

FLOAT_VALUES: Final = [0.0, -0.0, 0.5, 1.0, 1.0, 2.0, -3.5, 1e-30, 1e30, np.nan, np.inf, -np.inf]

NUMBERS: Final = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])
LABELS: Final = st.lists(st.text(min_size=0, max_size=3), min_size=1, max_size=4)
AXES: Final = st.sampled_from([-1, 1, 2])

PARAMETERS: Final[Mapping[str, st.SearchStrategy[Json]]] = {
    "mean": st.just({}),
    "weighted-mean": st.fixed_dictionaries({"weights": st.lists(NUMBERS, min_size=3, max_size=3)}),
    "median": st.just({}),
    "min": st.just({}),
    "max": st.just({}),
    "soft-vote": st.fixed_dictionaries({}, optional={"weights": st.lists(NUMBERS, min_size=3, max_size=3)}),
    "hard-vote": st.fixed_dictionaries(
        {},
        optional={"weights": st.lists(st.sampled_from([0.1, 0.2, 0.3, 1.0]), min_size=3, max_size=3)},
    ),
    "stack": st.fixed_dictionaries({"axis": AXES}),
    "concat": st.fixed_dictionaries({"axis": AXES}),
    "scale": st.fixed_dictionaries(
        {},
        optional={
            "mean": st.one_of(NUMBERS, st.lists(NUMBERS, min_size=3, max_size=3)),
            "scale": st.one_of(
                st.sampled_from([1, 0.1, 255]),
                st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=3, max_size=3),
            ),
        },
    ),
    "normalise": st.fixed_dictionaries(
        {"norm": st.sampled_from(["l1", "l2", "max", "minmax"]), "axis": AXES}
    ),
    "softmax": st.fixed_dictionaries({"axis": AXES, "temperature": st.sampled_from([1, 0.5, 10])}),
    "clip": st.fixed_dictionaries(
        {}, optional={"low": st.sampled_from([-1, 0, -1e300]), "high": st.sampled_from([1, 2, 1e300])}
    ),
    "argmax": st.fixed_dictionaries({"axis": AXES}),
    "top-k": st.fixed_dictionaries({"k": st.integers(1, 3)}),
    "threshold": st.fixed_dictionaries(
        {"at": st.sampled_from([0, 0.7, 1, 2.5, -3, 1e30]), "datatype": st.sampled_from(["BOOL", "INT64"])}
    ),
    "select": st.fixed_dictionaries({"columns": st.lists(st.integers(0, 2), min_size=1, max_size=4)}),
    "reshape": st.fixed_dictionaries({"shape": st.sampled_from([[3], [-1], [3, 1], [1, -1], [2, 3], []])}),
    "rename": st.just({}),
    "one-hot": st.fixed_dictionaries(
        {
            "categories": st.sampled_from([[0, 1, 2], [2, 1], [3], [0, 1, 2, 3]]),
            "unknown": st.sampled_from(["error", "ignore"]),
            "datatype": st.sampled_from([each for each in DATATYPES if each != "BYTES"]),
        }
    ),
    "label-map": st.fixed_dictionaries(
        {
            "labels": st.one_of(
                LABELS,
                st.sampled_from([{"0": "a", "1": "größer", "3": ""}, {"true": "yes", "false": "no"}]),
            )
        },
        optional={"default": st.sampled_from(["", "?"])},
    ),
    "cast": st.fixed_dictionaries({"datatype": st.sampled_from(DATATYPES)}),
}


def test_every_component_is_drawn() -> None:
    assert set(PARAMETERS) == set(CATALOG)


def values_of(datatype: str) -> list[Any]:
    if datatype in FLOATS:
        return FLOAT_VALUES
    if datatype == "BOOL":
        return [False, True]
    limits = np.iinfo(str(to_numpy(datatype)))
    return [0, 1, 1, 2, 3, int(limits.min), int(limits.max)]


@st.composite
def drawn_cases(draw: Draw, name: str) -> tuple[list[Array], Json, list[TensorType]]:
    """Draw arrays, parameters, and types that tell all or leave some sizes open."""
    component = CATALOG[name]
    same = draw(st.sampled_from([*(each for each in DATATYPES if each != "BYTES"), *COMMON]))
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    shape = [draw(st.integers(0, 4)), *[3, 3][: rank - 1]]
    count = len(component.inputs) if component.inputs else draw(st.sampled_from([1, 2, 3, 3, 4, 5]))
    mixed = name in {"mean", "weighted-mean", "median", "soft-vote"} and draw(st.booleans())
    arrays: list[Array] = []
    types: list[TensorType] = []
    for _ in range(count):
        datatype = draw(st.sampled_from(sorted(FLOATS | INTEGERS))) if mixed else same
        size = int(np.prod(shape))
        options = values_of(datatype)
        # Some arrays of small values only, which no component refuses.
        options = options[: draw(st.sampled_from([3, len(options)]))]
        flat = draw(st.lists(st.sampled_from(options), min_size=size, max_size=size))
        with np.errstate(over="ignore"):
            arrays.append(np.array(flat, dtype=to_numpy(datatype)).reshape(shape))
        open_rows = draw(st.sampled_from([None, "batch", "batch"]))
        types.append(TensorType(datatype, (open_rows, *shape[1:])))
    return arrays, draw(PARAMETERS[name]), types


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


def function_answers(component: Component, arrays: list[Array], values: Json) -> list[Array] | None:
    try:
        answer = load_function(component)(*arrays, **values)
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


def check(name: str, case: tuple[list[Array], Json, list[TensorType]], seen: Counter[str]) -> None:
    arrays, given_values, types = case
    component = CATALOG[name]
    values, problems = check_parameters(component, given_values)
    names = component.inputs or tuple(str(index) for index in range(len(types)))
    try:
        outputs = infer_outputs(component, dict(zip(names, types, strict=True)), values)
    except SignatureError:
        return
    form = state_in_onnx(component, types, values)
    if problems or form is None:
        return
    want = function_answers(component, arrays, values)
    got = form_answers(form, arrays, types, list(outputs.values()))
    seen["refused" if want is None else "answered"] += 1
    seen[types[0].datatype] += 1
    assert (got is None) == (want is None)
    for pair in zip(got or [], want or [], strict=True):
        assert_same(*cast("tuple[Array, Array]", pair))


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_form_answers_as_the_function(name: str) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=200,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(drawn_cases(name))
    def agree(case: tuple[list[Array], Json, list[TensorType]]) -> None:
        check(name, case, seen)

    agree()
    assert seen["answered"] > 20
    assert seen["INT64"]
    assert seen["FP32"] or name in {"one-hot", "label-map"}


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
