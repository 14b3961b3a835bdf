"""Nodes are tried, given up, replaced and waited for as their policies say."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.choose import Call
from graphc_runtimes.deadline import Deadline
from graphc_runtimes.errors import DeadlineError, RegionError, RunError
from graphc_runtimes.execute import Runner, execute
from graphc_runtimes.region import Region

Json = dict[str, Any]
BuildRegion = Callable[..., Region]
BuildNode = Callable[..., Json]

X = np.array([[1.0, 2.0]], np.float32)
LONG = 5.0
"""Seconds that no test takes, unless it fails."""


class Flaky:
    """A node that fails a number of times and then answers with its input."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.tries += 1
        if self.tries <= self.failures:
            raise ValueError(f"try {self.tries}")
        return {"output": inputs["x"]}


class Held:
    """A node that answers, or fails, when it is let go."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.let_go = threading.Event()
        self.ended = threading.Event()

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.let_go.wait(LONG)
        self.ended.set()
        if self.fails:
            raise ValueError("late")
        return {"output": np.multiply(cast("Any", inputs["x"]), np.float32(10))}


def working(node: BuildNode, name: str, read: str = "x", **policy: Any) -> Json:
    fields = {"policy": policy} if policy else {}
    outputs = {"output": f"{name}.output"}
    return node(name, {"x": read}, outputs, kind="component", component="any", parameters={}, **fields)


def joining(node: BuildNode, names: list[str], **fields: Any) -> Json:
    inputs = {str(index): f"{name}.output" for index, name in enumerate(names)}
    return node(
        "join", inputs, {"output": "join.output"}, kind="component", component="any", parameters={}, **fields
    )


def join(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    return {"output": np.concatenate([cast("Any", inputs[name]) for name in sorted(inputs)])}


def run(
    region: BuildRegion, nodes: list[Json], runners: Mapping[str, Runner], call: Call | None = None
) -> dict[str, Array]:
    last = next(iter(nodes[-1]["outputs"].values()))
    built = region(nodes, takes=["x: FP32[batch, 2]"], answers={last: "out: FP32[batch, 2]"})
    return execute(built, runners, {"x": X}, call or Call())


def test_a_node_is_tried_again(region: BuildRegion, node: BuildNode) -> None:
    flaky = Flaky(2)
    assert run(region, [working(node, "a", retries=2)], {"a": flaky})["a.output"].tolist() == X.tolist()
    assert flaky.tries == 3


def test_the_last_try_tells_why(region: BuildRegion, node: BuildNode) -> None:
    flaky = Flaky(2)
    with pytest.raises(RunError, match="node `a` failed: ValueError: try 2"):
        run(region, [working(node, "a", retries=1)], {"a": flaky})
    assert flaky.tries == 2


def test_a_late_result_is_thrown_away(region: BuildRegion, node: BuildNode) -> None:
    held = Held()
    default = {"output": {"value": 7, "datatype": "FP32", "shape": ["x", 2]}}
    nodes = [working(node, "a", timeout_ms=50, on_error="default", default=default, failed="a:failed")]
    environment = run(region, nodes, {"a": held})
    held.let_go.set()
    assert held.ended.wait(LONG)
    assert environment["a.output"].tolist() == [[7, 7]]
    assert environment["a:failed"].tolist() == [1]


def test_too_late_fails_the_node(region: BuildRegion, node: BuildNode) -> None:
    held = Held()
    with pytest.raises(RunError, match="node `a` failed: no answer within 50ms"):
        run(region, [working(node, "a", timeout_ms=50)], {"a": held})
    held.let_go.set()


def test_a_skipped_node_leaves_nothing_but_that_it_failed(region: BuildRegion, node: BuildNode) -> None:
    nodes = [working(node, "a", on_error="skip", failed="a:failed"), working(node, "b")]
    environment = run(region, nodes, {"a": Flaky(1), "b": Flaky(0)})
    assert "a.output" not in environment
    assert environment["a:failed"].tolist() == [1]
    assert environment["a:failed"].dtype == np.int32


def test_a_node_that_answers_says_so(region: BuildRegion, node: BuildNode) -> None:
    nodes = [working(node, "a", on_error="skip", failed="a:failed"), working(node, "b", "a.output")]
    environment = run(region, nodes, {"a": Flaky(0), "b": Flaky(0)})
    assert environment["a:failed"].tolist() == [0]
    assert environment["b.output"].tolist() == X.tolist()


def test_nodes_with_timeouts_run_side_by_side(region: BuildRegion, node: BuildNode) -> None:
    meeting = threading.Barrier(2)

    def meet(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        meeting.wait(LONG)
        return {"output": inputs["x"]}

    nodes = [working(node, name, timeout_ms=2 * int(LONG) * 1000) for name in "ab"]
    nodes.append(joining(node, ["a", "b"]))
    assert len(run(region, nodes, {"a": meet, "b": meet, "join": join})["join.output"]) == 2


def test_a_quorum_takes_what_is_there_in_order(region: BuildRegion, node: BuildNode) -> None:
    nodes = [working(node, "a"), working(node, "b", on_error="skip"), working(node, "c")]
    nodes.append(joining(node, ["a", "b", "c"], quorum=2))
    runners = {"a": Flaky(0), "b": Flaky(1), "c": Flaky(0), "join": join}
    assert len(run(region, nodes, runners)["join.output"]) == 2
    nodes[-1]["quorum"] = 3
    with pytest.raises(RunError, match="node `join` failed: it has 2 tensors of a quorum of 3"):
        run(region, nodes, runners | {"b": Flaky(1)})


@pytest.mark.parametrize("fails", [False, True])
def test_a_combiner_goes_on_with_its_quorum(fails: bool, region: BuildRegion, node: BuildNode) -> None:
    held = Held(fails=fails)
    nodes = [working(node, "a"), working(node, "b"), joining(node, ["a", "b"], quorum=1, wait="quorum")]
    nodes.append(working(node, "end", "join.output"))
    started = time.monotonic()
    environment = run(region, nodes, {"a": held, "b": Flaky(0), "join": join, "end": Flaky(0)})
    assert time.monotonic() - started < LONG
    assert environment["end.output"].tolist() == X.tolist()
    held.let_go.set()


def test_who_else_reads_a_straggler_waits_for_it(region: BuildRegion, node: BuildNode) -> None:
    held = Held()
    nodes = [working(node, "a"), working(node, "b"), joining(node, ["a", "b"], quorum=1, wait="quorum")]
    nodes.append(joining(node, ["join", "a"]) | {"name": "end", "outputs": {"output": "end.output"}})

    def let_go(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        held.let_go.set()
        return join(inputs)

    environment = run(region, nodes, {"a": held, "b": Flaky(0), "join": let_go, "end": join})
    assert environment["end.output"].tolist() == [[1, 2], [10, 20]]


def test_a_combiner_waits_until_its_quorum_is_there(region: BuildRegion, node: BuildNode) -> None:
    late, never = Held(), Held()
    names = ["a", "b", "c"]
    nodes = [*(working(node, name) for name in names), joining(node, names, quorum=2, wait="quorum")]
    threading.Timer(0.1, late.let_go.set).start()
    environment = run(region, nodes, {"a": never, "b": Flaky(0), "c": late, "join": join})
    assert environment["join.output"].tolist() == [[1, 2], [10, 20]]
    never.let_go.set()


def test_a_straggler_that_fails_while_others_go_on_fails_nothing(
    region: BuildRegion, node: BuildNode
) -> None:
    late = Held(fails=True)
    nodes = [working(node, "a"), working(node, "b"), joining(node, ["a", "b"], quorum=1, wait="quorum")]
    nodes.append(working(node, "end", "join.output", timeout_ms=60_000))

    def outlast(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        late.let_go.set()
        assert late.ended.wait(LONG)
        time.sleep(0.1)
        return {"output": inputs["x"]}

    environment = run(region, nodes, {"a": late, "b": Flaky(0), "join": join, "end": outlast})
    assert environment["end.output"].tolist() == X.tolist()


def test_a_failure_before_the_quorum_fails_the_request(region: BuildRegion, node: BuildNode) -> None:
    nodes = [working(node, "a"), working(node, "b"), joining(node, ["a", "b"], quorum=2, wait="quorum")]
    with pytest.raises(RunError, match="node `a` failed"):
        run(region, nodes, {"a": Flaky(1), "b": Flaky(0), "join": join})


def deadline(seconds: float) -> Call:
    return Call(deadline=Deadline((time.time() + seconds) * 1000, "deadline of 2s"))


def test_no_node_starts_past_the_deadline(region: BuildRegion, node: BuildNode) -> None:
    flaky = Flaky(0)
    with pytest.raises(DeadlineError, match="deadline of 2s passed before node `a`"):
        run(region, [working(node, "a", on_error="skip")], {"a": flaky}, deadline(-1))
    assert flaky.tries == 0


def test_a_timed_node_is_not_waited_for_past_the_deadline(region: BuildRegion, node: BuildNode) -> None:
    held = Held()
    started = time.monotonic()
    with pytest.raises(DeadlineError):
        run(region, [working(node, "a", timeout_ms=60_000, on_error="skip")], {"a": held}, deadline(0.1))
    assert time.monotonic() - started < LONG
    held.let_go.set()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"on_error": "default"}, "there is no default for `output`"),
        (
            {"on_error": "default", "default": {"output": {"value": 1, "datatype": "FP32", "shape": ["y"]}}},
            "the default for `output` has the rows of `y`",
        ),
        ({"failed": "x"}, "there is a tensor `x` already"),
        ({"timeout_ms": 0}, "timeout_ms"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(
    policy: Json, message: str, region: BuildRegion, node: BuildNode
) -> None:
    with pytest.raises(RegionError, match=message):
        run(region, [working(node, "a", **policy)], {})
