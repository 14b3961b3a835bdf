"""How many graphs are compared is bounded, and no namespace can shut another out."""

import asyncio
from collections.abc import Callable

import pytest
from graphc.client.answer import read_answer
from graphc.client.failure import InferError
from graphc.compare import recorder as recorder_module
from graphc.compare.intake import REQUEST, RESPONSE, Event, IntakeLimits
from graphc.compare.observer import Seen
from graphc.compare.recorder import Archive, Recorder, RecorderOptions
from graphc.compare.tracked import TrackedGraphs, TrackedLimits
from seen_answers import body_of

OPTIONS = RecorderOptions()
ANSWER = body_of(("label", "INT32", [1], [1]))


class NoRuns:
    def begin(self, name: str, started: float) -> tuple[str, Archive | None]:
        return f"{name}-{started:g}", None


def tracked(test: Callable[[TrackedGraphs], None], **limits: int) -> None:
    async def talk() -> None:
        graphs = TrackedGraphs(NoRuns(), TrackedLimits(**limits), IntakeLimits())
        try:
            test(graphs)
        finally:
            await graphs.close()

    asyncio.run(talk())


def names(graphs: TrackedGraphs) -> set[str]:
    return {"/".join(key) for key, _ in graphs}


def test_a_namespace_that_floods_the_service_makes_room_for_another() -> None:
    def test(graphs: TrackedGraphs) -> None:
        # Strangers' graphs, each heard of once.
        flood = [graphs.find(("flood", f"g{number}"), OPTIONS, float(number)) for number in range(20)]
        assert sum(each is not None for each in flood) == 6
        assert graphs.find(("mine", "a"), OPTIONS, 20.0) is not None
        assert graphs.find(("mine", "b"), OPTIONS, 20.0) is not None
        # Full: a graph of the namespace that has most goes, once it was silent for a while.
        assert graphs.find(("late", "c"), OPTIONS, 21.0) is None
        assert graphs.find(("late", "c"), OPTIONS, 80.0) is not None
        assert names(graphs) >= {"mine/a", "mine/b", "late/c"}
        assert graphs.evicted == 1

    tracked(test, graphs=8, of_namespace=6)


def test_a_graph_that_is_still_heard_of_stays() -> None:
    def test(graphs: TrackedGraphs) -> None:
        for number in range(4):
            graphs.find(("models", f"g{number}"), OPTIONS, 0.0)
        for now in (50.0, 100.0, 150.0):
            graphs.find(("models", "g0"), OPTIONS, now)
        for number in range(10, 13):
            assert graphs.find(("models", f"g{number}"), OPTIONS, 151.0) is not None
        assert graphs.find(("models", "g13"), OPTIONS, 151.0) is None
        assert names(graphs) == {"models/g0", "models/g10", "models/g11", "models/g12"}

    tracked(test, graphs=8, of_namespace=4)


def test_what_nobody_hears_of_is_put_away() -> None:
    def test(graphs: TrackedGraphs) -> None:
        graphs.find(("models", "old"), OPTIONS, 0.0)
        graphs.find(("models", "new"), OPTIONS, 3000.0)
        graphs.tend(3500.0)
        assert len(graphs) == 2
        graphs.tend(3601.0)
        assert names(graphs) == {"models/new"}

    tracked(test)


def test_what_waits_of_all_graphs_together_is_bounded() -> None:
    def test(graphs: TrackedGraphs) -> None:
        for number in range(8):
            found = graphs.find(("models", f"g{number}"), OPTIONS, 0.0)
            assert found is not None
            for request in range(100):
                event = Event("models", f"g{number}", "main", str(request), False, False, 0.0, b" " * 1000)
                found.intake.take(event, 0.0)
        graphs.tend(0.0)
        # A third of the room, in eight parts.
        assert [len(graph.intake) for _, graph in graphs] == [10] * 8

    tracked(test, waiting_bytes=240_000)


def hostile_bodies() -> list[bytes]:
    shapes = [
        "[0, 4611686018427387904, 4]",
        "[0, 9223372036854775807]",
        f"[{', '.join(['0'] * 100)}]",
        f"[0, {10**40}]",
    ]
    return [
        b'{"outputs":[{"name":"label","datatype":"INT32","shape":%b,"data":[]}]}' % shape.encode()
        for shape in shapes
    ]


@pytest.mark.parametrize("body", hostile_bodies())
def test_shapes_that_no_array_can_have_are_no_answer(body: bytes) -> None:
    with pytest.raises(InferError):
        read_answer(body.decode())


def observed(recorder: Recorder, request: str, body: bytes) -> None:
    for shadow in (False, True):
        recorder.observe(
            Seen(request, "ghost" if shadow else "main", shadow, 200, 0.1, body, asked=b"{}", mirrored=None)
        )


@pytest.mark.parametrize("body", hostile_bodies())
def test_the_thread_goes_on_comparing_after_hostile_answers(body: bytes) -> None:
    recorder = Recorder(RecorderOptions(busy=1))
    observed(recorder, "bad", body)
    observed(recorder, "good", ANSWER)
    assert recorder.drain(20)
    assert recorder.is_working
    assert recorder.figures().candidates()["ghost"].overall.pairs == 2
    recorder.close()


@pytest.mark.parametrize("error", [ValueError("payload"), RecursionError(), MemoryError()])
def test_what_nobody_expected_costs_one_pair_and_no_thread(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(body: bytes, name: str) -> str | None:
        if body == b"bad":
            raise error
        return None

    monkeypatch.setattr(recorder_module, "read_parameter", read)
    recorder = Recorder(RecorderOptions(busy=1, segment="tier"))
    for request, asked in (("1", b"bad"), ("2", b"{}")):
        for shadow in (False, True):
            predictor = "ghost" if shadow else "main"
            recorder.observe(Seen(request, predictor, shadow, 200, 0.1, ANSWER, asked=asked, mirrored=None))
    assert recorder.drain(20)
    figures = recorder.figures()
    assert figures.candidates()["ghost"].overall.pairs == 1
    assert figures.left_out["failed"] == 1
    assert recorder.is_working
    recorder.close()
    assert type(error).__name__ in caplog.text
    assert "payload" not in caplog.text


def test_events_of_one_request_still_make_an_answer() -> None:
    def test(graphs: TrackedGraphs) -> None:
        found = graphs.find(("models", "fraud"), OPTIONS, 0.0)
        assert found is not None
        for kind in (REQUEST, RESPONSE):
            event = Event("models", "fraud", "main", "r", kind == RESPONSE, False, 1.0, ANSWER)
            found.intake.take(event, 0.0)
        assert len(found.intake) == 0

    tracked(test)
