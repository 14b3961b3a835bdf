"""Reaching a cluster: what stands in the way is said on one line, and nothing is imported that is not needed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main

ROOT: Final = Path(__file__).parents[2]
GRAPH: Final = str(ROOT / "graphs" / "diabetes-tier" / "graph.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    done = run("plan", GRAPH)
    assert done.exit_code == 1
    assert done.output == "Error: the Kubernetes client is not installed; `graphc-compiler[cluster]` has it\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "a: b: c",
        "3",
        "[]",
        "clusters: 3",
        '{"contexts": [{}], "current-context": "x"}',
        "\x00",
        "🙂",
    ],
)
def test_a_broken_kubeconfig_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    done = run("status", "--kubeconfig", str(path))
    assert done.exit_code == 1, done.output
    assert done.output.startswith("Error: the kubeconfig")
    assert len(done.output.splitlines()) == 1


def test_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    config = {
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {"token": "hunter2"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    code = (
        "import graphc.cluster.client as c\n"
        "from graphc.cluster.problem import ClusterError\n"
        f"cluster = c.connect(c.Access(kubeconfig={str(path)!r}, retry_seconds=0))\n"
        "try:\n    cluster.find(c.Kind('v1', 'ConfigMap'), 'x', {})\n"
        "except ClusterError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the cluster of the context `x` does not answer: ")
    assert "hunter2" not in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["plan", "apply", "status", "history", "rollback", "promote", "delete", "krm"]
)
def test_help_needs_no_client(command: str) -> None:
    code = f"from graphc.cli import main; import sys; main([{command!r}, '--help'], standalone_mode=False); "
    code += "print('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("loaded ")[2].split()
    assert "kubernetes" not in loaded
    assert "urllib3" not in loaded


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), ("90", 90), ("0", 0)]
)
def test_durations_are_kubectls(written: str, seconds: float) -> None:
    from graphc.cli.cluster_options import Seconds

    assert Seconds().convert(written, None, None) == seconds


@pytest.mark.parametrize("written", ["", "soon", "-3s", "1d", "nan", "inf", "1m30"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    done = run("status", "--request-timeout", written)
    assert done.exit_code == 2
    assert "is not a duration" in done.output
