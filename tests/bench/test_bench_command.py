"""`graphc bench` from the command line: against the server with known delays, and a graph that it runs itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result
from graphc.bench.failure import BenchError
from graphc.bench.serve import Served
from graphc.cli.bench_command import command
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from slow_server import ANSWER, METADATA, SlowServer

GRAPHC = (sys.executable, "-c", "from graphc.cli import start; start()", "bench")
WINE = Path(__file__).parents[2] / "graphs" / "wine-average"
SHORT = ("--duration", "0.4", "--warmup", "0")


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def read(path: Path) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(path.read_text()))


def test_a_table_the_figures_and_a_picture(server: SlowServer, tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "r.json"), "--picture", str(tmp_path / "r.svg"))
    result = bench(server.url, "--input", "x=[[1, 2]]", "--clients", "2", *SHORT, *files)
    assert result.exit_code == 0, result.output
    assert "closed loop, 2 clients, 1 row a request" in result.stdout
    assert "answers/s" in result.stdout
    found = cast("dict[str, object]", read(tmp_path / "r.json")["result"])
    assert found["failures"] == {}
    assert found["requests"] == found["answered"] == server.slow.seen - 1
    assert (tmp_path / "r.svg").read_text().lstrip().startswith("<?xml")


def test_rows_are_repeated_as_json_and_as_bytes(server: SlowServer) -> None:
    for arguments in ([], ["--binary"]):
        result = bench(server.url, "--input", "x=[[1, 2]]", "--batch", "3", *SHORT, *arguments)
        assert result.exit_code == 0, result.output
        assert "3 rows a request" in result.stdout
        body = server.slow.bodies[-1]
        if not arguments:
            assert json.loads(body)["inputs"][0]["data"] == [1, 2, 1, 2, 1, 2]
            continue
        length = int(server.slow.headers["Inference-Header-Content-Length"])
        assert json.loads(body[:length])["inputs"][0]["parameters"] == {"binary_data_size": 24}
        assert len(body) == length + 24


def test_made_up_inputs_have_the_datatype_of_the_model(server: SlowServer) -> None:
    result = bench(server.url, "--binary", *SHORT)
    assert result.exit_code == 0, result.output
    length = int(server.slow.headers["Inference-Header-Content-Length"])
    (tensor,) = json.loads(server.slow.bodies[-1][:length])["inputs"]
    assert (tensor["datatype"], tensor["shape"]) == ("FP32", [1, 2])
    assert len(server.slow.bodies[-1]) == length + 8


def test_inputs_are_made_up_whatever_they_are_called(
    server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METADATA, "inputs", [{"name": "a=b", "datatype": "INT32", "shape": [-1, 2]}])
    result = bench(server.url, *SHORT)
    assert result.exit_code == 0, result.output
    assert json.loads(server.slow.bodies[-1])["inputs"][0]["name"] == "a=b"


def test_the_only_unit_is_called_by_the_protocol_that_was_asked_for() -> None:
    served = Served("http://127.0.0.1:81/v2/models/g/infer", "grpc://127.0.0.1:82/g", (("u", 91, 92),), 9)
    assert served.address() == served.url
    assert served.address(is_grpc=True) == served.grpc
    assert served.address(is_direct=True) == "http://127.0.0.1:91/v2/models/g/infer"
    assert served.address(is_direct=True, is_grpc=True) == "grpc://127.0.0.1:92/g"
    several = Served(served.url, served.grpc, (("u", 91, 92), ("w", 93, 94)), 9)
    with pytest.raises(BenchError, match="this one has `u`, `w`"):
        several.address(is_direct=True)


def test_a_request_is_posted_where_nobody_speaks_v2(server: SlowServer, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"any": "thing"}')
    url = f"http://127.0.0.1:{server.port}/other"
    result = bench(url, "--request", str(tmp_path / "body.json"), *SHORT)
    assert result.exit_code == 0, result.output
    assert server.slow.bodies[-1] == b'{"any": "thing"}'


def test_what_is_expected_is_compared(server: SlowServer, tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    path.write_text(json.dumps({"outputs": ANSWER["outputs"]}))
    assert bench(server.url, "--expect", str(path), *SHORT).exit_code == 0
    path.write_text(path.read_text().replace("1.5", "1.6"))
    result = bench(server.url, "--expect", str(path), *SHORT)
    assert result.exit_code == 1
    assert f"does not answer what `{path}` expects: `y`'s data[0] is 1.5, not 1.6" in result.output


def test_two_targets_in_turns(server: SlowServer, tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "r.json"), "--picture", str(tmp_path / "r.png"))
    result = bench(server.url, "--compare", server.url, "--rounds", "2", *SHORT, *files)
    assert result.exit_code == 0, result.output
    assert "second / first" in result.stdout
    found = cast("dict[str, dict[str, object]]", read(tmp_path / "r.json")["comparison"])
    assert len(cast("list[float]", found["rounds"]["throughput"])) == 2
    assert found["difference"] == ""
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["http://127.0.0.1:1/v2/models/m"], 1, "cannot be reached"),
        (["https://host/v2/models/m"], 1, "https is not measured"),
        (["ftp://host/v2/models/m"], 1, "`ftp` is not a scheme to call"),
        (["missing.yaml"], 1, "`missing.yaml` cannot be read: no such file or directory"),
        (["http://h/v2/models/m", "--clients", "1", "--rate", "2"], 2, "give one of them"),
        (["http://h/v2/models/m", "--nodes"], 2, "nodes are measured of one graph file"),
        (["http://h/v2/models/m", "--header", "x"], 2, "`x` is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], code: int, message: str) -> None:
    result = bench(*arguments)
    assert result.exit_code == code
    assert message in result.output


def test_a_refused_request_is_said(server: SlowServer) -> None:
    server.slow.statuses = {1: 400}
    server.slow.answers = {1: {"error": "`x` is too small"}}
    result = bench(server.url, *SHORT)
    assert result.exit_code == 1
    assert "refused the request (status 400): `x` is too small" in result.output


def test_an_interrupt_tells_what_was_measured(server: SlowServer) -> None:
    process = subprocess.Popen(
        [*GRAPHC, server.url, "--duration", "60", "--warmup", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while server.slow.seen < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "answers/s" in output
    assert "interrupted after" in errors


@pytest.mark.slow
def test_a_graph_is_run_measured_and_ended(tmp_path: Path) -> None:
    """The whole road with real units: load, node times, and costs that the compiler reads."""
    costs, results = tmp_path / "costs.json", tmp_path / "r.json"
    done = subprocess.run(
        [
            *(*GRAPHC, str(WINE / "graph.yaml"), "--request", str(WINE / "request.json"), "--batch", "8"),
            *("--expect", str(WINE / "expected.json"), "--duration", "1", "--warmup", "0.5"),
            *("--write-costs", str(costs), "--json", str(results)),
        ],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    found = read(results)
    assert cast("dict[str, object]", found["result"])["failures"] == {}
    nodes = cast("dict[str, dict[str, float]]", json.loads(costs.read_text()))["wine-average"]
    assert set(nodes) == {"scale", "linear", "network", "forest", "average", "cultivar"}
    assert all(each > 0 for each in nodes.values())
    times = cast("dict[str, float]", found["nodes"])
    # One after another in one process they take no longer than one client waits for all of it.
    assert sum(nodes.values()) <= times["work_ms"] * 1.5
    assert times["work_ms"] < times["seen_ms"]
    compiled = compile_files(Request([str(WINE / "graph.yaml")], {}, {}, costs=str(costs)))
    assert not list(compiled.sink)
    (plan,) = compiled.graphs[0].plans.values()
    assert plan.costs is not None
    assert {each.source for each in plan.costs.nodes.values()} == {"measured"}
    # Its folders are gone, and so are the processes that held them.
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("graphc")] == []
