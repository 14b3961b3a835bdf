"""The command line as a whole: misspelt commands, and folders in the place of files."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main

WINE = Path(__file__).parents[2] / "graphs" / "wine-average"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.parametrize(("word", "meant"), [("chek", "check"), ("complie", "compile"), ("tets", "test")])
def test_a_misspelt_command_is_told_which_may_be_meant(word: str, meant: str) -> None:
    result = call(word, "graph.yaml")
    assert result.exit_code == 2
    assert f"did you mean `{meant}`?" in result.output
    assert "did you mean" not in call("frobnicate").output


def test_a_folder_stands_for_the_graphs_below_it(tmp_path: Path) -> None:
    shutil.copytree(WINE, tmp_path / "b" / "wine")
    (tmp_path / "b" / "other.yaml").write_text("kind: Service\n")
    (tmp_path / "b" / ".hidden").mkdir()
    (tmp_path / "b" / ".hidden" / "graph.yaml").write_text("kind: InferenceGraph\n")
    (tmp_path / "b" / "loop").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "pipe.yaml").symlink_to("/dev/zero")
    assert "1 graph, no problems found" in call("check", tmp_path).output
    assert (
        call("compile", tmp_path / "b").output
        == call("compile", tmp_path / "b" / "wine" / "graph.yaml").output
    )
    (tmp_path / "b" / "bad.yml").write_text("apiVersion: graphc/v1\nkind: InferenceGraph\n")
    result = call("check", tmp_path)
    assert result.exit_code == 1
    assert "bad.yml" in result.output


def test_a_folder_without_graphs_is_told(tmp_path: Path) -> None:
    result = call("check", tmp_path)
    assert result.exit_code == 1
    assert "has no graph file" in result.output
