"""`graphc plan --page`: what serves and what would serve, as one picture in the words of the plan."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cluster.bundle import make_bundle
from graphc.cluster.client import ref_of
from graphc.cluster.draw_plan import draw_pictures
from graphc.cluster.planning import GraphPlan, Step
from graphc.cluster.records import State
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.view.draw_plan import draw_plan

ROOT: Final = Path(__file__).parents[2]
IRIS: Final = ROOT / "graphs" / "iris-cascade"
EXAMPLES: Final = sorted((ROOT / "graphs").glob("*/graph.yaml"))

Json = dict[str, Any]


def plan(new: Path, old: Path, page: Path, *more: str) -> Result:
    arguments = ["plan", str(new), "--against", str(old), "--page", str(page), *more]
    return CliRunner().invoke(main, arguments)


def change(example: Path, folder: Path, edit: Callable[[Json], None]) -> Path:
    shutil.copytree(example, folder / "new")
    path = folder / "new" / "graph.yaml"
    graph: Json = yaml.safe_load(path.read_text())
    edit(graph)
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


def data_of(page: Path) -> list[Json]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"))
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("target", ["seldon", "kubernetes"])
def test_a_page_tells_what_the_plan_tells(tmp_path: Path, target: str) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["sure"] = {"component": "max", "in": ["small.probabilities", "large.probabilities"]}
        graph["nodes"]["index"]["in"] = "sure"
        graph["nodes"]["answer"]["cascade"][0]["until"] = 0.8

    page = tmp_path / "plan.html"
    result = plan(change(IRIS, tmp_path, edit), IRIS / "graph.yaml", page, "--target", target)
    assert result.exit_code == 2, result.output
    text = unescape(page.read_text("utf-8"))
    for line in result.stdout.splitlines()[1:]:
        words = line.strip().partition(" ")[2]
        if " node `" in words:
            assert words in text, words
    items = {each["id"]: each for each in data_of(page)}
    assert items["node:sure"]["what"].startswith("added: component")
    assert ["changed", "until: 0.9 → 0.8"] in items["node:answer"]["facts"]
    assert any("reads: " in fact for _, fact in items["node:index"]["facts"])
    assert not items["node:small"]["what"].startswith(("added", "removed", "changed"))
    assert "pods" in text[text.index("Dangers") :]
    assert '<section class="graph"' not in text


def test_nothing_to_change_is_a_picture_without_signs(tmp_path: Path) -> None:
    page = tmp_path / "plan.svg"
    result = plan(IRIS / "graph.yaml", IRIS / "graph.yaml", page)
    assert result.exit_code == 0, result.output
    root = ET.fromstring(page.read_text("utf-8"))
    boxes = [each for each in root.iter("{http://www.w3.org/2000/svg}g") if "box" in each.get("class", "")]
    assert len(boxes) == 9
    assert all(each.get("class", "").endswith(" same") for each in boxes)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_what_would_serve_is_drawn_as_the_plan_that_it_was_made_of(path: Path) -> None:
    (graph,) = compile_files(Request((str(path),))).graphs
    assert graph.emission is not None
    bundle = make_bundle(graph.spec.fields.metadata.name, None, graph.emission.documents, None, "default")
    documents = {ref_of(each): each for each in bundle.documents}
    steps = tuple(Step(ref, "create") for ref in documents)
    pictures = draw_pictures(
        GraphPlan(bundle, steps, (), (), State(bundle.name, "default"), results=documents)
    )
    assert [each.name for each in pictures] == list(graph.plans)
    for picture in pictures:
        drawn, planned = picture.drawing, draw_plan(graph.plans[picture.name])
        assert picture.change == "added"
        assert {each.change for each in (*drawn.boxes, *drawn.arrows, *drawn.frames)} == {"added"}
        assert len(drawn.boxes) == len(planned.boxes)
        assert {each.title for each in drawn.frames} == {each.title for each in planned.frames}
        ends = {each.id for each in planned.boxes if each.kind == "output"}
        assert {each.target for each in drawn.arrows} >= ends
        # Each node reads as many others as it does in the plan.
        counts = [
            sorted(
                sum(arrow.target == box.id and not arrow.is_choice for arrow in each.arrows)
                for box in each.boxes
            )
            for each in (drawn, planned)
        ]
        assert sum(counts[0]) >= sum(counts[1])


def test_no_secret_is_on_a_page(tmp_path: Path) -> None:
    def edit(graph: Json) -> None:
        graph["nodes"]["small"]["env"] = {"API_TOKEN": "hunter2-token"}

    page = tmp_path / "plan.html"
    result = plan(change(IRIS, tmp_path, edit), IRIS / "graph.yaml", page)
    assert result.exit_code == 2, result.output
    assert "hunter2" not in page.read_text("utf-8")
    assert "hunter2" not in result.output


def test_another_ending_and_a_folder_that_is_not_there_are_told(tmp_path: Path) -> None:
    result = plan(IRIS / "graph.yaml", IRIS / "graph.yaml", tmp_path / "plan.png")
    assert result.exit_code != 0
    assert ".html or .svg" in result.output
    result = plan(IRIS / "graph.yaml", IRIS / "graph.yaml", tmp_path / "none" / "plan.html")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
