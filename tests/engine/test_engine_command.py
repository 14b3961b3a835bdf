"""`graphc engine`: one line and a status for every manifest that cannot be served."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from graphc.cli.engine_command import command

HEAD = "kind: SeldonDeployment\nspec:\n  predictors:\n"
UNIT = "{name: main, graph: {name: a, endpoint: {service_host: localhost, httpPort: 9}}}\n"
GOOD = f"kind: ConfigMap\n---\n{HEAD}  - {UNIT}"


def _run(manifest: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(manifest), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"kind: Pod", "holds no SeldonDeployments"),
        (f"{GOOD}---\n{GOOD}".encode(), "holds 2 SeldonDeployments"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (HEAD.encode(), "spec.predictors: no predictors"),
        (f"{HEAD}  - {{name: main, graph: {{name: a}}}}".encode(), "unit `a` has no endpoint"),
        (f"{HEAD}  - {{name: other, graph: {{name: a}}}}".encode(), "no predictor `main`"),
    ],
)
def test_an_unreadable_manifest_is_one_line_and_status_one(tmp_path: Path, text: bytes, message: str) -> None:
    manifest = tmp_path / "deployment.yaml"
    manifest.write_bytes(text)
    status, output = _run(manifest, "--predictor", "main")
    assert status == 1
    assert message in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "error[GC005]: the file holds no document"),
        ("a: [", "error[GC004]: a value is missing here"),
        ("a: {<<: 1}", "error[GC014]: `<<` merges mappings, and this is none"),
        ("[" * 5000, "error[GC007]: values nest here more than 100 levels deep"),
        (
            f"{HEAD}  - {{name: main, graph: &g {{name: a, children: [*g]}}}}",
            "error[GC008]: `g` stands inside the value that it names",
        ),
    ],
)
def test_a_file_that_is_no_yaml_is_shown_at_its_line(tmp_path: Path, text: str, message: str) -> None:
    manifest = tmp_path / "deployment.yaml"
    manifest.write_text(text)
    status, output = _run(manifest)
    assert status == 1
    assert output.startswith(f"{message}\n --> {manifest}:")


def test_a_missing_manifest_is_one_line(tmp_path: Path) -> None:
    status, output = _run(tmp_path / "absent.yaml")
    assert (status, len(output.splitlines())) == (1, 1)
    assert "No such file" in output


def test_bad_usage_is_status_two(tmp_path: Path) -> None:
    assert _run(tmp_path / "x", "--http-port", "70000")[0] == 2
    assert CliRunner().invoke(command, []).exit_code == 2


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    manifest = tmp_path / "deployment.yaml"
    manifest.write_text(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--http-port", "--grpc-port"):
            status, output = _run(manifest, "--http-port", "0", option, port)
            assert (status, len(output.splitlines())) == (1, 1), output
            assert "cannot listen" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    manifest = tmp_path / "deployment.json"
    graph = {"name": "a", "endpoint": {"service_host": "localhost", "httpPort": 9}}
    predictors = [{"name": "main", "graph": graph}]
    manifest.write_text(json.dumps({"kind": "SeldonDeployment", "spec": {"predictors": predictors}}))
    program = "from graphc.cli import main; main()"
    ports = ["--http-port", "0", "--grpc-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", program, "engine", str(manifest), *ports],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        assert process.stdout.readline().startswith(b"grpc://127.0.0.1:")
        process.send_signal(number)
        _, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (0, b"")


class _Slow(BaseHTTPRequestHandler):
    """A unit that answers late."""

    asked = threading.Event()

    def do_POST(self) -> None:
        self.asked.set()
        time.sleep(3)
        body = b'{"model_name":"a","outputs":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.mark.parametrize("signals", [1, 2])
def test_requests_in_flight_are_answered_unless_the_end_is_asked_for_twice(
    tmp_path: Path, signals: int
) -> None:
    unit = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    _Slow.asked.clear()
    threading.Thread(target=unit.serve_forever, daemon=True).start()
    manifest = tmp_path / "deployment.json"
    graph = {"name": "a", "endpoint": {"service_host": "127.0.0.1", "httpPort": unit.server_port}}
    predictors = [{"name": "main", "graph": graph}]
    manifest.write_text(json.dumps({"kind": "SeldonDeployment", "spec": {"predictors": predictors}}))
    command_line = [sys.executable, "-c", "from graphc.cli import main; main()", "engine", str(manifest)]
    with subprocess.Popen(
        [*command_line, "--http-port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline().rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /v2/models/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n" + b'{"inputs":[]}'
            )
            assert _Slow.asked.wait(30)
            process.send_signal(signal.SIGTERM)
            for _ in range(signals - 1):
                time.sleep(0.5)
                process.send_signal(signal.SIGTERM)
            client.settimeout(60)
            got = client.recv(10_000)
        _, errors = process.communicate(timeout=240)
    unit.shutdown()
    unit.server_close()
    assert got.startswith(b"HTTP/1.1 200 OK") == (signals == 1)
    assert (process.returncode, errors) == (0, b"")
