"""`graphc plan --against`: a rendered file, another graph file, and a file of a git revision."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git repository with an example in a folder of it, in which the commands run."""
    shutil.copytree(ROOT / "graphs" / "diabetes-tier", tmp_path / "graphs" / "tier")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


GRAPH: Final = "graphs/tier/graph.yaml"


def change(folder: Path) -> None:
    path = folder / GRAPH
    text = path.read_text()
    assert "models/quick.onnx" in text
    shutil.copy(folder / "graphs/tier/models/thorough.onnx", folder / "graphs/tier/models/newer.onnx")
    path.write_text(text.replace("models/quick.onnx", "models/newer.onnx"))


def test_against_a_revision_of_git(folder: Path) -> None:
    assert run("plan", GRAPH, "--against", f"HEAD:{GRAPH}").exit_code == 0
    change(folder)
    done = run("plan", GRAPH, "--against", f"HEAD:{GRAPH}")
    assert done.exit_code == 2, done.output
    assert "model: quick.onnx" in done.output
    assert "→ newer.onnx" in done.output


def test_against_a_rendered_file_and_a_graph_file(folder: Path) -> None:
    rendered = folder / "rendered.yaml"
    assert run("compile", GRAPH, "-o", str(rendered)).exit_code == 0
    listed = folder / "rendered.json"
    assert run("compile", GRAPH, "--format", "json", "-o", str(listed)).exit_code == 0
    shutil.copytree(folder / "graphs" / "tier", folder / "before")
    for other in (str(rendered), str(listed), "before/graph.yaml"):
        done = run("plan", GRAPH, "--against", other)
        assert (done.exit_code, done.output) == (0, "diabetes-tier (default): no change\n"), other
    change(folder)
    for other in (str(rendered), str(listed), "before/graph.yaml"):
        data = json.loads(run("plan", GRAPH, "--against", other, "--json").stdout)
        assert data[0]["changed"] is True


def test_the_other_side_is_compiled_for_the_same_cluster(folder: Path) -> None:
    text = (folder / GRAPH).read_text().replace("metadata:\n", "metadata:\n  namespace: models\n", 1)
    (folder / GRAPH).write_text(text)
    done = run("plan", GRAPH, "--against", GRAPH, "--profile", "gateway")
    assert (done.exit_code, done.output) == (0, "diabetes-tier (models): no change\n")


@pytest.mark.parametrize(
    ("against", "words"),
    [
        ("absent.yaml", "cannot be compared with"),
        ("nowhere:graph.yaml", "git rev-parse"),
        (f"--output=x:{GRAPH}", "git rev-parse"),
        ("HEAD:absent.yaml", "has no file"),
        ("HEAD:../../etc/passwd", "is not in the repository"),
        ("HEAD:/etc/passwd", "is not a path inside the repository"),
        ("HEAD:", "is not a path inside the repository"),
        ("HEAD:./../outside.yaml", "is not in the repository"),
    ],
)
def test_what_cannot_be_compared_is_said_on_one_line(folder: Path, against: str, words: str) -> None:
    done = run("plan", GRAPH, f"--against={against}")
    assert done.exit_code == 1
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_bad_command_line_does_not_look_like_a_change(folder: Path) -> None:
    assert run("plan").exit_code == 1
    assert run("plan", GRAPH, "--no-such").exit_code == 1
    assert run("plan", GRAPH, "--request-timeout", "soon").exit_code == 1


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "graphs" / "diabetes-tier", tmp_path / "tier")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = run("plan", "tier/graph.yaml", "--against", "HEAD:graph.yaml")
    assert done.exit_code == 1
    assert "not a git repository" in done.output


def test_a_file_whose_predictors_share_a_name_is_compared(folder: Path) -> None:
    whole = json.loads(run("compile", GRAPH, "--format", "json").stdout)
    document = next(each for each in whole.get("items", [whole]) if each["kind"] == "SeldonDeployment")
    (first,) = document["spec"]["predictors"]
    pod = {"spec": {"containers": [{"name": "more", "resources": {"limits": {"nvidia.com/gpu": 2}}}]}}
    bare: dict[str, object] = {**first, "componentSpecs": []}
    document["spec"]["predictors"] = [{**first, "componentSpecs": [*first["componentSpecs"], pod]}, bare]
    (folder / "twice.json").write_text(json.dumps(document))
    data = json.loads(run("plan", GRAPH, "--against", "twice.json", "--json").stdout)
    assert data[0]["changed"] is True


def test_a_name_cannot_command_the_terminal(folder: Path) -> None:
    whole = json.loads(run("compile", GRAPH, "--format", "json").stdout)
    document = next(each for each in whole.get("items", [whole]) if each["kind"] == "SeldonDeployment")
    document["spec"]["predictors"][0]["name"] = "old\x1b[2J"
    (folder / "escape.json").write_text(json.dumps(document))
    done = run("plan", GRAPH, "--against", "escape.json")
    assert done.exit_code == 2
    assert "\x1b" not in done.output
    assert "old\\x1b[2J" in done.output
