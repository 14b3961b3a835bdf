"""Answers in parts: of a unit over real sockets, whose last node asks a server that streams."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from graphc_runtimes.errors import LoadError
from graphc_runtimes.servers.dialect import AnswerError
from graphc_runtimes.servers.events import read_events
from plane_sockets import Answer, Client, Running, post
from streaming_server import CUT, END, StreamingServer, chat_events, event, make_certificate, streaming_server

Json = dict[str, Any]
Build = Callable[..., Json]
Serve = Callable[..., Running]

STREAM: Final = "/v2/models/graph/infer_stream"
UPPER: Final = """
def upper(x):
    return {"y": [each.upper() for each in x]}
"""


def text(*rows: str, **fields: object) -> bytes:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [len(rows)], "data": list(rows)}
    return json.dumps({"inputs": [tensor], **fields}).encode()


def events(answer: Answer) -> list[Json]:
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.body.endswith(b"\n\n") or not answer.body
    return [json.loads(each.removeprefix(b"data: ")) for each in answer.body.split(b"\n\n")[:-1]]


def texts(found: list[Json]) -> list[str]:
    return ["".join(each["outputs"][0]["data"]) if "outputs" in each else each["error"] for each in found]


def read_event(client: Client) -> Json:
    """Return the next event of a stream whose head was read."""
    file = client._file  # pyright: ignore[reportPrivateUsage]
    size = int(file.readline(), 16)
    data = file.read(size)
    assert file.readline() == b"\r\n"
    return json.loads(data.removeprefix(b"data: "))


@pytest.fixture
def llm() -> Iterator[StreamingServer]:
    with streaming_server() as server:
        yield server


@pytest.fixture
def asking(build: Build, node: Build, llm: StreamingServer) -> Build:
    """Return the region of a node that asks the server; fields of the node may be others."""

    def make(
        parameters: Mapping[str, object] | None = None, before: Json | None = None, **fields: Any
    ) -> Json:
        reads = "x" if before is None else "first.y"
        summary = node(
            "summary", {"text": reads}, {"text": "summary.text"}, kind="server", server="openai", at="llm",
            url=llm.url, model="tiny", parameters={"task": "chat", "stream": True, **(parameters or {})},
            declares={"text": {"datatype": "BYTES", "shape": ["batch"]}}, dims={"batch": ["text", 0]}, **fields,
        )  # fmt: skip
        nodes = [summary] if before is None else [before, summary]
        return build(nodes, takes=["x: BYTES[batch]"], answers={"summary.text": "summary: BYTES[batch]"})

    return make


def test_parts_come_in_order_as_v2_answers_and_make_the_whole(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    running = serve(asking({"system": "Be short.", "max_tokens": 9}))
    client = running.connect()
    found = events(client.ask(text("note", id="seven"), STREAM))
    assert found == [
        {
            "model_name": "graph", "id": "seven", "parameters": {},
            "outputs": [{"name": "summary", "datatype": "BYTES", "shape": [1], "data": [each]}],
        }
        for each in ("one ", "two ", "three")
    ]  # fmt: skip
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "note"}]
    assert llm.asked == [{"model": "tiny", "max_tokens": 9, "messages": messages, "stream": True}]
    whole = client.ask(text("note")).json
    assert whole["outputs"][0]["data"] == ["one two three"]
    assert "stream" not in llm.asked[1]
    assert running.meter.requests == [(STREAM, 200), ("/v2/models/graph/infer", 200)]
    assert running.meter.inferences == [("graph", False), ("graph", False)]


def test_completions_stream_too(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    llm.say(
        event({"choices": [{"index": 0, "text": "a", "finish_reason": None}]}),
        event({"choices": [{"index": 0, "text": "b", "finish_reason": "length"}]}),
        END,
    )
    client = serve(asking({"task": "completions"})).connect()
    assert texts(events(client.ask(text("note"), STREAM))) == ["a", "b"]
    assert llm.asked[0]["prompt"] == "note"


def test_a_part_is_there_before_the_next_is_made(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    go_on = threading.Event()
    first, one, two, *rest = chat_events("one ", "two ")
    llm.say(first, one, go_on, two, *rest, END)
    client = serve(asking()).connect()
    client.send(post(text("note"), STREAM))
    head = client.read_head()
    assert (head.headers["transfer-encoding"], head.headers["cache-control"]) == ("chunked", "no-cache")
    assert texts([read_event(client)]) == ["one "]
    go_on.set()
    assert texts([read_event(client)]) == ["two "]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_events_may_be_cut_anywhere_letters_too(
    serve: Serve, asking: Build, llm: StreamingServer, ending: bytes
) -> None:
    stream = b": a comment\n\nretry: 3\n" + b"".join(chat_events("Grüße ", "日本", " 🦀"))
    stream = stream.replace(b"\n", ending)
    llm.say(*(stream[at : at + 1] for at in range(len(stream))), END)
    client = serve(asking()).connect()
    assert texts(events(client.ask(text("note"), STREAM))) == ["Grüße ", "日本", " 🦀"]


def test_nodes_before_it_run_first(
    serve: Serve, asking: Build, llm: StreamingServer, node: Build, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "own.py").write_text(UPPER)
    first = node(
        "first", {"x": "x"}, {"y": "first.y"}, kind="python", entry="own:upper", path="first",
        declares={"y": {"datatype": "BYTES", "shape": ["batch"]}},
    )  # fmt: skip
    client = serve(asking(before=first)).connect()
    assert len(events(client.ask(text("note"), STREAM))) == 3
    assert llm.asked[0]["messages"][0]["content"] == "NOTE"


def test_an_empty_answer_is_one_part(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    llm.say(*chat_events(), END)
    assert texts(events(serve(asking()).connect().ask(text("note"), STREAM))) == [""]


# --- Failures ------------------------------------------------------------------------------------------


def test_what_fails_before_the_first_part_is_an_ordinary_answer(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    running = serve(asking())
    client = running.connect()
    for body, status, said in (
        (text("a", "b"), 400, "a stream answers one row, and the request has 2"),
        (b"{}", 400, "inputs"),
        (text("a").replace(b"BYTES", b"FP32"), 400, "is FP32, not BYTES"),
    ):
        answer = client.ask(body, STREAM)
        assert (answer.status, said in answer.json["error"]) == (status, True), answer.body
    assert llm.asked == []
    llm.refuses = (404, {"error": {"message": "no such model"}})
    answer = client.ask(text("note"), STREAM)
    told = "node `summary`: its server (An OpenAI-compatible endpoint) answered 404: no such model"
    assert (answer.status, answer.json) == (500, {"error": told})
    llm.refuses = (200, {"choices": []})
    answer = client.ask(text("note"), STREAM)
    assert (answer.status, answer.json["error"].endswith("answered with no stream of events")) == (500, True)
    llm.refuses = None
    half = chat_events("whole")[1].replace(b"whole", b"\\ud83d")
    assert b'"\\ud83d"' in half
    llm.say(half, END)
    answer = client.ask(text("note"), STREAM)
    assert (answer.status, answer.json["error"].endswith("that holds half of a character")) == (500, True)
    llm.say(*chat_events("whole"), END)
    assert len(events(client.ask(text("note"), STREAM))) == 1
    assert [status for _, status in running.meter.requests] == [400, 400, 400, 500, 500, 500, 200]


FIRST: Final = chat_events("one ")[:2]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((CUT,), "closed the connection before its answer was whole"),
        ((END,), "ended its stream before its answer was whole"),
        ((event("{garbage"), END), "streamed an event that is no JSON object"),
        ((event("[1]"), END), "streamed an event that is no JSON object"),
        ((b"data: \xff\n\n", END), "streamed an event that is no JSON object"),
        ((event({"choices": [{"delta": 3}]}), END), "streamed a choice that has no text"),
        ((event({"choices": [{"delta": {"content": 3}}]}), END), "streamed a choice that has no text"),
        ((b"data: " + b"x" * 2**20, b"x\n\n", END), "streamed an event of more than 1048576 bytes"),
        (
            (event({"error": {"message": "no memory for 4711"}}), END),
            "failed within its stream: no memory for 4711",
        ),
    ],
)
def test_what_fails_later_is_the_last_event(
    serve: Serve,
    asking: Build,
    llm: StreamingServer,
    caplog: pytest.LogCaptureFixture,
    steps: tuple[Any, ...],
    said: str,
) -> None:
    llm.say(*FIRST, *steps)
    running = serve(asking())
    client = running.connect()
    found = events(client.ask(text("note"), STREAM))
    told = f"node `summary`: its server (An OpenAI-compatible endpoint) {said}"
    assert texts(found) == ["one ", told]
    assert found[1] == {"error": told}
    # The words of the server may hold what a client sent.
    assert "its server (An OpenAI" in caplog.text
    assert "4711" not in caplog.text
    llm.say(*chat_events("fine"), END)
    assert texts(events(client.ask(text("note"), STREAM))) == ["fine"]
    assert [status for _, status in running.meter.requests] == [500, 200]


def test_a_server_that_falls_silent_ends_the_stream(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    llm.say(*FIRST, 5.0, END)
    client = serve(asking(timeout_ms=300)).connect()
    assert texts(events(client.ask(text("note"), STREAM)))[1].endswith("did not finish its answer in time")
    assert llm.left.wait(3)


def test_a_stream_may_take_longer_than_each_part(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    first, *parts = chat_events(*"abcdef")
    llm.say(first, *(step for each in parts for step in (0.15, each)), END)
    client = serve(asking(timeout_ms=600)).connect()
    assert texts(events(client.ask(text("note"), STREAM))) == list("abcdef")


def test_a_stream_ends_with_the_graphs_deadline(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    llm.say(*FIRST, *(step for each in chat_events(*"ab" * 100) for step in (0.05, each)), END)
    region = asking()
    region["graph"]["deadline_ms"] = 400
    running = serve(region)
    found = texts(events(running.connect().ask(text("note"), STREAM)))
    assert found[-1] == "deadline of 400ms passed within node `summary`"
    assert 2 < len(found) < 12
    assert [status for _, status in running.meter.requests] == [504]


def test_a_stream_has_a_longest_time(
    serve: Serve, asking: Build, llm: StreamingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_STREAM_TIMEOUT_S", "1")
    # Comments are no parts, and keep a connection all the same.
    llm.say(*FIRST, *(step for _ in range(100) for step in (0.05, b": still here\n\n")), END)
    found = texts(events(serve(asking()).connect().ask(text("note"), STREAM)))
    assert found[-1].endswith("did not finish its answer in time")


def test_retries_and_defaults_hold_until_the_first_part(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    default = {"text": {"value": "-", "datatype": "BYTES", "shape": ["text"]}}
    policy = {"retries": 2, "on_error": "default", "default": default}
    client = serve(asking(policy=policy)).connect()
    llm.is_failing = 2
    assert texts(events(client.ask(text("note"), STREAM))) == ["one ", "two ", "three"]
    assert len(llm.asked) == 3
    llm.is_failing = 3
    (found,) = events(client.ask(text("note"), STREAM))
    assert (texts([found]), found["parameters"]) == (["-"], {"graphc_fallbacks": ["summary"]})
    llm.say(*FIRST, CUT)
    assert texts(events(client.ask(text("note"), STREAM)))[1].endswith("before its answer was whole")
    assert len(llm.asked) == 7


# --- TLS -----------------------------------------------------------------------------------------------


def test_streams_pass_over_tls_and_end_with_their_client(
    serve: Serve, asking: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    trust = make_certificate(tmp_path)
    with streaming_server(trust) as secure:
        region = asking()
        region["nodes"][0]["url"] = secure.url
        client = serve(region).connect()
        for path in (STREAM, "/v2/models/graph/infer"):
            answer = client.ask(text("note"), path)
            said = "has no certificate that is trusted here"
            assert (answer.status, answer.json["error"].endswith(said)) == (500, True)
        assert secure.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        client = serve(region).connect()
        assert texts(events(client.ask(text("note"), STREAM))) == ["one ", "two ", "three"]
        assert client.ask(text("note")).json["outputs"][0]["data"] == ["one two three"]
        secure.say(*FIRST, 8.0, END)
        client.send(post(text("note"), STREAM))
        client.read_head()
        read_event(client)
        client.close()
        assert secure.left.wait(3)
        region["nodes"][0]["url"] = secure.url.replace("localhost", "127.0.0.1")
        answer = serve(region).connect().ask(text("note"), STREAM)
        assert (answer.status, answer.json["error"].endswith(said)) == (500, True)


def test_a_server_is_trusted_by_certificates_of_its_own_alone(
    serve: Serve, asking: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    with streaming_server(make_certificate(tmp_path)) as secure:
        region = asking(trust="GRAPHC_CA_LLM")
        region["nodes"][0]["url"] = secure.url
        for given, said in (("", "is not set"), ("nothing", "holds no certificates as PEM")):
            monkeypatch.setenv("GRAPHC_CA_LLM", given)
            with pytest.raises(LoadError, match=rf"node `summary`: the variable `GRAPHC_CA_LLM`.* {said}"):
                serve(region)
        # Bundles name their certificates in any letters.
        monkeypatch.setenv("GRAPHC_CA_LLM", "# Főtanúsítvány\n" + (tmp_path / "ca.pem").read_text())
        client = serve(region).connect()
        assert texts(events(client.ask(text("note"), STREAM))) == ["one ", "two ", "three"]
        assert client.ask(text("note")).json["outputs"][0]["data"] == ["one two three"]
        # The machine may trust it: the graph says who does.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("GRAPHC_CA_LLM", (other / "ca.pem").read_text())
        client = serve(region).connect()
        for path in (STREAM, "/v2/models/graph/infer"):
            answer = client.ask(text("note"), path)
            said = "has no certificate that is trusted here"
            assert (answer.status, answer.json["error"].endswith(said)) == (500, True)


# --- Clients -------------------------------------------------------------------------------------------


def test_a_client_that_leaves_ends_the_call_to_the_server(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    running = serve(asking(), threads=1, queue=0)
    llm.say(*FIRST, 8.0, END)
    client = running.connect()
    client.send(post(text("note"), STREAM))
    client.read_head()
    read_event(client)
    other = running.connect()
    assert other.ask(text("note"), STREAM).status == 503
    client.close()
    assert llm.left.wait(3)
    await_place(other, llm)
    assert [status for _, status in running.meter.requests if status != 503] == [499, 200]


def test_a_client_that_leaves_before_the_first_part_does_so_too(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    running = serve(asking(), threads=1, queue=0)
    llm.say(8.0, END)
    client = running.connect()
    client.send(post(text("note"), STREAM))
    while not llm.asked:
        time.sleep(0.01)
    client.close()
    assert llm.left.wait(3)
    await_place(running.connect(), llm)
    assert [status for _, status in running.meter.requests if status != 503] == [499, 200]


def await_place(client: Client, llm: StreamingServer) -> None:
    """Ask until the stream that was given up has left its place."""
    llm.say(*chat_events("fine"), END)
    until = time.monotonic() + 5
    while (answer := client.ask(text("note"), STREAM)).status == 503:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert texts(events(answer)) == ["fine"]


def test_a_slow_client_slows_the_server_down(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    letter = "x" * 20_000
    parts = chat_events(*[letter] * 2000)
    llm.say(*parts, END)
    client = serve(asking()).connect()
    client.send(post(text("note"), STREAM))
    sent, until = -1, time.monotonic() + 8
    while sent != llm.sent and time.monotonic() < until:
        sent = llm.sent
        time.sleep(0.5)
    # What is on the way fits into the buffers of the system, which are a few MB, and of the unit.
    assert sent < 24_000_000
    client.read_head()
    assert {each for _ in range(2000) for each in texts([read_event(client)])} == {letter}
    assert client._file.readline() == b"0\r\n"  # pyright: ignore[reportPrivateUsage]
    assert llm.sent == sum(map(len, parts))


def test_a_client_of_http_1_0_has_the_end_of_the_connection(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    client = serve(asking()).connect()
    client.send(post(text("note"), STREAM).replace(b"HTTP/1.1", b"HTTP/1.0"))
    head = client.read_head()
    assert "transfer-encoding" not in head.headers
    body = client._file.read()  # pyright: ignore[reportPrivateUsage]
    assert body.count(b"data: ") == 3
    assert len(llm.asked) == 1


def test_a_stream_that_has_begun_is_finished_when_the_server_ends(
    serve: Serve, asking: Build, llm: StreamingServer
) -> None:
    go_on = threading.Event()
    first, one, two, *rest = chat_events("one ", "two ")
    llm.say(first, one, go_on, two, *rest, END)
    running = serve(asking())
    client = running.connect()
    client.send(post(text("note"), STREAM))
    client.read_head()
    assert texts([read_event(client)]) == ["one "]
    running.end()
    time.sleep(0.3)
    go_on.set()
    assert texts([read_event(client)]) == ["two "]
    assert client._file.readline() == b"0\r\n"  # pyright: ignore[reportPrivateUsage]
    assert client._file.readline() == b"\r\n"  # pyright: ignore[reportPrivateUsage]
    assert client.is_closed()


def test_other_units_have_no_streams(serve: Serve, asking: Build, llm: StreamingServer) -> None:
    assert serve(asking({"stream": False})).connect().ask(text("note"), STREAM).json["cold"] == "POST"
    assert llm.asked == []


# --- Events --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\ndata: b\n\n", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"event: x\nid: 3\ndata: a\r\n\r\n", [b"a"]),
        (b"data\n\ndata:  a\n\n", [b"", b" a"]),
        (b":comment\n\n\n\ndata: a\n\ndata: unfinished\n", [b"a"]),
        (b"dataset: a\n\n", []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_read_as_the_standard_says(stream: bytes, found: list[bytes], size: int) -> None:
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert list(read_events(pieces, 100)) == found
    assert list(read_events([b"", *(each for piece in pieces for each in (piece, b""))], 100)) == found


@pytest.mark.parametrize("stream", [b"x" * 101, b"data: " + b"x" * 101 + b"\n", b"data: xxx\n" * 40])
def test_an_event_has_a_largest_size(stream: bytes) -> None:
    with pytest.raises(AnswerError, match="an event of more than 100 bytes"):
        list(read_events([stream], 100))
