"""Closed and open loops against a server whose delays are known; bounds are such that a busy machine keeps them."""

import asyncio
import gzip
import math
import socket
import threading
from array import array
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from graphc.bench.ask import Question, Subject, ask_target
from graphc.bench.compare import compare_rounds, join_rounds
from graphc.bench.generate import Generators, share_job
from graphc.bench.job import Address, Closed, Job, Open, Outcome, read_job, read_outcome
from graphc.bench.load import schedule
from graphc.bench.summary import Summary, summarise
from slow_server import ANSWER, SlowServer

OTHER = ANSWER | {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [2.5]}]}


def ask(server: SlowServer, timeout: float = 10) -> Subject:
    subject = ask_target(server.url, Question(inputs=["x=[[1, 2]]"], timeout=timeout))
    server.slow.seen = 0
    return subject


def load(
    server: SlowServer, kind: Closed | Open, duration: float, *, warmup: float = 0, timeout: float = 10
) -> Summary:
    subject = ask(server)
    job = Job(
        subject.address, subject.body, kind, duration, warmup, timeout, subject.answer, subject.answer_json
    )
    return summarise("t", job, 1, Generators().run(job))


def test_a_closed_loop_waits_for_its_answers(server: SlowServer) -> None:
    server.slow.delay = 0.05
    found = load(server, Closed(4), 1.5)
    assert found.failures == {}
    # Four clients at 50 ms each cannot be answered more often than that.
    assert 0 < found.throughput.value <= 4 / 0.05 * 1.02
    assert found.latency_ms[50.0].value >= 50
    assert found.answered == server.slow.seen
    assert 0 < found.generator.cpu < 1
    assert len(found.samples) == found.answered


def test_an_open_loop_shows_the_queue_that_a_closed_one_hides(server: SlowServer) -> None:
    # One request at a time, 20 ms each: 50 a second. Ten requests in, everything stands still for a second.
    server.slow.delay, server.slow.room = 0.02, asyncio.Semaphore(1)
    server.slow.stall = (10, 1.0)
    closed = load(server, Closed(1), 3)
    server.slow.stall = (10, 1.0)
    opened = load(server, Open(30, "constant", 100, 0), 3)
    assert closed.failures == opened.failures == {}
    # One request of the closed loop met the second; of the open one's, all that were due while it lasted did.
    assert sum(each >= 500 for each in closed.samples) == 1
    assert sum(each >= 500 for each in opened.samples) >= 14
    assert closed.latency_ms[90.0].value < 500 <= opened.latency_ms[90.0].value


def test_an_open_loop_counts_from_when_a_request_was_due(server: SlowServer) -> None:
    # One connection at 50 ms takes 20 a second; 40 are due, so that the last one waits for about half the time.
    server.slow.delay = 0.05
    found = load(server, Open(40, "constant", 1, 0), 2)
    assert found.requests == 79
    assert found.failures == {}
    assert found.samples[-1] >= 1500
    assert found.generator.queued >= 30
    assert any("all 1 connections were in use" in each for each in found.warnings)
    # What comes after the end is no throughput of the time measured.
    assert found.throughput.value <= 21


def test_what_is_due_is_sent_whatever_the_answers_do(server: SlowServer) -> None:
    server.slow.delay = 0.3
    found = load(server, Open(50, "poisson", 200, 7), 1)
    assert found.requests == len(list(schedule(Open(50, "poisson", 200, 7), 0, 1)))
    assert found.generator.queued == 0
    assert found.latency_ms[50.0].value >= 300


def test_failures_are_counted_by_kind_and_are_in_no_latency(server: SlowServer) -> None:
    server.slow.statuses = {3: 503, 5: 503, 7: 500}
    server.slow.answers = {9: OTHER, 11: {"outputs": []}}
    found = load(server, Open(40, "constant", 10, 0), 1)
    assert found.requests == 39
    assert found.failures == {
        "status 503": 2,
        "status 500": 1,
        "wrong answer: `y`'s data[0] is 2.5, not 1.5": 1,
        "wrong answer: the answer has no output `y`": 1,
    }
    assert found.answered == len(found.samples) == 34


def test_what_is_not_answered_in_time_is_a_failure(server: SlowServer) -> None:
    server.slow.stall = (2, 5.0)
    found = load(server, Closed(2), 1.0, timeout=0.4)
    assert found.failures == {"no answer in 0.4 s": 1}
    assert found.answered > 10


def test_a_target_that_goes_away_fails(server: SlowServer) -> None:
    subject = ask(server)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    job = Job(replace(subject.address, port=port), subject.body, Closed(2), 0.5, 0, 5, subject.answer)
    found = summarise("t", job, 1, Generators().run(job))
    assert found.answered == 0
    assert list(found.failures) == ["connection refused"]
    # A refusal takes no time, and must not become a storm.
    assert found.requests <= 2 * 0.5 / 0.05 + 2
    assert math.isnan(found.latency_ms[50.0].value)


@pytest.mark.parametrize("how", ["closes", "chunked"])
def test_other_ways_of_answering(server: SlowServer, how: str) -> None:
    setattr(server.slow, how, True)
    found = load(server, Closed(2), 0.5)
    assert found.failures == {}
    assert found.answered > 5


def test_a_compressed_answer_that_nobody_asked_for_is_a_failure(server: SlowServer) -> None:
    subject = ask(server)
    assert gzip.compress(b"")
    server.slow.encoding = "identity"
    job = Job(subject.address, subject.body, Closed(1), 0.2, 0, 5, subject.answer)
    found = summarise("t", job, 1, Generators().run(job))
    assert list(found.failures) == ["the answer is compressed, which was not asked for"]


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    """A server that closes after every second answer without saying so, as one does that has waited too long."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve_two_each, args=(listening, 3))
        thread.start()
        address = Address(
            "http", "127.0.0.1", int(listening.getsockname()[1]), "/", (("Content-Length", "0"),)
        )
        found = Generators().run(Job(address, b"", Open(5, "constant", 1, 0), 1.1, 0, 5, b"[1]"))
        thread.join(10)
    assert [each for each in found[0].kinds if each] == []
    assert len(found[0].starts) == 5
    assert found[0].reconnects == 0


def _serve_two_each(listening: socket.socket, connections: int) -> None:
    for _ in range(connections):
        connection, _ = listening.accept()
        with connection:
            for _ in range(2):
                if not connection.recv(4096):
                    break
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")


def test_an_interrupt_ends_with_what_was_measured(server: SlowServer) -> None:
    subject = ask(server)
    job = Job(subject.address, subject.body, Closed(2), 60, 0, 5, subject.answer)
    generators = Generators()
    timer = threading.Timer(1.5, generators.interrupt)
    timer.start()
    found = summarise("t", job, 1, generators.run(job))
    timer.join()
    assert found.was_stopped
    assert found.failures == {}
    assert found.answered > 10
    assert 0 < found.seconds < 30
    assert any("interrupted after" in each for each in found.warnings)


def test_a_load_can_be_shared_between_processes(server: SlowServer) -> None:
    subject = ask(server)
    job = Job(subject.address, subject.body, Closed(3), 0.5, 0, 5, subject.answer)
    outcomes = Generators().run(job, 2)
    assert len(outcomes) == 2
    found = summarise("t", job, 1, outcomes)
    assert found.answered == found.requests == server.slow.seen
    assert found.generator.processes == 2
    assert [cast("Closed", each.load).clients for each in share_job(job, 2)] == [2, 1]
    parts = [cast("Open", each.load) for each in share_job(replace(job, load=Open(10, "constant", 5, 3)), 2)]
    assert parts == [Open(5, "constant", 3, 3), Open(5, "constant", 2, 4)]


def test_arrivals_are_as_they_are_called() -> None:
    even = list(schedule(Open(10, "constant", 1, 0), 100, 102))
    assert even == pytest.approx([100 + index / 10 for index in range(1, 20)])
    drawn = list(schedule(Open(1000, "poisson", 1, 0), 0, 20))
    gaps = [b - a for a, b in pairwise(drawn)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 1000, rel=0.05)
    # Independent arrivals: the gaps vary as much as they last.
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert spread == pytest.approx(mean, rel=0.1)
    assert drawn == list(schedule(Open(1000, "poisson", 1, 0), 0, 20))


def test_jobs_and_outcomes_travel() -> None:
    address = Address("grpc", "h", 1, "/p", (("a", "b"),))
    for kind in (Closed(3), Open(2.5, "poisson", 4, 1)):
        job = Job(address, b"\x00\xff", kind, 1, 2, 3, b"\x01", 7)
        assert read_job(job.to_line()) == job
    outcome = Outcome(1, 2, array("d", [1.5]), array("d", [1.75]), array("h", [1]), ["ok", "bad"])
    assert read_outcome(outcome.to_line()) == outcome


def rounds_of(latency: float) -> list[Outcome]:
    starts = array("d", [5 + index / 10 for index in range(10)])
    return [Outcome(5, 6, starts, array("d", [each + latency for each in starts]), array("h", [0] * 10))]


def test_rounds_are_put_end_to_end_and_compared() -> None:
    job = Job(Address("http", "h", 1, "/"), b"", Closed(1), 1, 0, 1)
    slow, fast = rounds_of(0.04), rounds_of(0.01)
    joined = join_rounds([slow, slow])
    assert [(each.begin, each.end) for each in joined] == [(0, 1), (1, 2)]
    whole = summarise("a", job, 1, joined), summarise("b", job, 1, join_rounds([fast, fast]))
    assert whole[0].seconds == 2
    pair = summarise("a", job, 1, slow), summarise("b", job, 1, fast)
    found = compare_rounds(whole, [pair, pair], "")
    assert found.ratios["p50"].value == pytest.approx(0.25)
    assert found.ratios["throughput"].value == pytest.approx(1)
    assert found.rounds["p99"] == pytest.approx([0.25, 0.25])
    assert cast("Mapping[str, object]", found.to_json()["ratios"]).keys() == found.ratios.keys()
