"""Pictures of graphs and plans: everything is there, stands apart, and nothing of a file commands a page."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.compile.compile_files import compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.lower.options import Options
from graphc.view.draw_graph import draw_graph
from graphc.view.draw_plan import draw_plan
from graphc.view.drawing import Drawing
from graphc.view.place import BOX, Direction, find_layers, place
from viewed_graphs import GRAPHS, HOSTILE, write_chain, write_hostile

ROOT: Final = Path(__file__).parents[2]
WINE: Final = ROOT / "graphs" / "wine-average" / "graph.yaml"


def view(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["view", *map(str, arguments)])


def compile_one(path: Path, level: int = 1) -> CheckedGraph:
    done = compile_files(Request((str(path),), options=Options(level)))
    assert not done.sink.has_errors
    return done.graphs[0]


def drawings_of(path: Path, level: int) -> list[Drawing]:
    graph = compile_one(path, level)
    return [draw_graph(each) for each in graph.graphs.values()] + [
        draw_plan(plan) for plan in graph.plans.values()
    ]


# --- What is drawn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.parent.name)
def test_a_graph_and_its_plan_are_drawn_whole(path: Path, level: int) -> None:
    graph = compile_one(path, level)
    for name, checked in graph.graphs.items():
        drawn, planned = draw_graph(checked), draw_plan(graph.plans[name])
        assert {box.id for box in drawn.boxes} >= {f"node:{node.name}" for node in checked.nodes}
        units = [unit for unit in graph.plans[name].root.walk() if unit.region.nodes]
        assert {frame.title for frame in planned.frames} == {unit.name for unit in units}
        run = {f"node:{node.name}" for unit in units for node in unit.region.nodes}
        assert {member for frame in planned.frames for member in frame.members} == run
        for drawing in (drawn, planned):
            ids = {box.id for box in drawing.boxes}
            assert all({arrow.source, arrow.target} <= ids for arrow in drawing.arrows)
            ends = {box.title for box in drawing.boxes if box.kind == "output"}
            assert ends == {output.name for output in checked.outputs}
            # Each output comes from somewhere.
            assert {f"out:{end}" for end in ends} <= {arrow.target for arrow in drawing.arrows}


def test_an_arrow_tells_its_tensors_and_a_choice_is_told_apart() -> None:
    _, planned = drawings_of(ROOT / "graphs" / "iris-cascade" / "graph.yaml", 1)
    arrows = {(arrow.source, arrow.target): arrow for arrow in planned.arrows}
    assert arrows["in:x", "node:large"].tensors == ("x: FP32[batch, 4]",)
    assert arrows["node:answer:choice", "node:large"].is_choice
    assert not arrows["node:small", "node:answer:choice"].is_choice


def test_the_slowest_way_is_marked_where_there_are_several_units() -> None:
    graph = compile_one(WINE, 0)
    prediction = graph.plans["main"].prediction
    assert prediction is not None
    slow = {frame.title for frame in draw_plan(graph.plans["main"]).frames if frame.is_slow}
    assert slow == set(prediction.way)
    assert not any(frame.is_slow for frame in draw_plan(compile_one(WINE, 1).plans["main"]).frames)


def test_a_unit_tells_its_container() -> None:
    result = view(WINE, "--format", "json")
    (frame,) = json.loads(result.stdout)["frames"]
    assert frame["facts"]["container"] == "wine-average"
    assert "graphc-runtime" in frame["facts"]["image"]


# --- Where it stands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["right", "down"])
@pytest.mark.parametrize("count", [1, 5, 50, 300])
def test_no_box_stands_on_another_and_arrows_end_at_boxes(
    tmp_path: Path, count: int, direction: Direction
) -> None:
    for drawing in drawings_of(write_chain(tmp_path / "graph.yaml", count), 1):
        placed = place(find_layers(drawing), direction)
        assert placed.boxes.keys() == {box.id for box in drawing.boxes}
        for (x, y), (other_x, other_y) in combinations(placed.boxes.values(), 2):
            assert abs(x - other_x) >= BOX[0] or abs(y - other_y) >= BOX[1]
        along = 0 if direction == "right" else 1
        for arrow, way in placed.ways:
            source, target = placed.boxes[arrow.source], placed.boxes[arrow.target]
            assert way[0][1 - along] == source[1 - along]
            assert way[-1][1 - along] == target[1 - along]
            assert all(point[along] < after[along] for point, after in pairwise(way))
        for x, y in placed.boxes.values():
            assert BOX[0] / 2 < x < placed.width - BOX[0] / 2
            assert BOX[1] / 2 < y < placed.height - BOX[1] / 2


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.parent.name)
def test_a_frame_holds_its_own_boxes_and_no_others(path: Path) -> None:
    for level in (0, 1):
        for plan in compile_one(path, level).plans.values():
            drawing = draw_plan(plan)
            placed = place(find_layers(drawing), "down")
            members = {frame.id: set(frame.members) for frame in drawing.frames}
            for id_, at in placed.frames.items():
                inside = {
                    each
                    for each, (x, y) in placed.boxes.items()
                    if at.x < x < at.x + at.width and at.y < y < at.y + at.height
                }
                assert inside == members[id_]
            # A fused graph is one frame around all of its nodes.
            if len(drawing.frames) == 1:
                assert placed.frames


def test_the_same_graph_is_the_same_bytes(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "graph.yaml", 40)
    texts: set[tuple[str, ...]] = set()
    for seed in ("1", "2"):
        for format_ in ("html", "svg", "text", "dot", "mermaid"):
            start = "from graphc.cli import start; start()"
            command = [sys.executable, "-c", start, "view", str(path), "--format", format_]
            env = {**os.environ, "PYTHONHASHSEED": seed}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
            texts.add((format_, done.stdout))
    assert len(texts) == 5


# --- Formats -------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, and the text in those of a kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._last = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._last = tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._last, []).append(data)


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    result = view(ROOT / "graphs" / "cancer-rollout" / "graph.yaml", "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Page(text)
    assert not [found for _, found in page.elements if {"src", "href"} & found.keys()]
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert [each for each in page.texts["button"] if each.strip()][:3] == [
        "main, 90 %",
        "canary, 10 %",
        "forest, shadow",
    ]


def test_svg_is_xml_with_every_node(tmp_path: Path) -> None:
    assert view(WINE, "-o", tmp_path / "wine.svg").exit_code == 0
    root = ET.fromstring((tmp_path / "wine.svg").read_text("utf-8"))
    texts = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= {"x", "scale", "linear", "network", "forest", "average", "cultivar", "unit wine-average"}


def test_the_picture_of_the_readme_is_what_the_command_draws() -> None:
    # Written by: graphc view graphs/wine-average/graph.yaml -o docs/pictures/wine-average.svg
    result = view(WINE, "--format", "svg")
    assert (ROOT / "docs" / "pictures" / "wine-average.svg").read_text("utf-8") == result.stdout


def test_lines_have_units_in_the_order_in_which_they_run() -> None:
    lines = view(WINE, "-O0").stdout.splitlines()
    units = [line.split()[1] for line in lines if line.startswith("  unit ")]
    assert set(units) == {"wine-average", "forest", "linear", "network", "average", "cultivar"}
    for before, after in (("wine-average", "linear"), ("linear", "average"), ("forest", "average")):
        assert units.index(before) < units.index(after)
    assert units[-1] == "cultivar"


def test_a_predictor_of_ones_own_and_the_graph_are_drawn() -> None:
    path = ROOT / "graphs" / "cancer-rollout" / "graph.yaml"
    assert "forest.onnx" in view(path, "--predictor", "forest", "--format", "json").stdout
    assert "forest.onnx" not in view(path, "--format", "json").stdout
    assert json.loads(view(WINE, "--of", "graph", "--format", "json").stdout)["frames"] == []


# --- What a file cannot do -----------------------------------------------------------------------------


def test_nothing_of_a_file_becomes_part_of_a_page(tmp_path: Path) -> None:
    path = write_hostile(tmp_path / "graph.yaml")
    text = view(path, "--format", "html").stdout
    page = Page(text)
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    # What the page tells of the node is what the file says.
    items = json.loads("".join(page.texts["script"]).partition('"use strict"')[0])
    facts = {item["id"]: dict(map(tuple, item["facts"])) for item in items}
    assert json.loads(facts["node:label"]["labels"]) == [HOSTILE, "@DATA@"]
    ET.fromstring(view(path, "--format", "svg").stdout)


def test_no_password_is_in_a_picture(tmp_path: Path) -> None:
    path = write_hostile(tmp_path / "graph.yaml")
    # In a comment of a node, of which a page shows the lines, and in what a label says.
    text = path.read_text().replace("@DATA@", "https://me:hunter2@a.example/b")
    path.write_text(
        text.replace("    component: argmax", "    # https://me:hunter2@c.example\n    component: argmax")
    )
    assert path.read_text().count("hunter2") == 2
    for format_ in ("html", "svg", "text", "dot", "mermaid", "json"):
        result = view(path, "--format", format_)
        assert result.exit_code == 0, result.output
        assert "hunter2" not in result.output
    assert "c.example" in view(path, "--format", "html").stdout


# --- What goes wrong -----------------------------------------------------------------------------------


def test_an_ending_that_says_no_format_is_a_usage_error(tmp_path: Path) -> None:
    result = view(WINE, "-o", tmp_path / "wine.png")
    assert result.exit_code == 2
    assert ".html" in result.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    result = view(WINE, "-o", tmp_path / "none" / "wine.html")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_predictor_is_told_which_there_are() -> None:
    result = view(ROOT / "graphs" / "cancer-rollout" / "graph.yaml", "--predictor", "none")
    assert result.exit_code == 2
    assert "main, canary, forest" in result.output


def test_a_graph_that_is_wrong_is_not_drawn(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(write_hostile(path).read_text().replace("in: index", "in: indx"))
    result = view(path, "-o", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "GC2" in result.output
    assert not (tmp_path / "page.html").exists()


def test_without_the_library_it_is_named_and_lines_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    result = view(WINE, "--format", "svg")
    assert result.exit_code == 1
    assert "graphc-compiler[view]" in result.output
    assert view(WINE).exit_code == 0
