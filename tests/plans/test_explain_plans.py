"""`graphc explain FILE` shows the plan and why it is so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from graphc.cli import main

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
HERE: Final = Path(__file__).parent


def explain(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["explain", *arguments])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


@pytest.mark.parametrize(
    ("name", "file", "options"),
    [
        ("iris-cascade.txt", GRAPHS / "iris-cascade/graph.yaml", ()),
        ("wine-average-O0.txt", GRAPHS / "wine-average/graph.yaml", ("-O0",)),
        ("wine-average-O2.txt", GRAPHS / "wine-average/graph.yaml", ("-O2",)),
        ("fraud.txt", HERE / "fraud.yaml", ("--batch", "64")),
    ],
)
def test_text(name: str, file: Path, options: tuple[str, ...], golden: Callable[[str, str], None]) -> None:
    text = explain(str(file), *options)
    assert max(len(line) for line in text.splitlines()) <= 100
    golden(name, text)


def test_json(golden: Callable[[str, str], None]) -> None:
    text = explain(str(HERE / "fraud.yaml"), "--batch", "64", "--output-format", "json")
    golden("fraud.json", text)
    (plan,) = json.loads(text)
    units: dict[str, Any] = {unit["name"]: unit for unit in plan["units"]}
    way = sum(units[name]["work_ms"] + units[name]["hop_ms"] for name in plan["way"])
    assert plan["ms"] == pytest.approx(way)
    assert {name for each in plan["decisions"] for name in each["units"]} <= set(units)


def test_a_graph_that_is_rejected_is_not_explained(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text("kind: InferenceGraph\n")
    result = CliRunner().invoke(main, ["explain", str(tmp_path / "graph.yaml")])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "GC107" in result.stderr


def test_a_batch_is_a_number_of_32_bits() -> None:
    done = CliRunner().invoke(main, ["explain", "graph.yaml", "--batch", "9" * 400])
    assert done.exit_code == 2
    assert "1<=x<=2147483647" in done.output
