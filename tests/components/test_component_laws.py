"""Laws that every component keeps, checked for the whole catalog."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from graphc_components.catalog import (
    CATALOG,
    ROUTERS,
    Component,
    Role,
    check_parameters,
    infer_outputs,
    load_function,
)
from graphc_components.datatypes import Array, to_datatype, to_numpy
from graphc_components.tensors import DATATYPES, FLOATS, INTEGERS, NUMERIC, TensorType, merge_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal


@dataclass(frozen=True)
class Case:
    inputs: dict[str, Array]
    values: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def rows(self) -> int:
        return next(iter(self.inputs.values())).shape[0]

    def rows_from(self, start: int, stop: int) -> "Case":
        return Case({name: array[start:stop] for name, array in self.inputs.items()}, self.values)


SIZES = st.integers(1, 4)
LABELS = [b"", b"a", b"b\x00", "é".encode(), b"true"]


@st.composite
def shapes(draw: st.DrawFn, least: int = 1, most: int = 3) -> tuple[int, ...]:
    return tuple(draw(st.lists(SIZES, min_size=least, max_size=most)))


def arrays(datatype: str, shape: tuple[int, ...], small: bool = False) -> st.SearchStrategy[Array]:
    if datatype == "BYTES":
        return hnp.arrays(np.object_, shape, elements=st.sampled_from(LABELS))
    if small:
        return hnp.arrays(
            to_numpy(datatype), shape, elements=st.integers(0, 1 if datatype == "BOOL" else 100)
        )
    return hnp.arrays(to_numpy(datatype), shape)


def names(options: frozenset[str] | tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(options))


@st.composite
def alike(
    draw: st.DrawFn, options: frozenset[str] | tuple[str, ...], least: int = 1, mixed: bool = False
) -> Case:
    """Draw inputs of one shape, of one datatype or of any mix."""
    shape, count = draw(shapes(least)), draw(st.integers(1, 4))
    first = draw(names(options))
    chosen = [draw(names(options)) if mixed else first for _ in range(count)]
    return Case({str(index): draw(arrays(each, shape)) for index, each in enumerate(chosen)})


@st.composite
def weighted(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    case = draw(cases)
    weights = draw(st.lists(st.integers(0, 3), min_size=len(case.inputs), max_size=len(case.inputs)))
    return Case(case.inputs, {"weights": weights if sum(weights) else [1] * len(weights)})


@st.composite
def one(draw: st.DrawFn, options: frozenset[str] | tuple[str, ...], least: int = 1) -> Case:
    return Case({"x": draw(arrays(draw(names(options)), draw(shapes(least))))})


@st.composite
def with_axis(draw: st.DrawFn, cases: st.SearchStrategy[Case], more: int = 0) -> Case:
    case = draw(cases)
    rank = next(iter(case.inputs.values())).ndim + more
    axis = draw(st.integers(1, rank - 1))
    return Case(case.inputs, {"axis": draw(st.sampled_from([axis, axis - rank]))})


@st.composite
def concat(draw: st.DrawFn) -> Case:
    case = draw(with_axis(alike(DATATYPES, least=2)))
    axis, first = case.values["axis"], case.inputs["0"]
    assert isinstance(axis, int)
    doubled = np.concatenate([first, first], axis=axis)
    return Case(case.inputs | {"last": doubled}, case.values)


@st.composite
def scale(draw: st.DrawFn) -> Case:
    case = draw(one(NUMERIC, least=2))
    size = case.inputs["x"].shape[-1]
    means: st.SearchStrategy[object] = st.integers(-3, 3)
    scales: st.SearchStrategy[object] = st.sampled_from([0.5, 2, -3])
    lists = [st.lists(each, min_size=size, max_size=size) for each in (means, scales)]
    return Case(case.inputs, {"mean": draw(means | lists[0]), "scale": draw(scales | lists[1])})


@st.composite
def normalise(draw: st.DrawFn) -> Case:
    case = draw(with_axis(one(NUMERIC, least=2)))
    return Case(case.inputs, case.values | {"norm": draw(st.sampled_from(["l1", "l2", "max", "minmax"]))})


@st.composite
def clip(draw: st.DrawFn) -> Case:
    case = draw(one(NUMERIC))
    bounds = {"low": draw(st.integers(-5, 5)), "high": draw(st.integers(5, 300))}
    chosen = draw(st.sampled_from([("low",), ("high",), ("low", "high")]))
    return Case(case.inputs, {name: min(bounds[name], 127) for name in chosen})


@st.composite
def one_hot(draw: st.DrawFn) -> Case:
    datatype = draw(names(INTEGERS | {"BYTES"}))
    x = draw(arrays(datatype, draw(shapes())))
    known: list[object] = ["a", "é", ""] if datatype == "BYTES" else [3, 0, 1]
    out = draw(names(NUMERIC | {"BOOL"}))
    return Case({"x": x}, {"categories": known, "unknown": "ignore", "datatype": out})


@st.composite
def label_map(draw: st.DrawFn) -> Case:
    datatype = draw(names(INTEGERS | {"BYTES", "BOOL"}))
    x = draw(arrays(datatype, draw(shapes())))
    mapping = {"0": "no", "1": "é"} if datatype in INTEGERS else {"true": "yes"}
    as_list = datatype in INTEGERS and draw(st.booleans())
    return Case({"x": x}, {"labels": list(mapping.values()) if as_list else mapping, "default": "other"})


@st.composite
def cast(draw: st.DrawFn) -> Case:
    source, target = draw(names(DATATYPES)), draw(names(DATATYPES))
    shape = draw(shapes())
    if source == "BYTES":
        x = draw(hnp.arrays(np.object_, shape, elements=st.sampled_from([b"0", b"1"])))
    else:
        x = draw(arrays(source, shape, small=True))
    return Case({"x": x}, {"datatype": target})


@st.composite
def select(draw: st.DrawFn) -> Case:
    case = draw(one(DATATYPES, least=2))
    last = case.inputs["x"].shape[-1] - 1
    return Case(case.inputs, {"columns": draw(st.lists(st.integers(0, last), min_size=1, max_size=4))})


@st.composite
def reshape(draw: st.DrawFn) -> Case:
    case = draw(one(DATATYPES))
    inner = case.inputs["x"].shape[1:]
    squeezed: list[list[int]] = [[]] if all(size == 1 for size in inner) else []
    options = [[-1], [1, *inner], [*reversed(inner), 1], [-1, *inner[1:]], *squeezed]
    return Case(case.inputs, {"shape": draw(st.sampled_from(options))})


@st.composite
def rename(draw: st.DrawFn) -> Case:
    rows = draw(SIZES)
    called = draw(st.lists(st.sampled_from(["p", "q", "0"]), min_size=1, unique=True))
    inner = [draw(shapes(0, 2)) for _ in called]
    chosen = [draw(names(DATATYPES)) for _ in called]
    drawn = [draw(arrays(*each)) for each in zip(chosen, [(rows, *each) for each in inner], strict=True)]
    return Case(dict(zip(called, drawn, strict=True)))


@st.composite
def top_k(draw: st.DrawFn) -> Case:
    case = draw(one(NUMERIC, least=2))
    return Case(case.inputs, {"k": draw(st.integers(1, case.inputs["x"].shape[-1]))})


@st.composite
def threshold(draw: st.DrawFn) -> Case:
    case = draw(one(NUMERIC))
    at = draw(st.floats(allow_nan=False, allow_infinity=False))
    return Case(case.inputs, {"at": at, "datatype": draw(st.sampled_from(["BOOL", "INT64"]))})


@st.composite
def value(draw: st.DrawFn, options: frozenset[str] | tuple[str, ...]) -> Case:
    rows, tail = draw(SIZES), draw(st.sampled_from([(), (1,)]))
    return Case({"value": draw(arrays(draw(names(options)), (rows, *tail)))})


@st.composite
def below(draw: st.DrawFn) -> Case:
    limits = draw(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=3, unique=True))
    return Case(draw(value(NUMERIC)).inputs, {"below": sorted(limits)})


@st.composite
def equals(draw: st.DrawFn) -> Case:
    case = draw(value(DATATYPES))
    datatype = to_datatype(case.inputs["value"].dtype)
    members: dict[str, list[object]] = {"BYTES": ["a", "é"], "BOOL": [True, False]}
    return Case(case.inputs, {"equals": members.get(datatype, [0, 1, 7])})


@st.composite
def confidence(draw: st.DrawFn) -> Case:
    x = draw(arrays(draw(names(FLOATS)), draw(shapes(1, 2))))
    return Case({"value": x}, {"until": draw(st.floats(0, 1))})


@st.composite
def tempered(draw: st.DrawFn) -> Case:
    case = draw(with_axis(one(NUMERIC, least=2)))
    return Case(case.inputs, case.values | {"temperature": draw(st.sampled_from([0.5, 1, 20]))})


CASES: Mapping[str, st.SearchStrategy[Case]] = {
    "argmax": with_axis(one(NUMERIC, least=2)),
    "cast": cast(),
    "clip": clip(),
    "concat": concat(),
    "hard-vote": alike(DATATYPES) | weighted(alike(DATATYPES)),
    "label-map": label_map(),
    "max": alike(NUMERIC),
    "mean": alike(NUMERIC, mixed=True),
    "median": alike(NUMERIC, mixed=True),
    "min": alike(NUMERIC),
    "normalise": normalise(),
    "one-hot": one_hot(),
    "rename": rename(),
    "reshape": reshape(),
    "scale": scale(),
    "select": select(),
    "soft-vote": alike(NUMERIC, least=2, mixed=True) | weighted(alike(FLOATS, least=2)),
    "softmax": tempered(),
    "stack": with_axis(alike(DATATYPES), more=1),
    "threshold": threshold(),
    "top-k": top_k(),
    "weighted-mean": weighted(alike(NUMERIC, mixed=True)),
}
ROUTER_CASES: Mapping[str, st.SearchStrategy[Case]] = {
    "confidence": confidence(),
    "equals": equals(),
    "threshold": below(),
}
EVERY = [(CATALOG[name], cases) for name, cases in CASES.items()] + [
    (ROUTERS[name], cases) for name, cases in ROUTER_CASES.items()
]
each_component = pytest.mark.parametrize(
    ("component", "cases"), EVERY, ids=[f"{each.role}-{each.name}" for each, _ in EVERY]
)


def run(component: Component, case: Case) -> dict[str, Array]:
    checked, problems = check_parameters(component, case.values)
    assert problems == []
    answer = load_function(component)(*case.inputs.values(), **checked)
    results = answer if isinstance(answer, tuple) else (answer,)
    return dict(zip(component.output_names(list(case.inputs)), results, strict=True))


def infer(component: Component, inputs: dict[str, TensorType], case: Case) -> dict[str, TensorType]:
    checked, _ = check_parameters(component, case.values)
    return infer_outputs(component, inputs, checked)


def test_no_component_is_left_out() -> None:
    assert set(CASES) == set(CATALOG)
    # A random choice has no input to split by rows; it has tests of its own.
    assert set(ROUTER_CASES) == set(ROUTERS) - {"random"}
    assert {component.role for component in CATALOG.values()} == {Role.COMBINER, Role.TRANSFORMER}
    assert {component.role for component in ROUTERS.values()} == {Role.ROUTER}


@each_component
def test_signature_says_what_the_function_returns(
    component: Component, cases: st.SearchStrategy[Case]
) -> None:
    @settings(max_examples=40, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        types = {
            name: TensorType(to_datatype(array.dtype), ("batch", *array.shape[1:]))
            for name, array in case.inputs.items()
        }
        inferred = infer(component, types, case)
        results = run(component, case)
        assert list(inferred) == list(results)
        for name, result in results.items():
            assert inferred[name].datatype == to_datatype(result.dtype)
            assert inferred[name].shape == ("batch", *result.shape[1:])
            assert result.shape[0] == case.rows

    check()


@each_component
def test_signature_holds_for_unknown_sizes(component: Component, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=20, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        types = {
            name: TensorType(to_datatype(array.dtype), (None,) * array.ndim)
            for name, array in case.inputs.items()
        }
        inferred = infer(component, types, case)
        for name, result in run(component, case).items():
            assert inferred[name].datatype == to_datatype(result.dtype)
            assert merge_shapes(inferred[name].shape, result.shape) == result.shape

    check()


@each_component
def test_rows_do_not_mix(component: Component, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        together = run(component, case)
        for row in range(case.rows):
            alone = run(component, case.rows_from(row, row + 1))
            for name, result in alone.items():
                assert_array_equal(together[name][row : row + 1], result, strict=True)

    check()


@each_component
def test_no_rows_give_no_rows(component: Component, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        whole, none = run(component, case), run(component, case.rows_from(0, 0))
        for name, result in none.items():
            assert result.shape == (0, *whole[name].shape[1:])
            assert result.dtype == whole[name].dtype

    check()


@each_component
def test_inputs_are_left_alone_and_answers_repeat(
    component: Component, cases: st.SearchStrategy[Case]
) -> None:
    @settings(max_examples=20, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        before = {name: array.copy() for name, array in case.inputs.items()}
        first = run(component, case)
        for result in first.values():
            assert not any(np.shares_memory(result, array) for array in case.inputs.values())
        for name, array in case.inputs.items():
            assert_array_equal(array, before[name], strict=True)
        for name, result in run(component, case).items():
            assert_array_equal(result, first[name], strict=True)

    check()


@each_component
def test_bytes_stay_bytes(component: Component, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=20, deadline=None)
    @given(cases)
    def check(case: Case) -> None:
        for result in run(component, case).values():
            if to_datatype(result.dtype) == "BYTES":
                assert all(isinstance(element, bytes) for element in result.ravel().tolist())

    check()
