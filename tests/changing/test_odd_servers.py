"""API servers that drip, flood, talk nonsense or prove nothing of themselves: one clear line, in time."""

import base64
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, cast

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cluster.bundle import DEPLOYMENT
from graphc.cluster.client import Cluster, Kind, Ref
from graphc.cluster.judges import load
from graphc.cluster.problem import ClusterError
from graphc.cluster.serving_seldon import state_of
from graphc.cluster.trouble import find_complaints, is_passing
from graphc.fetch import fetch
from graphc.ir.graph import Value
from graphc.unchecked import Data

ROOT: Final = Path(__file__).parents[2]
GRAPH: Final = str(ROOT / "graphs" / "diabetes-tier" / "graph.yaml")
GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]

Answer = Callable[[socket.socket, threading.Event], None]
JSON: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(head: bytes, body: bytes) -> Answer:
    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return answer


def raw(data: bytes) -> Answer:
    return lambda connection, _: connection.sendall(data)


def drip(before: bytes, part: bytes) -> Answer:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(before)
        while not over.wait(0.1):
            connection.sendall(part)

    return answer


def flood(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(JSON + b"Transfer-Encoding: chunked\r\n\r\n")
    part = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
    while not over.is_set():
        connection.sendall(part)


@contextmanager
def serving(answer: Answer, certificate: Path | None = None) -> Generator[int]:
    """Answer every request of every connection alike, and yield the port."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            secured = context.wrap_socket(connection, server_side=True) if context else connection
            with secured:
                while secured.recv(65536):
                    answer(secured, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        listener.close()


def write_kubeconfig(folder: Path, port: int, scheme: str = "http", **cluster: bool) -> str:
    config = {
        "clusters": [{"name": "x", "cluster": {"server": f"{scheme}://127.0.0.1:{port}", **cluster}}],
        "users": [{"name": "x", "user": {"token": "hunter2"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


DEEP: Final = b"[" * 200_000
ODD: Final[dict[str, Answer]] = {
    "nothing": lambda connection, _: connection.close(),
    "no-http": raw(b"220 mail.example ESMTP\r\n"),
    "a-page": whole(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", b"<html>Sign in</html>"),
    "a-list": whole(JSON, b"[1, 2]"),
    "half": raw(JSON + b"Content-Length: 400\r\nConnection: close\r\n\r\n{"),
    "deep": whole(JSON, DEEP),
    "no-utf8": whole(JSON, b'{"a": "\xff"}'),
    "long-number": whole(JSON, b'{"a": ' + b"9" * 10_000 + b"}"),
    "bad-length": raw(JSON + b"Content-Length: -7\r\n\r\n{}"),
    "bad-chunk": raw(JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad-gzip": whole(JSON + b"Content-Encoding: gzip\r\n", b"not gzip at all"),
    "long-head": raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"),
    "many-heads": raw(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 500 + b"\r\n"),
    "moved": whole(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n", b""),
    "escapes": whole(
        b"HTTP/1.1 403 Forbidden\r\n", json.dumps({"message": "\x1b[31m" + 5000 * "no "}).encode()
    ),
    "odd-refusal": whole(b"HTTP/1.1 403 Forbidden\r\n", b'{"message": [1], "reason": {}, "details": 3}'),
    "odd-types": whole(JSON, b'{"items": {"a": 1}, "metadata": 3, "resources": "x", "status": []}'),
    "flood": flood,
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("command", [("status", "g"), ("history", "g"), ("plan", GRAPH, "-n", "models")])
def test_an_odd_answer_is_one_clear_line(name: str, command: tuple[str, ...], tmp_path: Path) -> None:
    with serving(ODD[name]) as port:
        config = write_kubeconfig(tmp_path, port)
        done = run(*command, "--kubeconfig", config, "--request-timeout", "2s")
    if name == "odd-types":
        # An object that holds nothing that is looked for is one that is not there.
        assert done.exit_code in {0, 1, 2}, done.output
    else:
        assert done.exit_code == 1, done.output
        assert done.output.startswith("Error: ")
        assert len(done.output.splitlines()) == 1
    assert len(done.output) < 4096
    assert "\x1b" not in done.output
    assert "hunter2" not in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "answer",
    [
        drip(JSON + b"Content-Length: 100000\r\n\r\n", b" "),
        drip(JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        drip(b"", b""),
    ],
    ids=["body", "chunks", "headers", "header", "silence"],
)
def test_a_server_that_drips_holds_nobody_longer_than_asked(answer: Answer, tmp_path: Path) -> None:
    with serving(answer) as port:
        config = write_kubeconfig(tmp_path, port)
        start = time.monotonic()
        done = run("status", "g", "--kubeconfig", config, "--request-timeout", "3s")
        took = time.monotonic() - start
    assert done.exit_code == 1
    assert "does not answer within 3 s" in done.output or "does not answer: " in done.output, done.output
    # One request and what is sent again of it; the rest is a busy machine's.
    assert took < 20


@pytest.mark.parametrize("name", ODD)
def test_an_odd_report_is_one_clear_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.compare.reading._TIMEOUT_S", 2)
    with serving(ODD[name]) as port:
        done = run("compare", f"http://127.0.0.1:{port}/report")
    assert done.exit_code == 1, done.output
    assert done.output.startswith("Error: ")
    assert len(done.output.splitlines()) == 1
    assert len(done.output) < 4096


# What is JSON, and lacks all that is looked for in it.
EMPTY: Final = frozenset({"a-list", "odd-types"})


@pytest.mark.parametrize("name", sorted(set(ODD) - EMPTY))
def test_odd_metrics_are_one_clear_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.cluster.judges.ANSWER_SECONDS", 2)
    with serving(ODD[name]) as port, pytest.raises(ClusterError) as caught:
        load(f"http://user:hunter2@127.0.0.1:{port}/api/v1/query")
    assert len(str(caught.value).splitlines()) == 1
    assert "hunter2" not in str(caught.value)


def test_the_user_of_an_address_is_sent_and_is_no_part_of_the_host() -> None:
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name is from elsewhere)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch(f"http://u%20x:hunter2@127.0.0.1:{server.server_port}/", seconds=60, most_bytes=9)
        fetch(f"http://127.0.0.1:{server.server_port}/", seconds=60, most_bytes=9)
        server.shutdown()
    assert heard == ["Basic " + base64.b64encode(b"u x:hunter2").decode(), None]


def test_a_report_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.compare.reading._TIMEOUT_S", 1)
    with serving(drip(JSON + b"Content-Length: 100000\r\n\r\n", b" ")) as port:
        start = time.monotonic()
        done = run("compare", f"http://127.0.0.1:{port}/report")
        assert time.monotonic() - start < 60
    assert done.exit_code == 1
    assert "does not answer within 1 s" in done.output


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate with its key that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run(
        [*command, "-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.mark.parametrize(("skips", "lines"), [(True, 1), (False, 0)])
def test_a_cluster_without_verification_is_warned_of_once(
    skips: bool, lines: int, certificate: Path, tmp_path: Path
) -> None:
    answer = whole(JSON, b'{"kind": "List", "items": []}')
    with serving(answer, certificate) as port:
        config = write_kubeconfig(tmp_path, port, "https", **{"insecure-skip-tls-verify": skips})
        # In a process of its own: a warning that Python has shown once is not shown again.
        done = subprocess.run(
            [*GRAPHC, "status", "--kubeconfig", config, "-n", "models", "--request-timeout", "5s"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    warned = [
        line for line in done.stderr.splitlines() if "verif" in line.lower() and "warning" in line.lower()
    ]
    assert len(warned) == lines, done.stderr
    assert "InsecureRequestWarning" not in done.stderr
    if skips:
        assert warned == [
            "warning: TLS verification is off for the cluster of the context `x`: whoever answers may be somebody else"
        ]
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert "certificate verify failed" in done.stderr


OVERTAKEN: Final = (
    'Operation cannot be fulfilled on seldondeployments.machinelearning.seldon.io "g": the object has been modified; '
    "please apply your changes to the latest version and try again"
)


def test_a_write_that_was_overtaken_is_no_failure() -> None:
    failed: dict[str, Value] = {"status": {"state": "Failed", "description": OVERTAKEN}}
    assert is_passing(OVERTAKEN)
    assert state_of(failed) == "Creating"
    assert state_of({"status": {"state": "Failed", "description": "no such image"}}) == "Failed"
    assert state_of({"status": {"state": "Available", "description": OVERTAKEN}}) == "Available"


class Complaints:
    """A cluster in which somebody complained of the SeldonDeployment."""

    def __init__(self, *messages: str) -> None:
        self._events: list[Data] = [{"message": each, "reason": "InternalError"} for each in messages]

    def find(self, kind: Kind, *_: object) -> list[Data]:
        return self._events if kind == Kind("v1", "Event") else []


def test_complaints_that_pass_are_no_trouble() -> None:
    cluster = cast("Cluster", Complaints(OVERTAKEN, "the quota is used up"))
    troubles = find_complaints(cluster, Ref(DEPLOYMENT, "models", "g"))
    assert [each.reason for each in troubles] == ["the quota is used up"]
