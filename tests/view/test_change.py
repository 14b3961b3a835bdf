"""Pictures of a change: every part says what becomes of it, by a sign too, and the words say the rest."""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.view.draw_change import draw_change
from graphc.view.drawing import Arrow, Box, Drawing, Frame
from graphc.view.place import find_layers, place
from viewed_graphs import GRAPHS, HOSTILE, write_chain, write_hostile

ROOT: Final = Path(__file__).parents[2]
ROLLOUT: Final = ROOT / "graphs" / "cancer-rollout"
IRIS: Final = ROOT / "graphs" / "iris-cascade"
SVG: Final = "{http://www.w3.org/2000/svg}"

Json = dict[str, Any]


def view(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["view", "--diff", *map(str, arguments)])


def tell(before: Path, after: Path, *more: str) -> list[str]:
    result = view(before, after, *more)
    assert result.exit_code == 0, result.output
    return [line.strip() for line in result.stdout.splitlines()[2:]]


def change(example: Path, folder: Path, edit: Callable[[Json], None]) -> Path:
    """Write an example that was edited, with its models."""
    shutil.copytree(example, folder / "new")
    path = folder / "new" / "graph.yaml"
    graph: Json = yaml.safe_load(path.read_text())
    edit(graph)
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


def draw(before: Path, after: Path, *more: str) -> Json:
    result = view(before, after, "--format", "json", *more)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def states(drawing: Json, part: str = "boxes") -> dict[str, str]:
    return {each["title"]: each["change"] for each in drawing[part] if each["change"]}


# --- What is told --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.parent.name)
def test_a_graph_and_itself_have_no_change(path: Path) -> None:
    lines = tell(path, path)
    assert lines[1:] == ["nothing changes"], lines
    drawing = draw(path, path)
    assert drawing["told"] == []
    assert not [each for part in ("boxes", "arrows", "frames") for each in drawing[part] if each["change"]]


def test_nodes_edges_and_outputs_are_told(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["sure"] = {"component": "max", "in": ["small.probabilities", "large.probabilities"]}
        graph["nodes"]["index"]["in"] = "sure"
        graph["nodes"]["answer"]["cascade"][0]["until"] = 0.8
        del graph["nodes"]["species"], graph["outputs"]["species"]
        graph["outputs"]["index"] = "index"

    old, new = IRIS / "graph.yaml", change(IRIS, tmp_path, edit)
    assert tell(old, new)[1:] == [
        "~ node `answer`: step 1: leaves at a confidence of 0.9 → leaves at a confidence of 0.8",
        "+ node `sure` (max)",
        "~ node `index`: reads: answer → sure",
        "+ output `index` (INT64[batch])",
        "- node `species` (label-map)",
        "- output `species` (BYTES[batch])",
        "~ unit `iris-cascade`: runs the new sure",
    ]
    drawing = draw(old, new, "--of", "graph")
    arrows = {(each["source"], each["target"]): each["change"] for each in drawing["arrows"]}
    assert {each: state for each, state in arrows.items() if state} == {
        ("node:small", "node:sure"): "added",
        ("node:large", "node:sure"): "added",
        ("node:sure", "node:index"): "added",
        ("node:index", "out:index"): "added",
        ("node:answer", "node:index"): "removed",
        ("node:index", "node:species"): "removed",
        ("node:species", "out:species"): "removed",
    }
    # The other way round it is the other change.
    assert "- node `sure` (max)" in tell(new, old)


def test_another_model_of_the_same_name_is_told_by_its_content(tmp_path: Path) -> None:
    new = change(IRIS, tmp_path, lambda _: None)
    assert tell(IRIS / "graph.yaml", new)[1:] == ["nothing changes"]
    shutil.copy(ROOT / "graphs" / "cancer-rollout" / "models" / "forest.onnx", tmp_path / "other.onnx")
    shutil.copy(new.parent / "models" / "large.onnx", new.parent / "models" / "small.onnx")
    (line,) = tell(IRIS / "graph.yaml", new)[1:]
    assert line.startswith("~ node `small`: content: ")


def test_predictors_and_traffic_are_told(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["predictors"]["main"]["traffic"] = 70
        graph["predictors"]["canary"]["traffic"] = 20
        graph["predictors"]["canary"]["nodes"]["score"]["model"] = "models/forest.onnx"
        graph["predictors"]["third"] = {
            "traffic": 10,
            "promote_when": {"agreement": None, "error_p50": None},
        }
        del graph["predictors"]["forest"], graph["compare"]

    old, new = ROLLOUT / "graph.yaml", change(ROLLOUT, tmp_path, edit)
    lines = tell(old, new)
    assert lines[0] == '- compare: {"url": "http://graphc-compare.graphc-system"}'
    lines = [each for each in lines if each[0] in "+-~"]
    assert lines[1:] == [
        "~ traffic: 90 → 70",
        "~ traffic: 10 → 20",
        "~ node `score`: model: models/refit.onnx → models/forest.onnx",
        "+ predictor `third`, 10 % of the requests",
        "- predictor `forest`, a shadow",
    ]
    assert set(states(draw(old, new, "--predictor", "third")).values()) == {"added"}
    assert set(states(draw(old, new, "--predictor", "forest")).values()) == {"removed"}
    result = view(old, new, "--predictor", "nobody")
    assert result.exit_code == 2
    assert "main, canary, third, forest" in result.output


def test_units_that_are_parted_and_fused_are_told(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["large"]["resources"] = {"cpu": 2}

    old, new = IRIS / "graph.yaml", change(IRIS, tmp_path, edit)
    parted = [line for line in tell(old, new) if " unit " in line and line[0] in "+-~"]
    assert any(line.startswith("+ unit `large`: parted from `iris-cascade`: large") for line in parted), (
        parted
    )
    fused = [line for line in tell(new, old) if " unit " in line and line[0] in "+-~"]
    assert any("fused in" in line for line in fused), fused
    assert "unit `large`" in " ".join(each for each in fused if each.startswith("- "))
    drawing = draw(old, new)
    assert states(drawing, "frames")["large"] == "added"
    # A node is not another one for being run elsewhere; the facts tell it.
    assert "small" not in states(drawing)
    assert states(draw(old, new, "--of", "graph")) == {"large": "changed"}
    assert "1 unit" in drawing["subtitle"]
    assert " → " in drawing["subtitle"]


def test_predictors_that_change_alike_are_told_together(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["diagnosis"]["parameters"]["labels"] = ["bad", "good"]

    lines = tell(ROLLOUT / "graph.yaml", change(ROLLOUT, tmp_path, edit))
    assert lines[0].startswith("main, canary and forest: as it runs")
    assert lines[1:] == ['~ node `diagnosis`: labels: ["malignant", "benign"] → ["bad", "good"]']


# --- How it is drawn -----------------------------------------------------------------------------------


def test_a_picture_has_signs_a_legend_and_the_words(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["sure"] = {"component": "max", "in": ["small.probabilities", "large.probabilities"]}
        graph["nodes"]["index"]["in"] = "sure"
        graph["nodes"]["answer"]["cascade"][0]["until"] = 0.8

    new = change(IRIS, tmp_path, edit)
    svg = view(IRIS / "graph.yaml", new, "--format", "svg", "--of", "graph").stdout
    root = ET.fromstring(svg)
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"added", "removed", "changed"} <= set(texts)
    assert "node `index`: reads: answer → sure" in texts
    for group in root.iter(f"{SVG}g"):
        kinds = set(group.get("class", "").split())
        state = kinds & {"added", "removed", "changed"}
        if state and kinds & {"box", "arrow"}:
            signs = [each for each in group.iter(f"{SVG}g") if each.get("class") == "sign"]
            assert len(signs) == 1, group.attrib
        if "box" in kinds:
            assert len(state) == (0 if "same" in kinds else 1)
            assert all(group.get("aria-label", "").startswith(f"{each}: ") for each in state)
    assert "prefers-color-scheme: dark" in svg


def test_other_pictures_are_as_they_were() -> None:
    result = CliRunner().invoke(main, ["view", str(IRIS / "graph.yaml"), "--format", "svg"])
    assert "sign" not in result.stdout
    assert "--added" not in result.stdout
    page = CliRunner().invoke(main, ["view", str(IRIS / "graph.yaml"), "--format", "html"]).stdout
    assert "<details" not in page


@pytest.mark.parametrize("format_", ["html", "svg", "text", "mermaid", "dot", "json"])
def test_every_format_is_written_and_the_same_each_time(tmp_path: Path, format_: str) -> None:
    new = write_chain(tmp_path / "new.yaml", 30, seed=5)
    old = write_chain(tmp_path / "old.yaml", 25, seed=4)
    first, second = (view(old, new, "--format", format_) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout


def boxes(*names: str) -> tuple[Box, ...]:
    return tuple(Box(f"node:{name}", name, "mean", "component", name) for name in names)


def test_arrows_that_turn_round_are_placed() -> None:
    there = Drawing(
        "one", "", boxes("a", "b", "c"), (Arrow("node:a", "node:b", ()), Arrow("node:b", "node:c", ()))
    )
    back = Drawing(
        "one", "", boxes("a", "b", "c"), (Arrow("node:c", "node:b", ()), Arrow("node:b", "node:a", ()))
    )
    drawing = draw_change(there, back)
    assert [each.change for each in drawing.arrows] == ["added", "added", "removed", "removed"]
    for direction in ("right", "down"):
        placed = place(find_layers(drawing), direction)
        assert len(placed.ways) == 4
        assert len(set(placed.boxes.values())) == 3


def test_a_unit_without_nodes_left_has_no_frame() -> None:
    old = Drawing("one", "", boxes("a"), (), (Frame("unit:x", "x", ("node:a",)),))
    new = Drawing("one", "", boxes("a"), (), (Frame("unit:y", "y", ("node:a",)),))
    drawing = draw_change(old, new)
    assert [(each.title, each.change, each.members) for each in drawing.frames] == [
        ("y", "added", ("node:a",)),
        ("x", "removed", ()),
    ]
    assert [each.line for each in drawing.told or ()] == [
        "+ unit `y`: runs what ran in `x`: a",
        "- unit `x`",
    ]
    assert place(find_layers(drawing), "down").frames.keys() == {"unit:y"}


# --- What goes wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [[IRIS / "graph.yaml"], [IRIS / "graph.yaml"] * 3])
def test_a_change_is_of_two_files(files: list[Path]) -> None:
    result = view(*files)
    assert result.exit_code == 2
    assert "takes two files" in result.output


def test_two_files_without_diff_are_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["view", *[str(IRIS / "graph.yaml")] * 2])
    assert result.exit_code == 2
    assert "view draws one file" in result.output


def test_a_wrong_graph_is_reported_and_nothing_is_written(tmp_path: Path) -> None:
    new = change(IRIS, tmp_path, lambda graph: graph["nodes"]["index"].update({"in": "answr"}))
    result = view(IRIS / "graph.yaml", new, "-o", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "did you mean `answer`?" in result.output
    assert not (tmp_path / "page.html").exists()


def test_nothing_of_a_file_becomes_part_of_a_page_and_no_password_is_told(tmp_path: Path) -> None:
    old = write_hostile(tmp_path / "old.yaml")
    new = tmp_path / "new.yaml"
    new.write_text(
        old.read_text()
        .replace("@DATA@", "https://me:hunter2@a.example/b")
        .replace("name: hostile", "name: other")
    )
    for format_ in ("html", "svg", "text", "json"):
        result = view(old, new, "--format", format_)
        assert result.exit_code == 0, result.output
        assert "hunter2" not in result.output
        assert format_ not in ("html", "svg") or HOSTILE not in result.output
    assert "<img" not in view(old, new, "--format", "html").stdout
