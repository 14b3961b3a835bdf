import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import numpy as np
import pytest
from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, Numbers
from graphc_runtimes.choose import Call
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.execute import Runner, execute
from graphc_runtimes.region import Region
from graphc_runtimes.rows import scatter
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, object]
BuildRegion = Callable[..., Region]
BuildNode = Callable[..., Json]

CALL = Call()


class Recorder:
    """A node that applies a function to its input `x`, and keeps every batch that it was given."""

    def __init__(self, function: Callable[[Numbers], Numbers]) -> None:
        self.function = function
        self.batches: list[list[float]] = []

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        given = cast("Numbers", inputs["x"])
        self.batches.append(cast("list[float]", given.tolist()))
        return {"output": self.function(given)}


def _times(factor: float) -> Recorder:
    return Recorder(lambda x: np.asarray(x * factor))


def _component(node: BuildNode, name: str, read: object, **fields: object) -> Json:
    outputs = {"output": f"{name}.output"}
    return node(name, {"x": read}, outputs, kind="component", component="any", parameters={}, **fields)


def _read(tensor: str, *gather: tuple[str, int]) -> Json:
    return {"tensor": tensor, "gather": [list(each) for each in gather]}


def _threshold(node: BuildNode, name: str, read: object, below: Sequence[float], **fields: object) -> Json:
    parameters = {"below": below, "branches": len(below) + 1}
    outputs = {"choice": f"{name}.choice"}
    return node(
        name,
        {"value": read},
        outputs,
        kind="choice",
        router="threshold",
        parameters=parameters,
        **{"per": "row", **fields},
    )


def _merge(name: str, choice: Json, branches: Sequence[Json], **fields: object) -> Json:
    merged = [{"output": branch} for branch in branches]
    outputs = {"output": f"{name}.output"}
    return {
        "name": name,
        "kind": "merge",
        "per": "row",
        "choice": choice,
        "branches": merged,
        "outputs": outputs,
        "when": [],
        **fields,
    }


@pytest.fixture
def routed(region: BuildRegion, node: BuildNode) -> Region:
    """Rows below 10 go to `low`, the others to `high`."""
    nodes = [
        _threshold(node, "pick", "x", [10.0]),
        _component(node, "low", _read("x", ("pick.choice", 0)), when=[["pick.choice", 0]]),
        _component(node, "high", _read("x", ("pick.choice", 1)), when=[["pick.choice", 1]]),
        _merge("pick", _read("pick.choice"), [_read("low.output"), _read("high.output")]),
    ]
    return region(nodes, takes=["x: FP64[batch]"], answers={"pick.output": "y: FP64[batch]"})


ROWS: Final[list[tuple[list[float], list[list[float]], list[list[float]], list[float]]]] = [
    ([1.0, 20.0, 2.0], [[1.0, 2.0]], [[20.0]], [-1.0, 40.0, -2.0]),
    ([1.0, 2.0], [[1.0, 2.0]], [], [-1.0, -2.0]),
    ([20.0], [], [[20.0]], [40.0]),
    ([1.0], [[1.0]], [], [-1.0]),
    ([], [[]], [[]], []),
]


@pytest.mark.parametrize(("rows", "low", "high", "answer"), ROWS)
def test_a_branch_sees_its_own_rows_and_runs_only_for_them(
    routed: Region, rows: list[float], low: list[list[float]], high: list[list[float]], answer: list[float]
) -> None:
    runners = {"low": _times(-1), "high": _times(2)}
    tensors = execute(routed, runners, {"x": np.array(rows, dtype=np.float64)}, CALL)
    assert tensors["pick.output"].tolist() == answer
    assert runners["low"].batches == low
    assert runners["high"].batches == high


@pytest.fixture
def shared(region: BuildRegion, node: BuildNode) -> Region:
    """Rows below 10 and from 20 on go through `both`; those from 20 on then through `high`, the others nowhere."""
    both = ["pick.choice", [0, 2]]
    nodes = [
        _threshold(node, "pick", "x", [10.0, 20.0]),
        _component(node, "both", {"tensor": "x", "gather": [both]}, when=[both]),
        _component(
            node,
            "high",
            {"tensor": "both.output", "gather": [["pick.choice", 2], both]},
            when=[["pick.choice", 2]],
        ),
        _merge(
            "pick",
            _read("pick.choice"),
            [
                {"tensor": "both.output", "gather": [["pick.choice", 0], both]},
                _read("x", ("pick.choice", 1)),
                _read("high.output"),
            ],
        ),
    ]
    return region(nodes, takes=["x: FP64[batch]"], answers={"pick.output": "y: FP64[batch]"})


SHARED: Final[list[tuple[list[float], list[list[float]], list[list[float]], list[float]]]] = [
    ([1.0, 30.0, 15.0, 2.0], [[1.0, 30.0, 2.0]], [[-30.0]], [-1.0, -60.0, 15.0, -2.0]),
    ([1.0, 15.0], [[1.0]], [], [-1.0, 15.0]),
    ([15.0, 30.0], [[30.0]], [[-30.0]], [15.0, -60.0]),
    ([15.0, 16.0], [], [], [15.0, 16.0]),
    ([30.0], [[30.0]], [[-30.0]], [-60.0]),
    ([], [[]], [[]], []),
]


@pytest.mark.parametrize(("rows", "both", "high", "answer"), SHARED)
def test_what_some_branches_need_sees_the_rows_of_all_of_those(
    shared: Region, rows: list[float], both: list[list[float]], high: list[list[float]], answer: list[float]
) -> None:
    runners = {"both": _times(-1), "high": _times(2)}
    tensors = execute(shared, runners, {"x": np.array(rows, dtype=np.float64)}, CALL)
    assert tensors["pick.output"].tolist() == answer
    assert runners["both"].batches == both
    assert runners["high"].batches == high


def test_rows_that_are_not_those_of_the_choice_are_a_failure(region: BuildRegion, node: BuildNode) -> None:
    nodes = [_component(node, "low", _read("x", ("c", 0)))]
    built = region(nodes, takes=["x: FP64[n]", "c: INT32[m]"], answers={"low.output": "y: FP64[n]"})
    tensors = {"x": np.array([1.0, 2.0]), "c": np.array([0, 0, 1], np.int32)}
    with pytest.raises(RunError, match=r"^node `low` has 2 rows where the choice has 3$"):
        execute(built, {"low": _times(1)}, tensors, CALL)


@pytest.fixture(scope="module")
def nested(region: BuildRegion, node: BuildNode) -> Region:
    """A cascade whose second stage is a cascade: `a` until 0.9, else `b` until 0.9, else `c`."""
    first = [["first.choice", 1]]
    second = [*first, ["second.choice", 1]]

    def confidence(name: str, tensor: str, **fields: object) -> Json:
        parameters = {"until": 0.9, "branches": 2}
        outputs = {"choice": f"{name}.choice"}
        return node(
            name,
            {"value": tensor},
            outputs,
            kind="choice",
            router="confidence",
            per="row",
            parameters=parameters,
            **fields,
        )

    nodes = [
        _component(node, "a", "x"),
        confidence("first", "a.output"),
        _component(node, "b", _read("x", ("first.choice", 1)), when=first),
        confidence("second", "b.output", when=first, among=["first.choice", 1]),
        _component(node, "c", _read("x", ("second.choice", 1)), when=second),
        _merge(
            "inner",
            _read("second.choice", ("first.choice", 1)),
            [_read("b.output", ("second.choice", 0), ("first.choice", 1)), _read("c.output")],
            when=first,
        ),
        _merge(
            "outer", _read("first.choice"), [_read("a.output", ("first.choice", 0)), _read("inner.output")]
        ),
    ]
    return region(nodes, takes=["x: FP64[batch, 1]"], answers={"outer.output": "y: FP64[batch, 1]"})


@given(st.lists(st.floats(-2, 2), max_size=6))
def test_a_nested_cascade_answers_each_row_as_if_it_were_alone(nested: Region, rows: list[float]) -> None:
    functions: dict[str, Callable[[float], float]] = {
        "a": lambda x: x,
        "b": lambda x: x + 0.5,
        "c": lambda x: -x,
    }
    runners = {
        name: Recorder(
            lambda x, function=function: np.asarray([[function(float(row[0]))] for row in x]).reshape(x.shape)
        )
        for name, function in functions.items()
    }
    tensors = execute(nested, runners, {"x": np.array(rows, dtype=np.float64).reshape(-1, 1)}, CALL)
    expected = [row if row >= 0.9 else row + 0.5 if row + 0.5 >= 0.9 else -row for row in rows]
    assert tensors["outer.output"].ravel().tolist() == expected
    if rows:
        assert bool(runners["b"].batches) == any(row < 0.9 for row in rows)
        assert bool(runners["c"].batches) == any(row + 0.5 < 0.9 for row in rows)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_scatter_undoes_what_gather_did(choice: list[int]) -> None:
    rows = np.arange(len(choice) * 2).reshape(-1, 2)
    taken = np.array(choice, dtype=np.int32)
    parts = [rows[taken == branch] for branch in range(4)]
    assert scatter(taken, parts).tolist() == rows.tolist()


def test_a_choice_for_the_whole_request_takes_one_branch_as_it_is(
    region: BuildRegion, node: BuildNode
) -> None:
    nodes = [
        _threshold(node, "pick", "x", [10.0], per="request"),
        _component(node, "low", "x", when=[["pick.choice", 0]]),
        _component(node, "high", "x", when=[["pick.choice", 1]]),
        _merge("pick", _read("pick.choice"), [_read("low.output"), _read("high.output")], per="request"),
    ]
    built = region(nodes, takes=["x: FP64[batch]"], answers={"pick.output": "y: FP64[batch]"})
    runners = {"low": _times(-1), "high": _times(2)}
    tensors = execute(built, runners, {"x": np.array([20.0, 30.0])}, CALL)
    assert tensors["pick.choice"].tolist() == [1]
    assert tensors["pick.output"].tolist() == [40.0, 60.0]
    assert runners["low"].batches == []
    with pytest.raises(RequestError, match="node `pick`: rows disagree"):
        execute(built, runners, {"x": np.array([1.0, 30.0])}, CALL)
    empty = execute(built, runners, {"x": np.array([], dtype=np.float64)}, CALL)
    assert empty["pick.choice"].tolist() == [0]


def test_a_guarded_node_is_absent_where_its_choice_is(region: BuildRegion, node: BuildNode) -> None:
    nodes = [
        _component(node, "low", "x", when=[["c", 0]]),
        _merge("pick", _read("c"), [_read("low.output")]),
    ]
    built = region(nodes, takes=["x: FP64[batch]", "c: INT32[batch]"], optional=["c"])
    assert set(execute(built, {"low": _times(1)}, {"x": np.array([1.0])}, CALL)) == {"x"}


def _misname(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    return {"other": inputs["x"]}


def _raise(error: Exception) -> Runner:
    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        raise error

    return run


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        (
            _raise(ValueError("cannot open /opt/models/a.onnx\nat line 3")),
            "node `n` failed: ValueError: cannot open ...",
        ),
        (_raise(KeyError()), "node `n` failed: KeyError"),
        (
            _raise(ComponentError("the inputs have different shapes")),
            "node `n` failed: the inputs have different shapes",
        ),
        (_misname, "node `n` gave no output `output`"),
    ],
)
def test_a_failing_node_is_named_without_a_path(
    region: BuildRegion, node: BuildNode, runner: Runner, message: str
) -> None:
    built = region([_component(node, "n", "x")], takes=["x: FP64[batch]"])
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        execute(built, {"n": runner}, {"x": np.array([1.0])}, CALL)


def test_a_node_that_reads_what_is_absent_is_named(region: BuildRegion, node: BuildNode) -> None:
    built = region([_component(node, "n", "x")], takes=["x: FP64[batch]"], optional=["x"])
    with pytest.raises(RunError, match="node `n` reads `x`, which is absent"):
        execute(built, {"n": _times(1)}, {}, CALL)


@pytest.mark.parametrize(
    ("choice", "parts", "message"),
    [
        ([0, 1], [[[1.0]], None], "takes rows of branch 1, which did not run"),
        (
            [0, 1],
            [[[1.0]], [[1.0, 2.0]]],
            "merges FP64 rows of shape [1] with FP64 rows of shape [2] of branch 1",
        ),
        ([0, 1], [[[1.0]], [[1]]], "merges FP64 rows of shape [1] with INT64 rows of shape [1] of branch 1"),
        ([0, 1], [[[1.0]], [[1.0], [2.0]]], "takes 1 rows of branch 1, which has 2"),
        ([0, 2], [[[1.0]], None], "has rows that took no branch"),
        ([0, 1], [None, None], "has no branch that ran"),
        ([1], [[[1.0]], None], "takes branch 1, which did not run"),
    ],
)
def test_branches_that_do_not_fit_are_refused(
    region: BuildRegion, choice: list[int], parts: list[list[list[float]] | None], message: str
) -> None:
    names = [f"p{index}" for index in range(len(parts))]
    merge = _merge("m", _read("c"), [_read(name) for name in names])
    built = region(
        [merge], takes=["c: INT32[batch]", *(f"{name}: FP64[rows, ?]" for name in names)], optional=names
    )
    tensors = {name: np.array(part) for name, part in zip(names, parts, strict=True) if part is not None}
    with pytest.raises(RunError, match=f"^{re.escape(f'node `m` {message}')}$"):
        execute(built, {}, {"c": np.array(choice, dtype=np.int32), **tensors}, CALL)
