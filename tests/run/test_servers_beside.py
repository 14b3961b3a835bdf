"""Servers of other frameworks in a run on this machine: a real MLServer beside a unit, and servers that run already."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from graphc.cli.run_command import command

SERVED: Final = Path(__file__).parents[1] / "compile" / "cases" / "served"
GRAPHC: Final = (sys.executable, "-c", "from graphc.cli import main; main()", "run")
ANY_PORT: Final = ("--port", "0", "--grpc-port", "0", "--once")
BIN: Final = str(Path(sys.executable).parent)

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: doubled}
inputs: {x: "FP32[batch, 3]"}
servers:
  own: {kind: KIND, image: "registry.example.com/server:1", models: served}
nodes:
  double: {server: own, model: doubler, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  average: {component: mean, in: [double, x]}
outputs: {double: double, average: average}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write(tmp_path, "mlserver")


def write(folder: Path, kind: str) -> Path:
    for name in ("doubler/doubling.py", "doubler/model-settings.json"):
        target = folder / "models" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((SERVED / name).read_bytes())
    if kind == "triton":
        (folder / "models" / "doubler" / "1").mkdir()
        (folder / "models" / "doubler" / "1" / "model.py").write_text("never = 'run'\n")
    file = folder / "graph.yaml"
    file.write_text(GRAPH.replace("KIND", kind).replace("models: served", "models: models"))
    return file


def run(
    graph: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GRAPHC, str(graph), *ANY_PORT, *arguments],
        env=os.environ | dict(env or {}), capture_output=True, text=True, timeout=250,
    )  # fmt: skip


def test_a_real_mlserver_answers_beside_its_unit(graph: Path) -> None:
    path = os.pathsep.join([BIN, os.environ.get("PATH", "")])
    done = run(graph, "--input", "x=[[1,2,3],[4,5,6]]", env={"PATH": path})
    assert done.returncode == 0, done.stderr
    outputs = {each["name"]: each["data"] for each in json.loads(done.stdout)["outputs"]}
    assert outputs == {"double": [2, 4, 6, 8, 10, 12], "average": [1.5, 3, 4.5, 6, 7.5, 9]}
    assert "starting 1 unit and 1 server" in done.stderr
    assert "`server-own` is ready after" in done.stderr


@pytest.mark.parametrize(("kind", "program"), [("mlserver", "mlserver"), ("triton", "tritonserver")])
def test_a_server_that_is_not_installed_is_told_with_what_to_do(
    tmp_path: Path, kind: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = CliRunner().invoke(command, [str(write(tmp_path, kind)), *ANY_PORT])
    assert told.exit_code == 1
    assert f"server `own` is started by `{program}`, which is not installed here" in told.output
    assert "`--at own=URL`" in told.output


def test_a_command_of_its_own_is_not_run_on_this_machine(tmp_path: Path) -> None:
    graph = write(tmp_path, "mlserver")
    graph.write_text(graph.read_text().replace("models: models", 'args: ["rm", "-r", "/tmp/x"]'))
    told = CliRunner().invoke(command, [str(graph), *ANY_PORT])
    assert told.exit_code == 1
    assert "server `own` is started by its image alone, which does not run here" in told.output


def test_a_url_for_a_server_that_no_unit_asks_is_refused(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([BIN, os.environ.get("PATH", "")]))
    told = CliRunner().invoke(command, [str(graph), *ANY_PORT, "--at", "owm=http://127.0.0.1:1"])
    assert told.exit_code == 1
    assert "`--at` names `owm`, which no unit asks" in told.output
    for wrong in ("own", "own=ftp://host", "own=http://", "=http://host"):
        assert CliRunner().invoke(command, [str(graph), "--at", wrong]).exit_code == 2


def test_a_server_that_is_not_there_is_told_to_the_client(graph: Path) -> None:
    done = run(graph, "--at", "own=http://127.0.0.1:1", "--input", "x=[[1,2,3]]")
    assert done.returncode == 1
    assert "node `double`: its server (MLServer) refuses connections" in done.stderr
