"""Laws that every component keeps, checked for the whole catalog with inputs found from the declarations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from drawn_components import draw_array, find_fits
from graphc_components.catalog import (
    CATALOG,
    ROUTERS,
    Component,
    ComponentError,
    Value,
    infer_outputs,
)
from graphc_components.datatypes import Array, to_datatype
from graphc_components.tensors import TensorType, merge_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal


@dataclass(frozen=True)
class Case:
    inputs: dict[str, Array]
    values: Mapping[str, Value]

    @property
    def rows(self) -> int:
        return next(iter(self.inputs.values())).shape[0]

    def rows_from(self, start: int, stop: int) -> "Case":
        return Case({name: array[start:stop] for name, array in self.inputs.items()}, self.values)


# A random choice has no input to split by rows; it has tests of its own.
EVERY = [each for each in [*CATALOG.values(), *ROUTERS.values()] if each.inputs != ()]
each_component = pytest.mark.parametrize(
    "component", EVERY, ids=[f"{each.role}-{each.name}" for each in EVERY]
)


@st.composite
def drawn(draw: st.DrawFn, component: Component) -> Case:
    fit, rows, tame = (
        draw(st.sampled_from(find_fits(component))),
        draw(st.integers(1, 4)),
        draw(st.booleans()),
    )
    arrays = [
        draw(draw_array(datatype, (rows, *shape), tame=tame))
        for datatype, shape in zip(fit.datatypes, fit.shapes, strict=True)
    ]
    return Case(dict(zip(fit.names, arrays, strict=True)), fit.values)


def answered(component: Component) -> st.SearchStrategy[Case]:
    """Draw cases that the component does not refuse for their values."""
    return drawn(component).filter(lambda case: not is_refused(component, case))


def is_refused(component: Component, case: Case) -> bool:
    try:
        run(component, case)
    except ComponentError:
        return True
    return False


def run(component: Component, case: Case) -> dict[str, Array]:
    answer = component.function(*case.inputs.values(), **case.values)
    results = answer if isinstance(answer, tuple) else (answer,)
    return dict(zip(component.output_names(list(case.inputs)), results, strict=True))


def infer(component: Component, inputs: dict[str, TensorType], case: Case) -> dict[str, TensorType]:
    return infer_outputs(component, inputs, case.values)


@each_component
def test_signature_says_what_the_function_returns(component: Component) -> None:
    @settings(max_examples=40, deadline=None)
    @given(answered(component))
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
def test_signature_holds_for_unknown_sizes(component: Component) -> None:
    @settings(max_examples=20, deadline=None)
    @given(answered(component))
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
def test_rows_do_not_mix(component: Component) -> None:
    @settings(max_examples=25, deadline=None)
    @given(answered(component))
    def check(case: Case) -> None:
        together = run(component, case)
        for row in range(case.rows):
            alone = run(component, case.rows_from(row, row + 1))
            for name, result in alone.items():
                assert_array_equal(together[name][row : row + 1], result, strict=True)

    check()


@each_component
def test_no_rows_give_no_rows(component: Component) -> None:
    @settings(max_examples=10, deadline=None)
    @given(answered(component))
    def check(case: Case) -> None:
        whole, none = run(component, case), run(component, case.rows_from(0, 0))
        for name, result in none.items():
            assert result.shape == (0, *whole[name].shape[1:])
            assert result.dtype == whole[name].dtype

    check()


@each_component
def test_inputs_are_left_alone_and_answers_repeat(component: Component) -> None:
    @settings(max_examples=20, deadline=None)
    @given(answered(component))
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
def test_bytes_stay_bytes(component: Component) -> None:
    @settings(max_examples=20, deadline=None)
    @given(answered(component))
    def check(case: Case) -> None:
        for result in run(component, case).values():
            if to_datatype(result.dtype) == "BYTES":
                assert all(isinstance(element, bytes) for element in result.ravel().tolist())

    check()
