"""A node's answer is what the node declares, or the node is at fault; and a node that is given no row is not run."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes import BadInputError
from graphc_runtimes.choose import Call
from graphc_runtimes.errors import RegionError, RequestError, RunError
from graphc_runtimes.execute import Program, Runner, execute
from graphc_runtimes.region import Region, parse_region
from graphc_runtimes.unit import LoadedUnit
from prometheus_client import REGISTRY, generate_latest

Json = dict[str, Any]
BuildRegion = Callable[..., Region]
BuildNode = Callable[..., Json]

X: Final = np.arange(6, dtype=np.float32).reshape(3, 2)
CALL: Final = Call()
PYTHON: Final[Json] = {"kind": "python", "entry": "m:f", "path": None}
MODEL: Final[Json] = {"kind": "model", "framework": "onnx", "path": "m"}
ROWS: Final[Json] = {"dims": {"batch": ["x", 0]}}


def declared(shape: list[object] | None = None, datatype: str = "FP32", **more: object) -> Json:
    return {"declares": {"y": {"datatype": datatype, "shape": shape or ["batch", 2]}}, **ROWS, **more}


class Gives:
    """A node that answers with what a function makes of its input, and remembers what it was asked."""

    def __init__(self, make: Callable[[Any], object]) -> None:
        self.make: Callable[[Any], object] = make
        self.asked: list[int] = []

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.asked.append(len(inputs["x"]))
        found: Any = self.make(inputs["x"])
        if isinstance(found, dict):
            return cast("dict[str, Array]", found)
        return {"y": found}


@pytest.fixture
def run(region: BuildRegion, node: BuildNode) -> Callable[..., dict[str, Array]]:
    """Run one node, which reads `x` and gives `y`, over some rows."""

    def run_one(runner: Runner, fields: Json, rows: Array = X) -> dict[str, Array]:
        nodes = [node("n", {"x": "x"}, {"y": "n.y"}, **fields)]
        built = region(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[?, ?]"})
        return execute(built, {"n": runner}, {"x": rows}, CALL)

    return run_one


WRONG: Final[dict[str, tuple[Callable[[Any], object], str]]] = {
    "one row for three": (lambda x: x[:1], r"shape \[1, 2\], not \[batch=3, 2\]"),
    "no row for three": (lambda x: x[:0], r"shape \[0, 2\], not \[batch=3, 2\]"),
    "a row too many": (lambda x: np.concatenate([x, x[:1]]), r"shape \[4, 2\], not \[batch=3, 2\]"),
    "another width": (lambda x: x[:, :1], r"shape \[3, 1\], not \[batch=3, 2\]"),
    "a dimension too many": (lambda x: x[..., None], r"shape \[3, 2, 1\], not \[batch=3, 2\]"),
    "another datatype": (lambda x: x.astype(np.float64), "FP64, not FP32"),
}


@pytest.mark.parametrize("kind", [PYTHON, MODEL], ids=["python", "model"])
@pytest.mark.parametrize("policy", [{}, {"policy": {"timeout_ms": 60_000}}], ids=["straight", "timed"])
@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_is_not_as_declared_is_the_nodes_fault(
    run: Callable[..., Any], kind: Json, policy: Json, wrong: str
) -> None:
    make, told = WRONG[wrong]
    with pytest.raises(RunError, match=f"^node `n` gave an output `y` that (has|is) {told}, as declared$"):
        run(Gives(make), kind | declared() | policy)


def test_what_was_sound_once_does_not_hide_what_is_not(region: BuildRegion, node: BuildNode) -> None:
    nodes = [node("n", {"x": "x"}, {"y": "n.y"}, **MODEL, **declared())]
    gives = Gives(lambda x: x)
    program = Program(
        region(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"}), {"n": gives}
    )
    for rows in (3, 2, 3):
        assert len(program.run({"x": X[:rows]}, CALL)["n.y"]) == rows
    gives.make = lambda _: X[:2]
    assert len(program.run({"x": X[:2]}, CALL)["n.y"]) == 2
    with pytest.raises(RunError, match="`n`"):
        program.run({"x": X}, CALL)
    gives.make = lambda x: x.astype(np.int32)
    with pytest.raises(RunError, match="INT32, not FP32"):
        program.run({"x": X}, CALL)


def test_several_outputs_are_looked_at_together(region: BuildRegion, node: BuildNode) -> None:
    types: Json = {"declares": {"y": {"datatype": "FP32", "shape": ["batch", 2]}}, **ROWS}
    types["declares"]["z"] = {"datatype": "INT64", "shape": ["batch"]}
    nodes = [node("n", {"x": "x"}, {"y": "n.y", "z": "n.z"}, **PYTHON, **types)]
    built = region(nodes, takes=["x: FP32[batch, 2]"], answers={"n.z": "z: INT64[batch]"})
    for z, told in (
        (np.zeros(2, np.int64), r"output `z` that has shape \[2\]"),
        (None, "gave no output `z`"),
    ):
        made = {"y": X} if z is None else {"y": X, "z": z}
        with pytest.raises(RunError, match=told):
            execute(built, {"n": Gives(lambda _, made=made: made)}, {"x": X}, CALL)
    fine = {"y": X, "z": np.zeros(3, np.int64)}
    assert execute(built, {"n": Gives(lambda _: fine)}, {"x": X}, CALL)["n.z"].tolist() == [0, 0, 0]


def test_a_fallback_stands_in_for_a_wrong_answer_and_says_so(
    run: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    default = {"y": {"value": 7, "datatype": "FP32", "shape": ["x", 2]}}
    policy: Json = {"policy": {"on_error": "default", "default": default}}
    assert run(Gives(lambda x: x[:1]), PYTHON | declared() | policy)["n.y"].tolist() == [[7, 7]] * 3
    assert "`n` gave an output `y` that has shape [1, 2]" in caplog.text
    assert "`default` is used" in caplog.text


# --- No rows -------------------------------------------------------------------------------------------


def refuse(x: Array) -> Array:
    raise AssertionError("it was asked about no row")


@pytest.mark.parametrize("kind", [PYTHON, MODEL], ids=["python", "model"])
@pytest.mark.parametrize(
    "policy", [{}, {"policy": {"retries": 1, "failed": "n:failed"}}], ids=["straight", "tried"]
)
def test_a_node_without_rows_is_not_run(run: Callable[..., Any], kind: Json, policy: Json) -> None:
    gives = Gives(refuse)
    found = run(gives, kind | declared(["batch", 5], "BYTES") | policy, X[:0])
    assert (found["n.y"].shape, found["n.y"].dtype) == ((0, 5), np.dtype(object))
    assert gives.asked == []
    assert found.get("n:failed", np.zeros(1)).tolist() == [0]


def test_dimensions_are_those_of_the_inputs_where_they_are_known(run: Callable[..., Any]) -> None:
    shape: list[object] = ["batch", "width", None]
    fields = PYTHON | declared(shape) | {"dims": {"batch": ["x", 0], "width": ["x", 1]}}
    assert run(Gives(refuse), fields, X[:0])["n.y"].shape == (0, 2, 0)


def test_what_has_not_the_rows_of_its_input_is_asked_all_the_same(run: Callable[..., Any]) -> None:
    gives = Gives(lambda x: np.array([len(x)], np.float32))
    assert run(gives, PYTHON | declared([1]), X[:0])["n.y"].tolist() == [0]


def test_a_branch_without_rows_is_not_run(region: BuildRegion, node: BuildNode) -> None:
    parameters = {"below": [0.0], "branches": 2}
    pick: Json = {"kind": "choice", "router": "threshold", "per": "row", "parameters": parameters}
    read: Json = {"tensor": "x", "gather": [["pick.choice", 0]]}
    types: Json = {
        "declares": {"y": {"datatype": "FP32", "shape": ["rows of x"]}},
        "dims": {"rows of x": ["x", 0]},
    }
    other: list[Json] = [
        {"y": {"tensor": "n.y", "gather": []}},
        {"y": {"tensor": "x", "gather": [["pick.choice", 1]]}},
    ]
    merge: Json = {
        "name": "m",
        "kind": "merge",
        "per": "row",
        "choice": {"tensor": "pick.choice", "gather": []},
    }
    nodes: list[Json] = [
        node("pick", {"value": "x"}, {"choice": "pick.choice"}, **pick),
        node("n", {"x": read}, {"y": "n.y"}, **PYTHON, **types) | {"when": [["pick.choice", 0]]},
        merge | {"branches": other, "outputs": {"y": "m.y"}, "when": []},
    ]
    built = region(nodes, takes=["x: FP32[batch]"], answers={"m.y": "y: FP32[batch]"})
    gives = Gives(lambda x: -x)
    given = np.array([-1, 2, -3], np.float32)
    assert execute(built, {"n": gives}, {"x": given}, CALL)["m.y"].tolist() == [1, 2, 3]
    assert execute(built, {"n": gives}, {"x": given[:0]}, CALL)["m.y"].tolist() == []
    assert execute(built, {"n": gives}, {"x": given[1:2]}, CALL)["m.y"].tolist() == [2]
    assert gives.asked == [2]
    gives.make = lambda x: x[:1]
    with pytest.raises(RunError, match=r"`n` gave an output `y` that has shape \[1\], not \[rows of x=2\]"):
        execute(built, {"n": gives}, {"x": given}, CALL)


def test_a_dimension_of_no_input_is_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(RegionError, match="the dimension `batch` is of `z`, which it does not read"):
        run(Gives(refuse), PYTHON | declared() | {"dims": {"batch": ["z", 0]}})


# --- Inputs that the user's own code refuses ------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [{}, {"policy": {"retries": 2, "timeout_ms": 60_000}}], ids=["straight", "tried"]
)
@pytest.mark.parametrize(("row", "where"), [(None, ""), (1, ", row 1")])
def test_a_bad_input_is_the_clients_fault(
    run: Callable[..., Any], policy: Json, row: int | None, where: str
) -> None:
    def make(x: Array) -> Array:
        raise BadInputError("the image is no PNG", row)

    gives = Gives(make)
    with pytest.raises(RequestError, match=f"^node `n`{where}: the image is no PNG$"):
        run(gives, PYTHON | declared() | policy)
    assert gives.asked == [3]


def test_a_bad_row_of_a_branch_is_told_by_its_place_in_the_request(
    region: BuildRegion, node: BuildNode
) -> None:
    parameters = {"below": [0.0], "branches": 2}
    pick: Json = {"kind": "choice", "router": "threshold", "per": "row", "parameters": parameters}
    read: Json = {"tensor": "x", "gather": [["pick.choice", 1]]}
    nodes: list[Json] = [
        node("pick", {"value": "x"}, {"choice": "pick.choice"}, **pick),
        node("n", {"x": read}, {"y": "n.y"}, **PYTHON) | {"when": [["pick.choice", 1]]},
    ]
    built = region(nodes, takes=["x: FP32[batch]"])

    def make(x: Array) -> Array:
        raise BadInputError("too large", int(np.argmax(x)))

    given = np.array([-1, 2, -3, 9, 4], np.float32)
    with pytest.raises(RequestError, match=r"^node `n`, row 3: too large$"):
        execute(built, {"n": Gives(make)}, {"x": given}, CALL)


# --- Whatever a node raises -----------------------------------------------------------------------------


class MuteError(Exception):
    """An exception whose own text is broken."""

    def __str__(self) -> str:
        raise ValueError("no text")


def fall() -> object:
    return fall()


def axis() -> object:
    return np.zeros(2).sum(axis=4)


def raising(error: BaseException) -> Callable[[], object]:
    def do() -> object:
        raise error

    return do


RAISED: Final = {
    "SystemExit: 3": raising(SystemExit(3)),
    "KeyboardInterrupt": raising(KeyboardInterrupt()),
    "GeneratorExit": raising(GeneratorExit()),
    "StopIteration": raising(StopIteration()),
    "MemoryError": raising(MemoryError()),
    "MuteError": raising(MuteError()),
    "RecursionError: maximum recursion depth exceeded": fall,
    "AxisError: axis 4 is out of bounds for array of dimension 1": axis,
    "BaseException: own": raising(BaseException("own")),
}


@pytest.mark.parametrize("policy", [{}, {"policy": {"timeout_ms": 60_000}}], ids=["straight", "timed"])
@pytest.mark.parametrize("told", RAISED)
def test_whatever_a_node_raises_names_the_node(
    run: Callable[..., Any], policy: Json, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RunError, match=f"^node `n` failed: {told}"):
        run(Gives(lambda _: RAISED[told]()), PYTHON | declared() | policy)
    assert "test_node_contracts.py" in caplog.text


# --- What is counted ------------------------------------------------------------------------------------


def count(metric: str) -> float:
    return REGISTRY.get_sample_value(metric, {"unit": "counted", "node": "n"}) or 0


def test_tries_failures_and_what_stood_in_are_counted(build: Callable[..., Json], node: BuildNode) -> None:
    default = {"y": {"value": 7, "datatype": "FP32", "shape": ["x", 2]}}
    policy = {"retries": 1, "on_error": "default", "default": default}
    nodes = [node("n", {"x": "x"}, {"y": "n.y"}, **PYTHON, **declared(), policy=policy)]
    text = build(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"}, unit="counted")
    gives = Gives(lambda x: x)
    unit = LoadedUnit(parse_region(json.dumps(text)), {"n": gives})
    names = ("calls_total", "failures_total", "retries_total", "fallbacks_total", "seconds_count")

    def counts() -> list[float]:
        # Whoever looks at all of them finds those that were noted.
        generate_latest(REGISTRY)
        return [count(f"graphc_node_{name}") for name in names]

    before = counts()
    unit.run({"x": X}, Call())
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 0, 0, 0, 1]
    gives.make = lambda x: x[:1]
    call = Call()
    assert unit.run({"x": X}, call)["n.y"].tolist() == [[7, 7]] * 3
    assert call.fallbacks == ["n"]
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [3, 2, 1, 1, 3]
    unit.run({"x": X[:0]}, Call())
    assert counts()[0] - before[0] == 3
