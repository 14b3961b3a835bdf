"""What a unit takes, answers and routes, without a server."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.messages import Message, WireTensor, decode, encode
from graphc_runtimes.region import Region
from graphc_runtimes.unit import NO_CHILD, LoadedUnit

Json = dict[str, object]
BuildRegion = Callable[..., Region]


def _of(arrays: Mapping[str, Array]) -> Message:
    return Message({name: encode(name, array, "base64") for name, array in arrays.items()})


def _values(tensors: list[WireTensor]) -> dict[str, object]:
    return {tensor.name: decode(tensor).tolist() for tensor in tensors}


def test_tensors_pass_through_renamed_and_others_are_left_behind(region: BuildRegion) -> None:
    takes = ["a.out: FP64[batch]"]
    unit = LoadedUnit(region(takes=takes, answers={"a.out": "score: FP64[batch]"}, wire="base64"), {})
    answer = unit.answer(_of({"a.out": np.array([1.0]), "b.out": np.array([2.0])}))
    assert _values(answer) == {"score": [1.0]}
    assert answer[0].parameters == {"encoding": "base64"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "unit `unit`: the request has no tensor `x`"),
        ({"x": np.array([1], np.int64)}, "unit `unit`: tensor `x` is INT64, not FP64"),
        ({"x": np.array([[1.0]])}, r"unit `unit`: tensor `x` has shape \[1, 1\], not \[batch\]"),
        (
            {"x": np.array([1.0]), "y": np.array([[1.0, 2.0], [3.0, 4.0]])},
            r"unit `unit`: tensor `y` has shape \[2, 2\], not \[batch=1, 2\]",
        ),
        ({"x": np.array([1.0]), "xx": np.array([1.0])}, "unit `unit`: the graph has no input `xx`"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(
    region: BuildRegion, arrays: Mapping[str, Array], message: str
) -> None:
    unit = LoadedUnit(region(takes=["x: FP64[batch]", "y: FP64[batch, 2]"], optional=["y"]), {})
    with pytest.raises(RequestError, match=f"^{message}$"):
        unit.answer(_of(arrays))


def test_a_unit_inside_the_graph_ignores_what_it_does_not_take(region: BuildRegion) -> None:
    built = region(
        takes=["a.out: FP64[batch]"], inputs=["x: FP64[batch]"], answers={"a.out": "y: FP64[batch]"}
    )
    message = _of({"a.out": np.array([1.0]), "odd": np.array([2.0])})
    assert _values(LoadedUnit(built, {}).answer(message)) == {"y": [1.0]}


def test_an_answer_that_may_be_absent_is_left_out(region: BuildRegion) -> None:
    answers = {"x": "y: FP64[batch]"}
    built = region(takes=["x: FP64[batch]"], answers=answers, optional=["x"])
    assert LoadedUnit(built, {}).answer(Message({})) == []


def test_an_answer_that_nothing_gave_is_a_failure(region: BuildRegion, node: Callable[..., Json]) -> None:
    given = node(
        "n",
        {"0": "x"},
        {"output": "n.output"},
        kind="component",
        component="mean",
        parameters={},
        when=[["c", 0]],
    )
    takes = ["x: FP64[batch]", "c: INT32[batch]"]
    built = region([given], takes=takes, answers={"n.output": "y: FP64[batch]"})
    message = _of({"x": np.array([1.0]), "c": np.array([1], np.int32)})
    with pytest.raises(RunError, match="unit `unit`: no branch was taken that gives `y`"):
        LoadedUnit(built, {"n": dict}).answer(message)


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("y: FP32[batch]", 1.0, "unit `unit`: tensor `y` is FP64, not FP32"),
        ("y: FP64[batch, 2]", 1.0, r"unit `unit`: tensor `y` has shape \[1\], not \[\?, 2\]"),
        (
            "y: FP64[batch]",
            float("nan"),
            "unit `unit`: tensor `y` holds NaN or Infinity, which JSON cannot carry",
        ),
    ],
)
def test_an_answer_that_is_not_what_the_graph_says_is_a_failure(
    region: BuildRegion, declared: str, value: float, message: str
) -> None:
    unit = LoadedUnit(region(takes=["x: FP64[batch]"], answers={"x": declared}), {})
    with pytest.raises(RunError, match=f"^{message}$"):
        unit.answer(_of({"x": np.array([value])}))


@pytest.mark.parametrize(
    ("route", "choice", "child"),
    [
        ({"choice": "c", "children": {"0": 0, "1": 1, "2": 2}}, [2], 2),
        ({"choice": "c", "children": {"0": 0, "1": 1}}, [], 0),
        ({"choice": "c", "children": {"0": 0, "1": 1}}, None, NO_CHILD),
        ({"choice": "c", "children": {"0": 0, "1": 1, "2": 1}}, [2], 1),
        ({"choice": "c", "children": {"1": 0}}, [0, 1, 0], 0),
        ({"choice": "c", "children": {"0": 0, "2": 0}}, [1, 2, 1], 0),
        ({"choice": "c", "children": {"0": 0, "2": 0}}, [1, 1], NO_CHILD),
        ({"choice": "c", "children": {"1": 0}}, [0, 0], NO_CHILD),
        ({"choice": "c", "children": {"1": 0}}, [], 0),
        ({"choice": "c", "children": {"1": 0}}, None, NO_CHILD),
    ],
)
def test_a_choice_is_told_to_the_executor(
    region: BuildRegion, route: Json, choice: list[int] | None, child: int
) -> None:
    unit = LoadedUnit(region(takes=["c: INT32[batch]"], optional=["c"], route=route), {})
    arrays: dict[str, Array] = {} if choice is None else {"c": np.array(choice, np.int32)}
    assert unit.route(_of(arrays)) == child


def test_a_unit_that_does_not_route_says_so(region: BuildRegion) -> None:
    with pytest.raises(RequestError, match="unit `unit` does not route"):
        LoadedUnit(region(), {}).route(Message({}))
