"""`graphc fmt` as a command: what it writes, what it leaves, and how it ends."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main

ROOT: Final = Path(__file__).parents[2]
WINE: Final = ROOT / "graphs" / "wine-average" / "graph.yaml"
UGLY: Final = "a:   1 # one\nb: [ x,y ]\n"
NEAT: Final = "a: 1  # one\nb: [x, y]\n"


def fmt(*arguments: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["fmt", *map(str, arguments)], input=given)


def test_a_file_is_rewritten_and_a_second_time_left(tmp_path: Path) -> None:
    path, neat = tmp_path / "graph.yaml", tmp_path / "neat.yaml"
    path.write_text(UGLY)
    neat.write_text(NEAT)
    path.chmod(0o640)
    result = fmt(path, neat)
    assert (result.exit_code, path.read_text()) == (0, NEAT)
    assert result.stdout == f"reformatted {path}\n"
    assert result.stderr == "1 file reformatted, 1 file left unchanged\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = path.stat().st_mtime_ns
    assert fmt(path).stderr == "1 file left unchanged\n"
    assert path.stat().st_mtime_ns == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["graph.yaml", "neat.yaml"]


@pytest.mark.parametrize("options", [["--check"], ["--diff"], ["--check", "--diff"]])
def test_check_and_diff_write_nothing_and_end_with_1(tmp_path: Path, options: list[str]) -> None:
    path, neat = tmp_path / "graph.yaml", tmp_path / "neat.yaml"
    path.write_text(UGLY)
    neat.write_text(NEAT)
    result = fmt(*options, path, neat)
    assert (result.exit_code, path.read_text()) == (1, UGLY)
    assert result.stderr == "1 file would be reformatted, 1 file would be left unchanged\n"
    if "--diff" in options:
        assert "\n-b: [ x,y ]\n+a: 1  # one\n+b: [x, y]\n" in result.stdout
        assert str(neat) not in result.stdout
    else:
        assert result.stdout == f"would reformat {path}\n"
    assert fmt(*options, neat).exit_code == 0


def test_standard_input_goes_to_standard_output() -> None:
    result = fmt("-", given=UGLY)
    assert (result.exit_code, result.stdout, result.stderr) == (0, NEAT, "")
    assert fmt("-", "--check", given=UGLY).exit_code == 1
    assert fmt("-", "--check", given=NEAT).exit_code == 0
    assert "<stdin>" in fmt("-", "--diff", given=UGLY).stdout


def test_what_cannot_be_read_is_told_and_others_are_formatted(tmp_path: Path) -> None:
    bad, twice, good = (tmp_path / name for name in ("bad.yaml", "twice.yaml", "good.yaml"))
    bad.write_text("a: [1\n")
    twice.write_text("a: 1\na:   2\n")
    good.write_text(UGLY)
    result = fmt(bad, twice, good, tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert {"GC004", "GC010", "GC001"} <= set(result.stderr.replace("[", "]").split("]"))
    assert "`a` is already a key of this mapping" in result.stderr
    assert (bad.read_text(), twice.read_text(), good.read_text()) == ("a: [1\n", "a: 1\na:   2\n", NEAT)
    assert "1 file reformatted, 3 files could not be formatted" in result.stderr


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [("graph.py", "x = 1\n", "Python"), ("graph.json", '{"a": 1}\n', "JSON")],
)
def test_other_languages_are_left(tmp_path: Path, name: str, text: str, word: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    result = fmt(path)
    assert (result.exit_code, path.read_text()) == (1, text)
    assert f"is {word}, and fmt formats YAML" in result.stderr


def test_what_has_no_form_is_told_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text("b: 1\na: >1\n   x\n  y\n")
    result = fmt(path)
    assert result.exit_code == 1
    assert f"{path}:2:4: fmt has no form for a folded text" in result.stderr


def test_a_folder_stands_for_its_graphs_and_a_link_for_its_file(tmp_path: Path) -> None:
    graph, other = tmp_path / "a" / "graph.yaml", tmp_path / "a" / "other.yaml"
    graph.parent.mkdir()
    graph.write_text(WINE.read_text().replace("in: {X: x}", "in: { X:  x }"))
    other.write_text(UGLY)
    link = tmp_path / "link.yaml"
    link.symlink_to(other)
    assert fmt(graph.parent).exit_code == 0
    assert graph.read_text() == WINE.read_text()
    assert other.read_text() == UGLY
    assert fmt(link).exit_code == 0
    assert link.is_symlink()
    assert other.read_text() == NEAT


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_nobody_may_write_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(UGLY)
    tmp_path.chmod(0o555)
    assert "cannot be written" in fmt(tmp_path / "graph.yaml").stderr


@pytest.mark.parametrize("name", ["graph.yaml", "link.yaml"])
def test_a_file_that_may_only_be_read_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(UGLY)
    (tmp_path / "link.yaml").symlink_to(path)
    asked: list[object] = []

    def forbid(place: object, mode: int) -> bool:
        asked.append((place, mode))
        return False

    # Root may write to any file.
    monkeypatch.setattr(os, "access", forbid)
    result = fmt(tmp_path / name)
    assert (result.exit_code, path.read_text(), result.stdout) == (1, UGLY, "")
    assert result.stderr == (
        f"error: {tmp_path / name} cannot be written: Permission denied\n1 file could not be formatted\n"
    )
    assert asked == [(path.resolve(), os.W_OK)]


def test_a_file_that_fails_while_it_is_written_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(UGLY)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    result = fmt(path)
    assert result.exit_code == 1
    said = "No space left on device"
    assert result.stderr == f"error: {path} cannot be written: {said}\n1 file could not be formatted\n"
    assert path.read_text() == UGLY
    assert [each.name for each in tmp_path.iterdir()] == ["graph.yaml"]


def test_what_is_compiled_stays_the_same(tmp_path: Path) -> None:
    text = (
        WINE.read_text()
        .replace("model: models/", f"model:   {WINE.parent}/models/")
        .replace("  in: {X", "  in: { X")
    )
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    before = CliRunner().invoke(main, ["compile", str(path)]).stdout
    assert fmt(path).exit_code == 0
    assert path.read_text() != text
    assert before
    assert CliRunner().invoke(main, ["compile", str(path)]).stdout == before


def test_a_new_graph_is_formatted(tmp_path: Path) -> None:
    for template in ("components", "python", "router"):
        made = CliRunner().invoke(main, ["init", "--template", template, str(tmp_path / template)])
        assert made.exit_code == 0, made.output
    result = fmt("--diff", tmp_path)
    assert result.exit_code == 0, result.output


def test_the_layout_is_imported_for_fmt_alone() -> None:
    code = "from graphc.cli import main; main(['fmt', '--help'], standalone_mode=False)"
    code += "; import sys; print('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("loaded ")[2].split()
    assert not {each for each in loaded if each.startswith(("graphc.layout", "yaml", "difflib"))}


def test_a_graph_of_models_is_formatted(tmp_path: Path) -> None:
    # Its inputs are longer than a line.
    for model in (ROOT / "graphs" / "wine-average" / "models").glob("*.onnx"):
        shutil.copy(model, tmp_path / f"a-model-with-a-long-name-{model.name}")
    made = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert made.exit_code == 0, made.output
    assert "- a-model-with-a-long-name-" in (tmp_path / "graph.yaml").read_text()
    assert fmt("--check", tmp_path).exit_code == 0
