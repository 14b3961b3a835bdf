"""The service takes what Seldon's engines post, in any order, and survives what they do not."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphc.compare.intake import REQUEST, RESPONSE, EventError, Intake, IntakeLimits, read_event
from graphc.compare.observer import Seen
from graphc.compare.serve import CompareService, ServeOptions
from graphc.compare.trust import Everybody, Origin
from hypothesis import given
from hypothesis import strategies as st
from seen_answers import body_of

GRAPHC = [sys.executable, "-c", "from graphc.cli import start; start()"]
ANSWER = body_of(("label", "INT32", [1], [1]))
OTHER = body_of(("label", "INT32", [1], [2]))
ASKED = b'{"parameters": {"tier": "gold"}, "inputs": []}'


def headers_of(request: str, type_: str, predictor: str, at: float = 0.0) -> dict[str, str]:
    return {
        "Ce-Specversion": "1.0",
        "Ce-Id": f"{request}-{type_}",
        "Ce-Type": type_,
        "Ce-Source": "http://:8000/",
        "Ce-Time": f"2026-01-02T03:04:{at:012.9f}Z",
        "Ce-Requestid": request,
        "Ce-Modelid": "root",
        "Ce-Inferenceservicename": "score",
        "Ce-Namespace": "models",
        "Ce-Endpoint": predictor,
        "Ce-Protocol": "v2",
        "Content-Type": "application/json",
    }


_SLOW_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in headers_of("slow", REQUEST, "main").items())
SLOW_POST = f"POST /live HTTP/1.1\r\nHost: x\r\n{_SLOW_HEADERS}Content-Length: 1000\r\n\r\nsome".encode()
"""The beginning of a post that is an event, and never ends."""


class Watcher:
    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def observe(self, seen: Seen) -> None:
        self.seen.append(seen)

    def close(self) -> None:
        self.seen.clear()


def test_a_request_and_its_response_make_an_answer_in_either_order() -> None:
    for order in (1, -1):
        watcher = Watcher()
        intake = Intake(watcher, IntakeLimits())
        events = [
            read_event(headers_of("r", REQUEST, "main", 5.25), ASKED, shadow=False),
            read_event(headers_of("r", RESPONSE, "main", 5.375), ANSWER, shadow=False),
        ]
        for event in events[::order]:
            intake.take(event, 0.0)
        (seen,) = watcher.seen
        assert (seen.request, seen.predictor, seen.shadow, seen.status) == ("r", "main", False, 200)
        assert seen.seconds == pytest.approx(0.125)
        assert (seen.asked, seen.body, seen.mirrored) == (ASKED, ANSWER, None)
        assert len(intake) == 0


def test_a_request_without_response_is_an_answer_that_never_came() -> None:
    watcher = Watcher()
    intake = Intake(watcher, IntakeLimits(seconds=10))
    intake.take(read_event(headers_of("r", REQUEST, "ghost"), ASKED, shadow=True), 0.0)
    intake.take(read_event(headers_of("s", RESPONSE, "ghost"), ANSWER, shadow=True), 5.0)
    intake.expire(9.0)
    assert not watcher.seen
    intake.expire(30.0)
    assert [(each.request, each.status, each.shadow) for each in watcher.seen] == [
        ("r", 0, True),
        ("s", 200, True),
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from(["a", "b"])), max_size=80))
def test_what_waits_is_bounded_and_nothing_is_told_twice(events: list[tuple[int, bool, str]]) -> None:
    watcher = Watcher()
    intake = Intake(watcher, IntakeLimits(events=4, bytes=400))
    for number, is_response, predictor in events:
        type_ = RESPONSE if is_response else REQUEST
        intake.take(read_event(headers_of(str(number), type_, predictor), b" " * 90, shadow=False), 0.0)
        assert len(intake) <= 4
    intake.expire(1000.0)
    assert len(intake) == 0
    assert len(watcher.seen) <= len(events)


@pytest.mark.parametrize("missing", ["Ce-Type", "Ce-Requestid", "Ce-Inferenceservicename", "Ce-Endpoint"])
def test_events_that_lack_something_are_refused(missing: str) -> None:
    for value in ("", "x" * 300):
        headers = headers_of("r", REQUEST, "main") | {missing: value}
        with pytest.raises(EventError, match=missing):
            read_event(headers, b"", shadow=False)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-02T03:04:05.x", "9999-99-99T00:00:00Z", "0001-01-01T00:00:00Z"]
)
def test_times_that_are_none_leave_the_latency_unknown(text: str) -> None:
    watcher = Watcher()
    intake = Intake(watcher, IntakeLimits())
    intake.take(read_event(headers_of("r", REQUEST, "main") | {"Ce-Time": text}, b"", shadow=False), 0.0)
    intake.take(read_event(headers_of("r", RESPONSE, "main"), b"", shadow=False), 0.0)
    seconds = watcher.seen[0].seconds
    assert seconds != seconds or seconds > 1e9


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    environment = os.environ | {"GRAPHC_COMPARE_DATABASE": str(tmp_path / "compare.db")}
    process = subprocess.Popen([*GRAPHC, "compare-server", "--port", str(port)], env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if get(port, "/healthz")[0] == 200:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def post(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def await_pairs(port: int, pairs: int) -> dict[str, object]:
    deadline = time.monotonic() + 30
    while True:
        status, body = get(port, "/report/models/score")
        report = json.loads(body)
        found = report.get("candidates", {}).get("ghost", {}).get("samples", 0)
        if status == 200 and found >= pairs:
            return report
        assert time.monotonic() < deadline, report
        time.sleep(0.1)


def test_engines_logs_become_a_report_and_hostile_posts_do_no_harm(service: int, tmp_path: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service, timeout=20)
    slow = start_slow_posts(service)
    for number in range(60):
        sides = (("live", "main", ANSWER, 0.01), ("shadow", "ghost", ANSWER if number % 4 else OTHER, 0.02))
        for role, predictor, answer, seconds in sides:
            events = [
                (headers_of(str(number), REQUEST, predictor, 1.0), ASKED),
                (headers_of(str(number), RESPONSE, predictor, 1.0 + seconds), answer),
            ]
            for headers, body in events[:: 1 if number % 2 else -1]:
                assert post(connection, f"/{role}?segment=tier", body, headers) == 202
        assert post(connection, "/live", b"\xff" * 100, {"Content-Type": "nonsense"}) == 400
        assert post(connection, "/nowhere", b"", {}) == 404
    assert post(connection, "/live", b" " * (2 << 20), headers_of("x", REQUEST, "main")) == 413
    connection.close()
    report = await_pairs(service, 60)
    assert report["left_out"] == {}
    pairs = json.loads(json.dumps(report))["candidates"]["ghost"]
    assert pairs["agreement"] == 0.75
    assert pairs["segments"]["gold"]["samples"] == 60
    assert pairs["latency"]["p50"]["ratio"] == pytest.approx(2, rel=0.03)
    assert pairs["outputs"]["label"]["agreement"]["changes"] == {"1 → 2": 15}

    status, text = get(service, "/metrics")
    assert status == 200
    assert b'graphc_compare_pairs_total{candidate="ghost",graph="score",namespace="models"} 60.0' in text
    assert b'graphc_compare_refused_total{reason="no event"} 60.0' in text
    assert b'graphc_compare_refused_total{reason="too large"} 1.0' in text
    assert get(service, "/report/models/other")[0] == 404
    for each in slow:
        each.close()
    shown = run_cli(
        "compare", f"http://127.0.0.1:{service}", "--json", "--gate", "--promote-when", "agreement=>= 0.9"
    )
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["verdicts"][0]["outcome"] == "failed"
    assert tmp_path.joinpath("compare.db").exists()


def test_a_changed_version_is_compared_anew(service: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service, timeout=20)

    def answer(number: int, content: str, body: bytes) -> None:
        for role, predictor, found in (
            ("live?content=m", "main", ANSWER),
            (f"shadow?content={content}", "ghost", body),
        ):
            for type_, sent in ((REQUEST, ASKED), (RESPONSE, found)):
                assert post(connection, f"/{role}", sent, headers_of(str(number), type_, predictor)) == 202

    for number in range(20):
        answer(number, "bad", OTHER)
    assert agreement_of(await_pairs(service, 20)) == 0
    for number in range(20, 50):
        # The old pods answer a few more.
        answer(number, "bad" if number in {25, 26} else "good", OTHER if number in {25, 26} else ANSWER)
    # The first good answer comes after the live one of its request was put away.
    report = await_pairs(service, 27)
    assert agreement_of(report) == 1
    assert b'graphc_compare_refused_total{reason="outdated"} 4.0' in get(service, "/metrics")[1]
    connection.close()


def agreement_of(report: dict[str, object]) -> float:
    found: float = json.loads(json.dumps(report))["candidates"]["ghost"]["agreement"]
    return found


def start_slow_posts(port: int) -> list[socket.socket]:
    """Begin posts that never end."""
    sockets: list[socket.socket] = []
    for _ in range(20):
        each = socket.create_connection(("127.0.0.1", port))
        each.sendall(SLOW_POST)
        sockets.append(each)
    return sockets


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GRAPHC, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_service_that_cannot_be_reached_is_said_plainly() -> None:
    port = free_port()
    done = run_cli("compare", f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"Error: `http://127.0.0.1:{port}/report` cannot be reached: [Errno 111] Connection refused\n"
    )


def test_slow_posts_are_ended() -> None:
    async def talk() -> bytes:
        service = CompareService(ServeOptions(host="127.0.0.1", port=0, post_seconds=0.2))
        reader, writer = await asyncio.open_connection("127.0.0.1", await service.start())
        writer.write(SLOW_POST)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await service.stop()
        return line

    assert asyncio.run(talk()) == b"HTTP/1.1 408 Request Timeout\r\n"


def test_what_nobody_expected_is_answered_and_the_next_post_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Everybody):
        async def admits(self, address: str, origin: Origin) -> bool:
            if origin.graph == "score":
                raise ValueError(f"payload of {address}")
            return True

    head = "".join(f"{name}: {value}\r\n" for name, value in headers_of("r", REQUEST, "main").items())
    post_text = f"POST /live HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{head}\r\n"

    async def talk() -> list[bytes]:
        service = CompareService(ServeOptions(host="127.0.0.1", port=0, trust=Failing()))
        reader, writer = await asyncio.open_connection("127.0.0.1", await service.start())
        found = list[bytes]()
        for text in (
            post_text,
            post_text.replace("score", "other"),
            "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
        ):
            writer.write(text.encode())
            found.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
            if found[-1].split()[1] != b"202":
                await reader.readuntil(b"}")
        writer.close()
        await writer.wait_closed()
        await service.stop()
        return found

    assert [line.split()[1] for line in asyncio.run(talk())] == [b"500", b"202", b"404"]
    assert "ValueError" in caplog.text
    assert "payload" not in caplog.text
