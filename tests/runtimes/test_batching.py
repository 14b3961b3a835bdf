"""Requests that wait for a unit run together, and are answered as if each had run alone."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from graphc_runtimes.batching import answer
from graphc_runtimes.errors import DeadlineError, RegionError, RequestError, RunError
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.reading import read_message
from graphc_runtimes.region import Batch, Region, parse_region
from graphc_runtimes.unit import LoadedUnit
from prometheus_client import REGISTRY

Json = dict[str, Any]
Array = np.ndarray[Any, Any]
Build = Callable[..., Json]

TAKES: Final = ["x: FP32[batch, ?]"]
ANSWERS: Final = {"double.y": "y: FP32[batch, ?]"}
LIMIT: Final = 20


class Double:
    """A model that remembers the rows it was given, and waits to be let go the first time."""

    def __init__(self, *, held: bool = True) -> None:
        self.given: list[list[float]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        x = inputs["x"]
        self.given.append(x[:, 0].tolist())
        self.begun.set()
        assert self.go.wait(LIMIT)
        if (x == 13).any():
            raise ValueError("thirteen")
        return {"y": x * 2}


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture
def make(region: Callable[..., Region], node: Build, double: Double) -> Callable[..., LoadedUnit]:
    """Make a unit of one node around the model that doubles."""

    def make_unit(
        *before: Json, size: int = 8, delay: float = 0, deadline: int | None = None, **fields: Any
    ) -> LoadedUnit:
        fields = {"kind": "model", "framework": "onnx", "path": "m"} | fields
        nodes = [*before, node("double", {"x": "x"}, {"y": "double.y"}, **fields)]
        made = region(nodes, takes=TAKES, answers=ANSWERS)
        made = replace(made, batch=Batch(size, delay), graph=replace(made.graph, deadline_ms=deadline))
        return LoadedUnit(made, {"double": double})

    return make_unit


def ask(*values: float, columns: int = 1, **fields: Any) -> Message:
    data = [value for value in values for _ in range(columns)]
    return Message({"x": WireTensor("x", "FP32", [len(values), columns], data)}, **fields)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def together(
    unit: LoadedUnit, double: Double, messages: list[Message], first: Message | None = None
) -> list[Any]:
    """Ask while the unit is busy, then let it go on; return the answers' values, or the errors."""

    async def run() -> list[Any]:
        holding = asyncio.create_task(answer(unit, first or ask(0)))
        assert await asyncio.to_thread(double.begun.wait, LIMIT)
        tasks = [asyncio.create_task(answer(unit, message)) for message in messages]
        await settle()
        double.go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await holding
        return [each if isinstance(each, BaseException) else each[0].data for each in found]

    return asyncio.run(asyncio.wait_for(run(), LIMIT))


def test_a_request_that_finds_the_unit_idle_runs_at_once_and_alone(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    double.go.set()
    unit = make()

    async def run() -> list[object]:
        return [list((await answer(unit, ask(value)))[0].data) for value in (1, 2)]

    assert asyncio.run(run()) == [[2], [4]]
    assert double.given == [[1], [2]]


def test_those_that_come_while_one_runs_go_together(make: Callable[..., LoadedUnit], double: Double) -> None:
    assert together(make(), double, [ask(1), ask(2, 3), ask(4)]) == [[2], [4, 6], [8]]
    assert double.given == [[0], [1, 2, 3, 4]]


def test_a_batch_takes_rows_up_to_its_size_and_the_oldest_first(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    messages = [ask(1, 2, 3), ask(4, 5), ask(6), ask(7)]
    assert together(make(size=4), double, messages) == [[2, 4, 6], [8, 10], [12], [14]]
    assert double.given == [[0], [1, 2, 3, 6], [4, 5, 7]]


def test_a_request_larger_than_a_batch_runs_alone(make: Callable[..., LoadedUnit], double: Double) -> None:
    assert together(make(size=2), double, [ask(1, 2, 3), ask(4)]) == [[2, 4, 6], [8]]
    assert double.given == [[0], [1, 2, 3], [4]]


def test_other_dimensions_are_not_mixed(make: Callable[..., LoadedUnit], double: Double) -> None:
    messages = [ask(1), ask(2, columns=2), ask(3), ask(4, columns=2)]
    assert together(make(), double, messages) == [[2], [4, 4], [6], [8, 8]]
    assert double.given == [[0], [1, 3], [2, 4]]


def test_a_request_without_rows_runs_alone(make: Callable[..., LoadedUnit], double: Double) -> None:
    assert together(make(), double, [ask(1), ask(), ask(), ask(2)]) == [[2], [], [], [4]]
    assert double.given == [[0], [1, 2], [], []]


def test_one_that_fails_does_not_fail_its_neighbours(make: Callable[..., LoadedUnit], double: Double) -> None:
    one, bad, two = together(make(), double, [ask(1), ask(13), ask(2)])
    assert (one, two) == ([2], [4])
    assert isinstance(bad, RunError)
    assert str(bad) == "node `double` failed: ValueError: thirteen"
    assert double.given == [[0], [1, 13, 2], [1], [13], [2]]


def test_what_stands_for_a_failure_stands_for_that_request_only(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    default = {"y": {"value": -1, "datatype": "FP32", "shape": ["x", 1]}}
    unit = make(policy={"on_error": "default", "default": default, "retries": 1})
    assert together(unit, double, [ask(1), ask(13), ask(2)]) == [[2], [-1], [4]]
    assert double.given == [[0], [1, 13, 2], [1], [13], [13], [2]]


def test_one_that_is_refused_does_not_run_with_others(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    wrong = Message({"x": WireTensor("x", "FP32", [1, 1], ["a"])})
    twice = Message({"x": WireTensor("x", "FP32", [2, 1], [1])})
    missing = Message({})
    one, *refused, two = together(make(), double, [ask(1), wrong, twice, missing, ask(2)])
    assert (one, two) == ([2], [4])
    assert all(isinstance(each, RequestError) for each in refused)
    assert double.given == [[0], [1, 2]]


def test_a_model_that_answers_other_rows_is_asked_about_each_request_alone(
    make: Callable[..., LoadedUnit], double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_row(self: Double, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.given.append(inputs["x"][:, 0].tolist())
        self.begun.set()
        assert self.go.wait(LIMIT)
        return {"y": inputs["x"][:1]}

    monkeypatch.setattr(Double, "__call__", first_row)
    assert together(make(), double, [ask(1), ask(2)]) == [[1], [2]]
    assert double.given == [[0], [1, 2], [1], [2]]


def test_texts_are_parted_as_they_were(region: Callable[..., Region], node: Build, double: Double) -> None:
    def tag(inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        double({"x": np.zeros((len(inputs["t"]), 1), np.float32)})
        return {"t": np.array([each + b"!" for each in inputs["t"].tolist()], dtype=object)}

    nodes = [node("tag", {"t": "t"}, {"t": "tag.t"}, kind="python", entry="m:tag", path=None)]
    made = region(nodes, takes=["t: BYTES[batch]"], answers={"tag.t": "t: BYTES[batch]"})
    unit = LoadedUnit(replace(made, batch=Batch(8)), {"tag": tag})
    texts = [["a", "bc"], ["", "\u00e9"], ["d"]]
    messages = [Message({"t": WireTensor("t", "BYTES", [len(each)], each)}) for each in texts]
    assert together(unit, double, messages, messages[0]) == [["a!", "bc!"], ["!", "\u00e9!"], ["d!"]]
    assert [len(each) for each in double.given] == [2, 5]


def choice(node: Build, router: str, name: str) -> Json:
    parameters = {"name": name, "equals": ["gold"], "branches": 2}
    return node(
        "pick",
        {},
        {"choice": "pick.choice"},
        kind="choice",
        router=router,
        per="request",
        parameters=parameters,
    )


def test_requests_that_a_choice_tells_apart_are_not_mixed(
    make: Callable[..., LoadedUnit], node: Build, double: Double
) -> None:
    unit = make(choice(node, "parameter", "tier"), when=[["pick.choice", 0]])
    gold, none = {"tier": "gold"}, {"tier": "tin"}
    other = {"tier": "gold", "colour": "red"}
    messages = [ask(1, parameters=gold), ask(2, parameters=none), ask(3, parameters=other), ask(4)]
    one, two, three, four = together(unit, double, messages, ask(0, parameters=gold))
    assert (one, three) == ([2], [6])
    assert isinstance(two, RunError)
    assert isinstance(four, RunError)
    assert double.given == [[0], [1, 3]]


def test_headers_are_told_apart_whatever_their_case(
    make: Callable[..., LoadedUnit], node: Build, double: Double
) -> None:
    unit = make(choice(node, "header", "X-Tier"))
    messages = [ask(1, headers={"x-tier": "gold"}), ask(2, headers={"X-TIER": "gold"}), ask(3)]
    assert together(unit, double, messages) == [[2], [4], [6]]
    assert double.given == [[0], [1, 2], [3]]


def test_requests_with_other_keys_of_a_random_choice_are_not_mixed(
    make: Callable[..., LoadedUnit], node: Build, double: Double
) -> None:
    parameters = {"weights": [1, 1], "key": {"parameter": "user"}, "salt": "", "branches": 2}
    fields = {"kind": "choice", "router": "random", "per": "request", "parameters": parameters}
    unit = make(node("pick", {}, {"choice": "pick.choice"}, **fields))
    messages = [
        ask(1, parameters={"user": "a"}),
        ask(2, parameters={"user": "b"}),
        ask(3, parameters={"user": "a"}),
    ]
    assert together(unit, double, messages) == [[2], [4], [6]]
    assert double.given == [[0], [1, 3], [2]]


def test_an_expired_request_is_dropped_before_it_runs(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    soon = {"graphc_deadline_ms": time.time() * 1000 + 60_000}
    late = {"graphc_deadline_ms": time.time() * 1000 - 1}
    messages = [ask(1, parameters=soon), ask(2, parameters=late), ask(3, parameters=soon)]
    one, two, three = together(make(deadline=120_000), double, messages)
    assert (one, three) == ([2], [6])
    assert isinstance(two, DeadlineError)
    assert str(two) == "deadline of 120s passed before node `double`"
    assert double.given == [[0], [1, 3]]


def test_a_deadline_that_passes_on_the_way_gives_up_its_own_request(
    region: Callable[..., Region], node: Build, double: Double
) -> None:
    def slow(inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        time.sleep(0.4 if len(inputs["x"]) > 1 else 0)
        return {"y": inputs["x"]}

    fields = {"kind": "model", "framework": "onnx", "path": "m"}
    nodes = [
        node("slow", {"x": "x"}, {"y": "slow.y"}, **fields),
        node("double", {"x": "slow.y"}, {"y": "double.y"}, **fields),
    ]
    made = region(nodes, takes=TAKES, answers=ANSWERS)
    made = replace(made, batch=Batch(8), graph=replace(made.graph, deadline_ms=120_000))
    unit = LoadedUnit(made, {"slow": slow, "double": double})
    at = time.time() * 1000
    messages = [ask(1, parameters={"graphc_deadline_ms": at + 300}), ask(2)]
    one, two = together(unit, double, messages)
    assert str(one) == "deadline of 120s passed before node `double`"
    assert two == [4]
    # Another unit: this one is known to be short by now, and would keep the event loop while it is held.
    unit = LoadedUnit(made, {"slow": slow, "double": double})
    both = [ask(each, parameters={"graphc_deadline_ms": time.time() * 1000 + 300}) for each in (1, 2)]
    double.begun.clear()
    double.go.clear()
    assert [str(each) for each in together(unit, double, both)] == [str(one)] * 2
    assert double.given == [[0], [1, 2], [0]]


def test_clients_that_went_are_dropped(make: Callable[..., LoadedUnit], double: Double) -> None:
    unit = make()

    async def run() -> list[object]:
        holding = asyncio.create_task(answer(unit, ask(0)))
        assert await asyncio.to_thread(double.begun.wait, LIMIT)
        tasks = [asyncio.create_task(answer(unit, ask(value))) for value in (1, 2, 3)]
        await settle()
        tasks[1].cancel()
        await settle()
        double.go.set()
        found = await asyncio.gather(holding, tasks[0], tasks[2])
        return [list(each[0].data) for each in found]

    assert asyncio.run(run()) == [[0], [2], [6]]
    assert double.given == [[0], [1, 3]]


def test_a_client_that_goes_while_it_runs_leaves_the_unit_to_others(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    unit = make()

    async def run() -> list[object]:
        holding = asyncio.create_task(answer(unit, ask(0)))
        assert await asyncio.to_thread(double.begun.wait, LIMIT)
        waiting = asyncio.create_task(answer(unit, ask(1)))
        await settle()
        holding.cancel()
        await settle()
        double.go.set()
        return [list((await waiting)[0].data), list((await answer(unit, ask(2)))[0].data)]

    assert asyncio.run(asyncio.wait_for(run(), LIMIT)) == [[2], [4]]


def test_a_delay_waits_for_others_and_no_longer_than_for_a_full_batch(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    double.go.set()
    unit = make(size=3, delay=5_000)

    async def run() -> float:
        start = time.monotonic()
        await asyncio.gather(*(answer(unit, ask(value)) for value in (1, 2, 3)))
        return time.monotonic() - start

    assert asyncio.run(run()) < 2.5
    assert double.given == [[1, 2, 3]]


def test_a_batch_that_fills_ends_the_delay(make: Callable[..., LoadedUnit], double: Double) -> None:
    double.go.set()
    unit = make(size=3, delay=5_000)

    async def run() -> float:
        start = time.monotonic()
        tasks = [asyncio.create_task(answer(unit, ask(1)))]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.create_task(answer(unit, ask(2, 3))))
        await asyncio.gather(*tasks)
        return time.monotonic() - start

    assert asyncio.run(run()) < 2.5
    assert double.given == [[1, 2, 3]]


def test_the_rows_are_those_of_what_the_region_takes(make: Callable[..., LoadedUnit], double: Double) -> None:
    passing = {"other.failed": WireTensor("other.failed", "INT32", [1], [0])}
    messages = [
        replace(each, tensors=passing | dict(each.tensors)) for each in (ask(1, 2), ask(3, 4), ask(5))
    ]
    assert together(make(size=4), double, messages) == [[2, 4], [6, 8], [10]]
    assert double.given == [[0], [1, 2, 3, 4], [5]]


def test_a_delay_ends(make: Callable[..., LoadedUnit], double: Double) -> None:
    double.go.set()
    unit = make(delay=300)

    async def run() -> float:
        start = time.monotonic()
        tasks = [asyncio.create_task(answer(unit, ask(1)))]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.create_task(answer(unit, ask(2))))
        await asyncio.gather(*tasks)
        return time.monotonic() - start

    assert 0.29 < asyncio.run(run()) < 4
    assert double.given == [[1, 2]]


def test_a_mistake_of_the_runtime_reaches_every_client(
    make: Callable[..., LoadedUnit], double: Double
) -> None:
    unit = make()
    batch = replace(unit.region, answers=unit.region.answers[:0])
    broken = LoadedUnit(batch, {})
    double.go.set()

    async def run() -> list[BaseException]:
        tasks = [asyncio.create_task(answer(broken, ask(value))) for value in (1, 2, 3)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return [each for each in found if isinstance(each, BaseException)]

    found = asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert len(found) == 3


def test_what_ran_together_is_counted(make: Callable[..., LoadedUnit], double: Double) -> None:
    def count(name: str) -> list[float]:
        return [REGISTRY.get_sample_value(f"{name}_{of}", {"unit": "unit"}) or 0 for of in ("sum", "count")]

    unit, names = make(), ("graphc_batch_rows", "graphc_batch_requests")
    before = [count(name) for name in names]
    together(unit, double, [ask(1, 2), ask(3)])
    after = [count(name) for name in names]
    assert [tuple(np.subtract(*pair)) for pair in zip(after, before, strict=True)] == [(4, 2), (3, 2)]


@pytest.mark.parametrize(
    ("takes", "answers", "optional"),
    [
        (["x: FP32[1, 2]"], {"x": "y: FP32[1, 2]"}, ()),
        (["x: FP32[?, 2]"], {"x": "y: FP32[?, 2]"}, ()),
        (["x: FP32[batch, 2]", "z: FP32[rows]"], {"x": "y: FP32[batch, 2]"}, ()),
        (["x: FP32[batch, 2]"], {"x": "y: FP32[batch, 2]"}, ("x",)),
    ],
)
def test_a_region_without_the_rows_of_requests_has_no_batches(
    build: Build, takes: list[str], answers: dict[str, str], optional: tuple[str, ...]
) -> None:
    text = json.dumps(build(takes=takes, answers=answers, optional=optional) | {"batch": {"max_size": 8}})
    with pytest.raises(RegionError, match=r"batch: tensor `.` does not have the rows of every request"):
        parse_region(text)


def test_a_message_read_from_json_is_batched(make: Callable[..., LoadedUnit], double: Double) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [[5]]}]}
    messages = [read_message(json.dumps(body).encode(), {}), ask(1)]
    assert together(make(), double, messages) == [[10], [2]]
    assert double.given == [[0], [5, 1]]
