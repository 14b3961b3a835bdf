"""`graphc infer --stream`: parts are printed as they come, and what breaks off is told."""

import asyncio
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli.infer_command import command
from graphc.client.failure import InferError
from graphc.client.infer import InferOptions
from graphc.client.streaming import stream
from graphc.client.target import parse_target

METADATA: Final = {"name": "m", "inputs": [{"name": "x", "datatype": "BYTES", "shape": [-1]}]}


def event(text: str, **more: Any) -> bytes:
    output = {"name": "y", "datatype": "BYTES", "shape": [1], "data": [text]} | more
    return f"data: {json.dumps({'outputs': [output]}, ensure_ascii=False)}\n\n".encode()


class Stub:
    """A server that streams what it is told to."""

    def __init__(self) -> None:
        self.steps: list[bytes | threading.Event] = [event("Grüße,\n"), event("two")]
        self.is_cut = False
        self.kind = "text/event-stream"
        self.status = 200
        self.asked: list[tuple[str, Any]] = []
        self.url = ""


@pytest.fixture
def stub() -> Iterator[Stub]:
    told = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(200, json.dumps(METADATA).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            if told.status != 200:
                self.answer(told.status, b'{"error": "no such model"}')
                return
            self.send_response(200)
            self.send_header("Content-Type", told.kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for step in told.steps:
                if isinstance(step, bytes):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(step), step))
                else:
                    step.wait(5)
            self.close_connection = True
            if not told.is_cut:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    with _serving(Handler) as told.url:
        yield told


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v2/models/m"
    server.shutdown()
    server.server_close()
    thread.join()


def infer(stub: Stub, *options: str) -> Result:
    return CliRunner().invoke(command, [stub.url, "--input", 'x=["note"]', "--stream", *options])


def test_texts_are_printed_one_behind_the_other(stub: Stub) -> None:
    done = infer(stub, "--version", "2", "--parameter", "a=1")
    assert (done.exit_code, done.stdout) == (0, "Grüße,\ntwo\n")
    ((path, body),) = stub.asked
    assert path == "/v2/models/m/versions/2/infer_stream"
    assert body["inputs"] == [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["note"]}]
    assert body["parameters"] == {"a": 1}


def test_each_part_is_a_line_of_json_where_that_is_asked_for(stub: Stub) -> None:
    lines = infer(stub, "--output", "json").stdout.splitlines()
    assert [json.loads(line)["outputs"][0]["data"] for line in lines] == [["Grüße,\n"], ["two"]]


def test_a_part_is_there_before_the_next_is_made(stub: Stub) -> None:
    go_on = threading.Event()
    stub.steps = [event("one"), go_on, event("two")]

    async def read() -> list[bytes]:
        found: list[bytes] = []
        async for part in stream(
            parse_target(stub.url, None, grpc=False), InferOptions(['x=["note"]'], {}, [], 5)
        ):
            found += part.tensors[0].array.tolist()
            go_on.set()
        return found

    assert asyncio.run(read()) == [b"one", b"two"]


def test_events_may_be_cut_anywhere(stub: Stub) -> None:
    whole = (b": hello\n\n" + event("Grüße") + event("two")).replace(b"\n", b"\r\n")
    stub.steps = [whole[at : at + 1] for at in range(len(whole))]
    assert infer(stub).stdout == "Grüßetwo\n"


@pytest.mark.parametrize(
    ("steps", "is_cut", "shown", "said"),
    [
        (
            [event("one"), b'data: {"error": "node `x` failed"}\n\n'],
            False,
            "one\n",
            "broke off its answer: node",
        ),
        ([event("one")], True, "one\n", "broke off its answer"),
        ([b"data: nothing\n\n"], False, "", "the answer is not JSON"),
        ([event("1", datatype="INT32", data=[1])], False, "", "say `--output json`"),
    ],
)
def test_what_breaks_off_is_told(
    stub: Stub, steps: list[bytes | threading.Event], is_cut: bool, shown: str, said: str
) -> None:
    stub.steps, stub.is_cut = steps, is_cut
    done = infer(stub)
    assert (done.exit_code, done.stdout, said in done.stderr) == (1, shown, True), done.stderr


def test_a_server_that_falls_silent_is_told(stub: Stub) -> None:
    stub.steps = [event("one"), threading.Event()]
    done = infer(stub, "--timeout", "0.3")
    assert (done.exit_code, done.stdout, "did not go on in time" in done.stderr) == (1, "one\n", True)


def test_what_does_not_stream_is_told(stub: Stub) -> None:
    stub.status = 404
    assert "refused the request (status 404): no such model" in infer(stub).stderr
    stub.status, stub.kind = 200, "application/json"
    assert "answers `m` as a whole; leave `--stream` out" in infer(stub).stderr
    for options in (["--grpc"], ["--output", "csv"]):
        target = ["grpc://127.0.0.1:1/m"] if "--grpc" in options else [stub.url]
        done = CliRunner().invoke(command, [*target, "--input", "x=[1]", "--stream", *options])
        assert done.exit_code == 2
    with pytest.raises(InferError, match="cannot be reached"):
        asyncio.run(
            anext(
                stream(
                    parse_target("http://127.0.0.1:1/v2/models/m", None, grpc=False),
                    InferOptions([], {}, [], 1),
                )
            )
        )
