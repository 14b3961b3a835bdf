"""`graphc init` writes a graph that compiles, answers its case and keeps what is there."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.scaffold.templates import TEMPLATES

GRAPHS = Path(__file__).parents[2] / "graphs"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.parametrize(
    "template", [None, *(pytest.param(each, marks=pytest.mark.slow) for each in TEMPLATES)]
)
def test_a_template_answers_its_case(template: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "My First Graph!"
    result = call("init", folder, *([] if template is None else ["--template", template]))
    assert result.exit_code == 0, result.output
    assert yaml.safe_load((folder / "graph.yaml").read_text())["metadata"]["name"] == "my-first-graph"
    (case,) = json.loads((folder / "cases.json").read_text())
    assert case["expected"]["outputs"]
    result = call("test", folder / "graph.yaml", "--each-level")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("cancer-vote", "diabetes-range")),
        *("diabetes-table", "wine-average"),
    ],
)
def test_models_become_a_graph_that_answers(name: str, tmp_path: Path) -> None:
    shutil.copytree(GRAPHS / name / "models", tmp_path / name / "models")
    result = call("init", tmp_path / name)
    assert result.exit_code == 0, result.output
    document = yaml.safe_load((tmp_path / name / "graph.yaml").read_text())
    known = yaml.safe_load((GRAPHS / name / "graph.yaml").read_text())
    assert document["inputs"] == known["inputs"]
    models = {each["model"] for each in document["nodes"].values() if "model" in each}
    assert models == {each["model"] for each in known["nodes"].values() if "model" in each}
    assert call("check", tmp_path / name / "graph.yaml").exit_code == 0
    (case,) = json.loads((tmp_path / name / "cases.json").read_text())
    # A pickle is a program, which runs where somebody asks for that.
    is_program = any(model.endswith(".joblib") for model in models)
    assert ("expected" in case) is not is_program
    assert ("is a pickle, which is a program" in result.stderr) is is_program
    assert call("test", "--update", tmp_path / name / "graph.yaml").exit_code == 0
    (case,) = json.loads((tmp_path / name / "cases.json").read_text())
    assert case["expected"]["outputs"]


def test_answers_of_one_kind_are_averaged_and_told(tmp_path: Path) -> None:
    shutil.copytree(GRAPHS / "wine-average" / "models", tmp_path / "models")
    result = call("init", tmp_path, "--name", "wine")
    document = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    assert document["nodes"]["average-of-all"] == {
        "component": "mean",
        "in": ["forest.probabilities", "linear.probabilities", "network.probabilities"],
    }
    assert document["outputs"] == {"average": "average-of-all", "scale": "scale.scaled"}
    assert "note: `average` is the mean of forest, linear, network" in result.stderr


def test_files_that_are_no_models_are_told_and_left_out(tmp_path: Path) -> None:
    shutil.copytree(GRAPHS / "iris-cascade" / "models", tmp_path / "models")
    (tmp_path / "models" / "broken.onnx").write_bytes(b"\x00\x01")
    (tmp_path / "notes.txt").write_text("nothing\n")
    (tmp_path / "endless.onnx").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.onnx")
    shutil.copy(tmp_path / "models" / "small.onnx", tmp_path / "models" / "Small: a {true}.onnx")
    result = call("init", tmp_path, "--name", "iris")
    assert result.exit_code == 0, result.output
    for name in ("models/broken.onnx", "notes.txt", "endless.onnx", "pipe.onnx"):
        assert f"note: {name} is left out: " in result.stderr
        assert f"# {name} is left out: " in (tmp_path / "graph.yaml").read_text()
    assert list(yaml.safe_load((tmp_path / "graph.yaml").read_text())["nodes"]) == [
        "small-a-true",
        "large",
        "small",
        "average-of-all",
    ]
    assert call("check", tmp_path / "graph.yaml").exit_code == 0


def test_any_file_name_is_written_so_that_it_is_read_back(tmp_path: Path) -> None:
    stems = ['quo"te', "new\nline", "back\\slash", "\U0001f600", "delete\x7f", "line\u2028", "true", "12"]
    stems += ["no\ufffe", "x", "average", "average-of-all"]
    for stem in stems:
        shutil.copy(GRAPHS / "iris-cascade" / "models" / "small.onnx", tmp_path / f"{stem}.onnx")
    (tmp_path / "broken\x1b[31m\x7f.onnx").write_bytes(b"\x00\x01")
    result = call("init", tmp_path, "--name", "on")
    assert result.exit_code == 0, result.output
    assert "note: broken\\x1b[31m\\x7f.onnx is left out: " in result.stderr
    text = (tmp_path / "graph.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["metadata"]["name"] == "graph-on"
    read = document["nodes"].values()
    assert {each["model"] for each in read if "model" in each} == {f"{stem}.onnx" for stem in stems}
    assert all(each.isprintable() for each in text.splitlines())
    assert call("check", tmp_path / "graph.yaml").exit_code == 0


def test_a_name_that_is_no_text_is_told_and_left_out(tmp_path: Path) -> None:
    model = (GRAPHS / "iris-cascade" / "models" / "small.onnx").read_bytes()
    (tmp_path / "good.onnx").write_bytes(model)
    (tmp_path / os.fsdecode(b"\xff.onnx")).write_bytes(model)
    result = call("init", tmp_path)
    assert result.exit_code == 0, result.output
    assert "note: \\udcff.onnx is left out: its name is no UTF-8, and a graph file is" in result.stderr
    assert call("check", tmp_path / "graph.yaml").exit_code == 0


@pytest.mark.parametrize("there", ["graph.yaml", "cases.json", "README.md", "steps.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    result = call("init", tmp_path, "--template", "python")
    assert result.exit_code == 1
    assert f"{there}` is there already" in result.stderr
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(there, "mine")]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("init", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr


def test_a_class_for_seldons_wrapper_is_told(tmp_path: Path) -> None:
    for name in ("WineBayes.py", "WineAverage.py", "models"):
        source = GRAPHS / "wine-class" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "odd.py").write_text("class (")
    (tmp_path / "mlserver_like.py").write_text("class Own:\n    async def predict(self, payload): pass\n")
    result = call("init", tmp_path, "--name", "wine")
    assert result.exit_code == 0, result.output
    said = "is left out: its class does not tell its tensors; a node of it says"
    notes = [line for line in result.stderr.splitlines() if ".py" in line]
    assert notes == [
        f"note: WineAverage.py {said} `python: WineAverage:WineAverage` and `seldon: aggregate`",
        f"note: WineBayes.py {said} `python: WineBayes:WineBayes` and `seldon: predict`",
    ]
    assert "# WineBayes.py is left out" in (tmp_path / "graph.yaml").read_text()
