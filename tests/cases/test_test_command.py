"""`graphc test`: cases pass or fail as they should, say where, and are kept up to date."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main

GRAPHS = Path(__file__).parents[2] / "graphs"

GRAPH = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: two}
inputs: {x: "FP32[batch, 2]", t: "BYTES[batch]"}
nodes:
  twice:
    python: "post:double"
    in: {x: x, t: t}
    out: {y: "FP32[batch, 2]", u: "BYTES[batch]"}
outputs: {y: twice.y, u: twice.u}
"""
PYTHON = """
import numpy as np
from graphc_runtimes import BadInputError


def double(x, t):
    if (x < 0).any():
        raise BadInputError("no negatives", row=0)
    if (x > 1000).any():
        raise ValueError("boom")
    # Wrong on purpose: a row's answer hangs on the others.
    return {"y": x * 2 + 0.5 * (len(x) > 1), "u": np.array([each.upper() for each in t], object)}
"""
SOUND = {"x": [[1, 2], [3, 4]], "t": ["a", "b"]}
Json = dict[str, Any]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["test", *map(str, arguments)])


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    (tmp_path / "post.py").write_text(PYTHON)
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH)
    return path


def write(graph: Path, cases: object) -> Path:
    path = graph.parent / "cases.json"
    path.write_text(json.dumps(cases))
    return path


def test_each_fault_is_told_with_its_row(graph: Path) -> None:
    cases = [
        {"name": "sound", "request": SOUND, "expected": {"y": [[2.5, 4.5], [6.5, 8.5]], "u": ["A", "B"]}},
        {"request": SOUND, "expected": {"y": [[2.5, 4.5], [6.5, 9]]}},
        {"request": SOUND, "expected": {"u": ["A", "C"]}},
        {"request": SOUND, "expected": {"y": [[2.5, 4.5]], "z": [1]}},
        {"request": SOUND, "expected": {"y": [[2.5, 4.5], [6.5, 8.6]]}, "tolerance": 0.05},
        {"request": {**SOUND, "x": [[-1, 2], [1, 2]]}, "status": 400, "error": "no negatives"},
        {"request": {**SOUND, "x": [[-1, 2], [1, 2]]}, "status": 400, "error": "something else"},
        {"request": {**SOUND, "x": [[2000, 2], [1, 2]]}, "expected": {"y": [[1, 2], [3, 4]]}},
        {"request": SOUND},
        {"request": {"q": [1]}, "status": 400},
    ]
    write(graph, cases)
    junit = graph.parent / "report.xml"
    result = call(graph, "--output", "json", "--junit", junit)
    assert result.exit_code == 1, result.output
    told: list[list[str]] = [each["faults"] for each in json.loads(result.stdout)]
    assert told == [
        [],
        ["output `y`, row 1, at [1]: 8.5 where 9 was expected; 1 of 2 rows differ, apart by at most 0.5"],
        ["output `u`, row 1: `B` where `C` was expected; 1 of 2 rows differ"],
        ["output `y` has shape [2, 2] where [1, 2] was expected", "output `z` is absent"],
        [],
        [],
        ["is refused with `node `twice`, row 0: no negatives`, which has no `something else` in it"],
        ["is answered with status 500 where 200 was expected: node `twice` failed: ValueError: boom"],
        ["has nothing `expected`; `--update` writes what was answered"],
        [],
    ]
    (suite,) = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("10", "6")
    assert [case.find("failure") is not None for case in suite] == [bool(each) for each in told]


def test_rows_alone_have_to_be_answered_as_among_others(graph: Path) -> None:
    write(graph, [{"request": SOUND, "expected": {"y": [[2.5, 4.5], [6.5, 8.5]]}}])
    assert call(graph).exit_code == 0
    result = call(graph, "--each-row")
    assert result.exit_code == 1
    assert "row 0 alone is answered otherwise than among others: output `y`" in result.output
    assert "`u`" not in result.output


def test_answers_are_written_where_they_differ(graph: Path) -> None:
    (graph.parent / "rows.csv").write_text("x[0],x[1],t\n1,2,a\n3,4,b\n")
    table = graph.parent / "answers.csv"
    table.write_text("y[0],y[1],u\n2.5,4.5,A\n6.5,0,B\n")
    cases: list[Json] = [
        {"request": SOUND, "expected": {"y": [[2.5, 4.5], [6.5, 8.5]]}},
        {"request": SOUND},
        {"request": {**SOUND, "x": [[-1, 2], [1, 2]]}, "expected": {"y": [[1, 2], [3, 4]]}},
        {"request": "rows.csv", "expected": "answers.csv"},
    ]
    path = write(graph, cases)
    assert "column `y[1]`, row 1: 8.5 where 0 was expected" in call(graph).output
    result = call(graph, "--update")
    assert result.exit_code == 0, result.output
    assert "3 cases updated" in result.output
    assert call(graph).exit_code == 0
    kept: list[Json] = json.loads(path.read_text())
    assert (kept[0], kept[3]) == (cases[0], cases[3])
    assert [each["name"] for each in kept[1]["expected"]["outputs"]] == ["y", "u"]
    assert (kept[2]["status"], kept[2]["error"]) == (400, "node `twice`, row 0: no negatives")
    assert "expected" not in kept[2]
    assert table.read_text() == "y[0],y[1],u\n2.5,4.5,A\n6.5,8.5,B\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON in UTF-8"),
        ("[" * 100_000, "is nested too deeply"),
        ("[1]", "case 1 is not an object with `request`"),
        ('[{"expected": {}}]', "case 1 has no `request`"),
        ('[{"request": {}, "reqest": 1}]', "has an unknown field `reqest`"),
        ('[{"request": 1}]', "`request` is neither an object nor the name of a file"),
        ('[{"request": {"x": [1]}, "status": 99}]', "`status` is not an HTTP status"),
        ('[{"request": {"x": [1]}, "status": true}]', "`status` is not an HTTP status"),
        ('[{"request": {"x": [1]}, "tolerance": -1}]', "`tolerance` is not a number of at least 0"),
        ('[{"request": {"x": [1]}, "tolerance": NaN}]', "`tolerance` is not a number of at least 0"),
        ('[{"request": {"x": [1]}, "headers": {"a": 1}}]', "`headers` is not a mapping of texts"),
        ('[{"request": {"x": [1]}, "predictor": "no"}]', "asks version `no`; the graph has `main`"),
        ('[{"request": "../../etc/passwd"}]', "lies outside of the folder of the cases"),
        ('[{"request": "none.csv"}]', "none.csv` cannot be read: no such file"),
        ('[{"request": {"x": [[1, 2], [3]]}}]', "has rows of different lengths"),
        ("[]", "has no cases"),
    ],
)
def test_what_is_no_case_is_refused(graph: Path, text: str, told: str) -> None:
    (graph.parent / "cases.json").write_text(text)
    result = call(graph)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_a_graph_without_cases_says_where_they_belong(graph: Path) -> None:
    result = call(graph)
    assert result.exit_code == 1
    assert "`graph.cases.json` or `cases.json` beside it" in result.stderr


def test_a_node_that_does_not_load_is_told(graph: Path) -> None:
    (graph.parent / "post.py").write_text("raise RuntimeError('no weights')\n\ndef double(x, t): ...\n")
    write(graph, [{"request": SOUND}])
    result = call(graph)
    assert result.exit_code == 1
    assert "node `twice`: RuntimeError: no weights" in result.stderr


def test_a_process_that_ends_is_told(graph: Path) -> None:
    (graph.parent / "post.py").write_text(
        "import os\ndef double(x, t):\n    print('so long')\n    os._exit(7)\n"
    )
    write(graph, [{"request": SOUND}])
    result = call(graph)
    assert result.exit_code == 1
    assert "ended with exit status 7" in result.stderr


@pytest.mark.parametrize("name", [pytest.param("cancer-rollout", marks=pytest.mark.slow), "iris-cascade"])
def test_examples_pass_at_every_level(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(GRAPHS / name, folder)
    result = call(folder / "graph.yaml", "--each-level", "--each-row")
    assert result.exit_code == 0, result.output
    assert "-O0" in result.output
    assert "-O2" in result.output
    wrong: list[Json] = json.loads((folder / "cases.json").read_text())
    output = wrong[0]["expected"]["outputs"][0]
    output["data"] = output["data"][::-1]
    (folder / "cases.json").write_text(json.dumps(wrong))
    assert call(folder / "graph.yaml").exit_code == 1


def test_without_the_runtimes_it_says_what_to_install(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.cli.test_command.find_spec", lambda _: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    result = call(graph)
    assert result.exit_code == 1
    assert "install graphc's runtimes" in result.stderr
