"""How long nodes took is kept until somebody looks, and nothing of it gets lost."""

import gc
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from graphc_runtimes.choose import Call
from graphc_runtimes.contracts import NoBooks, NoCounts
from graphc_runtimes.execute import Program
from graphc_runtimes.region import Region
from graphc_runtimes.timings import START, Timings


class Told:
    """What a node's counter was told."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.untimed = 0

    def note(self, durations: Sequence[float], untimed: int) -> None:
        self.seconds += durations
        self.untimed += untimed


class Counted(NoCounts, NoBooks):
    """Counts what it is told of all nodes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.untimed = 0

    def open(self, node: str, /) -> NoCounts:  # noqa: ARG002
        return self

    def note_all(self, durations: Sequence[float], untimed: int, /) -> None:
        self.seconds += durations
        self.untimed += untimed


def test_each_node_is_told_its_own_times() -> None:
    first, third = Told(), Told()
    timings = Timings([first.note, None, third.note])
    timings.add([START, 1.0, 3.0, 4.0, 4.5])
    # The first node had nothing to do.
    timings.add([START, 5.0, -6.0, 6.5, 8.5])
    # The first node failed.
    timings.add([START, 9.0, 9.25])
    timings.publish()
    assert first.seconds == [2.0, 0.25]
    assert third.seconds == [0.5, 2.0]


def test_what_was_told_is_not_told_again() -> None:
    told = Told()
    timings = Timings([told.note])
    timings.publish()
    timings.add([START, 1.0, 2.0])
    timings.publish()
    timings.publish()
    assert told.seconds == [1.0]


@pytest.mark.parametrize("runs", [1000, 3000])
def test_only_so_many_are_kept(runs: int) -> None:
    told = Told()
    timings = Timings([told.note])
    for _ in range(runs):
        timings.add([START, 1.0, 2.0])
    assert runs - 1500 < len(told.seconds) <= runs


def test_runs_that_were_not_timed_count_for_the_nodes_that_ran() -> None:
    first, third = Told(), Told()
    timings = Timings([first.note, None, third.note])
    timings.pass_over([True, False, True])
    # The first node had nothing to do.
    timings.pass_over([False, False, True])
    # The first node failed.
    timings.pass_over([True])
    timings.add([START, 1.0, 3.0, 4.0, 4.5])
    timings.publish()
    assert (first.seconds, first.untimed) == ([2.0], 2)
    assert (third.seconds, third.untimed) == ([0.5], 2)


def test_every_run_is_timed_until_many_came_and_one_in_sixteen_then() -> None:
    timings = Timings([Told().note])
    for _ in range(2):
        assert sum(timings.is_due() for _ in range(250)) == 250
        timings.publish()
    due = [timings.is_due() for _ in range(16_256)]
    assert all(due[:255])
    # By chance: one in 16 on average, with a standard deviation of less than 25.
    assert 850 < sum(due[256:]) < 1150
    timings.publish()
    assert timings.is_due()


def test_a_program_counts_each_of_many_runs(
    region: Callable[..., Region], node: Callable[..., dict[str, Any]]
) -> None:
    counted = Counted()
    nodes = [node("n", {"x": "x"}, {"y": "n.y"}, kind="python", entry="m:f", path=None)]
    built = region(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"})
    program = Program(built, {"n": lambda inputs: {"y": inputs["x"]}}, counted)
    for _ in range(9000):
        program.run({"x": np.ones((1, 2), np.float32)}, Call())
    del program
    gc.collect()
    assert len(counted.seconds) + counted.untimed == 9000
    assert 256 < len(counted.seconds) < 1500


def test_threads_lose_none_of_each_others() -> None:
    told = [Told(), Told()]
    timings = Timings([each.note for each in told])
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            timings.publish()

    def run() -> None:
        for _ in range(5000):
            timings.add([START, 1.0, 2.0, 4.0])
            timings.pass_over([True, True])
            timings.pass_over([True, False])

    looking, running = threading.Thread(target=look), [threading.Thread(target=run) for _ in range(4)]
    for each in [looking, *running]:
        each.start()
    for each in running:
        each.join()
    done.set()
    looking.join()
    timings.publish()
    assert [set(each.seconds) for each in told] == [{1.0}, {2.0}]
    assert [len(each.seconds) for each in told] == [20_000, 20_000]
    assert [each.untimed for each in told] == [40_000, 20_000]


def test_a_program_that_goes_tells_what_it_kept(
    region: Callable[..., Region], node: Callable[..., dict[str, Any]]
) -> None:
    counted = Counted()
    nodes = [node("n", {"x": "x"}, {"y": "n.y"}, kind="python", entry="m:f", path=None)]
    built = region(nodes, takes=["x: FP32[batch, 2]"], answers={"n.y": "y: FP32[batch, 2]"})
    program = Program(built, {"n": lambda inputs: {"y": inputs["x"]}}, counted)
    for _ in range(3):
        program.run({"x": np.ones((1, 2), np.float32)}, Call())
    assert not counted.seconds
    del program
    gc.collect()
    assert len(counted.seconds) == 3


def test_of_many_nodes_as_many_runs_are_kept() -> None:
    told = [Told() for _ in range(1000)]
    timings = Timings([each.note for each in told])
    times = [START, *map(float, range(1, 1002))]
    for _ in range(250):
        timings.add(times)
    assert not told[0].seconds
    for _ in range(10):
        timings.add(times)
    assert len(told[-1].seconds) == 256
