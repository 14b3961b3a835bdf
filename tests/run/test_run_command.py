"""`graphc run` from the command line, with real MLServer processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli.run_command import command
from graphc.compare.reading import open_store
from graphc.compare.start import DATABASE

Json = dict[str, Any]

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
GRAPHC = (sys.executable, "-c", "from graphc.cli import main; main()", "run")
ANY_PORT = ("--port", "0", "--grpc-port", "0")


@pytest.fixture
def environment(modules: Path, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    found = os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": found, "TMPDIR": str(tmp_path / "tmp")}


def test_once_answers_a_request_and_leaves_nothing(
    environment: dict[str, str], tmp_path: Path, manifest_text: Callable[..., str]
) -> None:
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    arguments = ("-", *ANY_PORT, "--request", str(tmp_path / "request.json"), "--once")
    done = subprocess.run(
        [*GRAPHC, *arguments],
        input=manifest_text(a=2, b=3),
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    # The second unit multiplies what the first one answered.
    assert json.loads(done.stdout)["outputs"][0]["data"] == [6.0, 12.0]
    assert "unit `a` is ready after" in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def read_until(process: subprocess.Popen[str], start: str) -> list[str]:
    assert process.stderr is not None
    lines = list[str]()
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if line.startswith(start):
            return lines
    raise AssertionError("\n".join(lines))


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_it_serves_until_interrupted(
    environment: dict[str, str], tmp_path: Path, manifest_text: Callable[..., str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(manifest_text(m=2))
    with subprocess.Popen(
        [*GRAPHC, str(tmp_path / "tiny.yaml"), *ANY_PORT],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = read_until(process, "curl ")
        children = children_of(process.pid)
        # The line that a user pastes.
        pasted = subprocess.run(lines[-1], shell=True, capture_output=True, text=True, check=True)
        metrics = next(line for line in lines if line.startswith("metrics: ")).split()[1]
        counted = subprocess.run(["curl", "-s", metrics], capture_output=True, text=True, check=True)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=240)
    assert json.loads(pasted.stdout)["outputs"][0]["data"] == [0.2, 0.4]
    assert 'graphc_engine_unit_requests_total{call="infer",code="200",unit="m"} 1.0' in counted.stdout
    assert process.returncode == 0
    assert output == ""
    assert errors == "ending the units\n"
    assert len(children) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_end_while_loading_is_clean_too(
    environment: dict[str, str], tmp_path: Path, manifest_text: Callable[..., str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(manifest_text(m=2))
    with subprocess.Popen(
        [*GRAPHC, str(tmp_path / "tiny.yaml"), *ANY_PORT], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        read_until(process, "starting 1 unit")
        while not children_of(process.pid):
            time.sleep(0.02)
        children = children_of(process.pid)
        process.terminate()
        process.wait(60)
    assert process.returncode == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_unit_that_fails_ends_the_run(
    environment: dict[str, str], tmp_path: Path, manifest_text: Callable[..., str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(manifest_text(m=0))
    done = subprocess.run(
        [*GRAPHC, str(tmp_path / "tiny.yaml"), *ANY_PORT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    assert "error: unit `m` ended with exit status" in done.stderr
    assert "ValueError: a factor of zero" in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_port_in_use_is_said(
    tmp_path: Path, manifest_text: Callable[..., str], modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(modules))
    (tmp_path / "tiny.yaml").write_text(manifest_text(m=2))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = [str(tmp_path / "tiny.yaml"), "--port", port, "--grpc-port", "0"]
        result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 1
    assert result.stderr == f"error: cannot listen at 127.0.0.1:{port}: address already in use\n"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "message"),
    [
        ("kind: [", (), 1, "error[GC004]: a value is missing here\n --> f.yaml:2:1"),
        ("- 1", (), 1, "error: `f.yaml` holds a document that is not a mapping"),
        ("kind: Pod", (), 1, "error: there is no SeldonDeployment among the documents"),
        ("kind: SeldonDeployment", (), 1, "error: a SeldonDeployment has no name"),
        ("kind: InferenceGraph", (), 1, "error[GC"),
        ("kind: Pod", ("--set", "a=b"), 2, "`--set`, `-O`, `--costs` and `--target` are for graph files"),
        ("kind: Pod", ("--mount", "c"), 2, "`c` is not CLAIM=DIR with a folder that exists"),
        (
            "kind: Pod",
            ("missing.yaml",),
            1,
            "error: `missing.yaml` cannot be read: no such file or directory",
        ),
    ],
)
def test_what_is_wrong_is_said(
    text: str,
    arguments: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(text)
    result = CliRunner().invoke(command, ["f.yaml", *arguments, *ANY_PORT])
    assert result.exit_code == code, result.output
    assert message in result.stderr


def test_an_artefact_that_cannot_be_had_is_said(
    tmp_path: Path, manifest_text: Callable[..., str], modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(modules))
    document = yaml.safe_load(manifest_text(m=2))
    pod = document["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    mount = {"name": "v", "mountPath": "/mnt/graphc/lr"}
    fetch = ["python", "-m", "graphc_runtimes.fetch", f"file://{tmp_path}/absent", "/mnt/graphc/lr"]
    pod["volumes"] = [{"name": "v", "emptyDir": {}}]
    pod["containers"][0]["volumeMounts"] = [mount]
    pod["initContainers"] = [{"name": "load", "command": fetch, "volumeMounts": [mount]}]
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(command, [str(tmp_path / "f.yaml"), *ANY_PORT])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: unit `m` lacks its artefact: cannot fetch `file://{tmp_path}/absent`: there is no such file"
    )


def test_a_comparison_ends_where_an_artefact_cannot_be_had(
    tmp_path: Path, manifest_text: Callable[..., str], modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setenv(DATABASE, str(tmp_path / "compare.db"))
    document = yaml.safe_load(versions_text(manifest_text, main=2, canary=3, ghost=0))
    for predictor in document["spec"]["predictors"]:
        pod = predictor["componentSpecs"][0]["spec"]
        mount = {"name": "v", "mountPath": "/mnt/graphc/lr"}
        fetch = ["python", "-m", "graphc_runtimes.fetch", f"file://{tmp_path}/absent", "/mnt/graphc/lr"]
        pod["volumes"] = [{"name": "v", "emptyDir": {}}]
        pod["containers"][0]["volumeMounts"] = [mount]
        pod["initContainers"] = [{"name": "load", "command": fetch, "volumeMounts": [mount]}]
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(command, [str(tmp_path / "f.yaml"), *ANY_PORT])
    assert "there is no such file" in result.stderr
    (run,) = open_store(str(tmp_path / "compare.db")).runs()
    assert run.ended is not None


def test_a_missing_mlserver_is_said(
    tmp_path: Path, manifest_text: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nothing(name: str) -> None:
        assert name == "mlserver"

    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    (tmp_path / "f.yaml").write_text(manifest_text(m=2))
    result = CliRunner().invoke(command, [str(tmp_path / "f.yaml"), *ANY_PORT])
    assert result.exit_code == 1
    assert result.stderr == (
        "error: units run on MLServer, which is not installed here\n  = help: pip install mlserver\n"
    )


def test_graphs_and_manifests_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: InferenceGraph")
    (tmp_path / "b.yaml").write_text("kind: SeldonDeployment")
    result = CliRunner().invoke(command, [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])
    assert result.exit_code == 1
    assert result.stderr == "error: graph files and manifests cannot be run together\n"


def versions_text(manifest_text: Callable[..., str], **factors: float) -> str:
    """A manifest with a predictor for each factor; `ghost` is a shadow."""
    document = yaml.safe_load(manifest_text(m=1))
    predictors: list[Json] = []
    for name, factor in factors.items():
        (predictor,) = yaml.safe_load(manifest_text(m=factor))["spec"]["predictors"]
        is_shadow = name == "ghost"
        own = {"name": name, "traffic": 100 if is_shadow else 100 // (len(factors) - 1)}
        predictors.append(predictor | own | ({"shadow": True} if is_shadow else {}))
    document["spec"]["predictors"] = predictors
    return yaml.safe_dump(document)


@pytest.mark.slow
def test_versions_run_together_and_a_dead_shadow_does_not_end_them(
    environment: dict[str, str], tmp_path: Path, manifest_text: Callable[..., str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(versions_text(manifest_text, main=2, canary=3, ghost=0))
    with subprocess.Popen(
        [*GRAPHC, str(tmp_path / "tiny.yaml"), *ANY_PORT, "--seed", "1"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = read_until(process, "curl ")
        url = next(line for line in lines if line.startswith("m: ")).split()[1]
        answers = [ask(url)["outputs"][0]["data"] for _ in range(40)]
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=240)
    said = [*lines, *rest.splitlines()]
    assert process.returncode == 0
    assert {tuple(each) for each in answers} == {(2.0, 4.0), (3.0, 6.0)}
    assert "requests: main 50 %, canary 50 %" in said
    assert any(line.startswith("main/m ") for line in said)
    assert any("unit `ghost/m` ended with exit status" in line for line in said)
    assert "the run goes on without this shadow" in said
    assert list((tmp_path / "tmp").iterdir()) == []


def ask(url: str) -> Json:
    request = urllib.request.Request(url, json.dumps(REQUEST).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: Json = json.load(response)
    return answer
