"""How long nodes took is kept until somebody looks, and nothing of it gets lost."""

import threading
from collections.abc import Sequence

import pytest
from graphc_runtimes.timings import START, Timings


class Told:
    """What a node's counter was told."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def note(self, durations: Sequence[float]) -> None:
        self.seconds += durations


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
