"""A node runs for exactly the rows that some reader takes, through however many routers and cascades."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from agreement import LEVELS, agree, answer_alike, check_rows, interpreted, write_folder
from generated_graphs import Generated
from graphc.ir.graph import EitherWork, Graph
from graphc.lower.conditions import lower_conditions
from in_process import lower, read_document

Json = dict[str, Any]

X: Final = np.array([[0, 0, 0], [3, 0, 0], [1, 1, 1], [3, 3, 3]], np.float32)
"""`steps:fail` fails for the second row and the last."""
LOW: Final = np.array([0, 1, 0, 1], np.float32)
"""Below 0.5 in the rows for which `steps:fail` answers."""
MIXED: Final = np.array([1, 1, 0, 1], np.float32)
NONE: Final = np.array([1, 1, 1, 1], np.float32)


def fails(source: str = "x", **fields: Any) -> Json:
    return {"python": "steps:fail", "in": {"x": source}, "out": {"y": "FP32[batch, 3]"}} | fields


def by(value: str, low: str, high: str) -> Json:
    return {"router": "threshold", "in": value, "branches": [{"below": 0.5, "take": low}, {"take": high}]}


GRAPHS: Final[dict[str, Json]] = {
    "two routers": {"n": fails(), "r": by("a", "n", "x"), "t": by("b", "n", "x")},
    "a default": {"n": fails(on_error={"default": 9}), "r": by("a", "n", "x"), "t": by("b", "n", "x")},
    "a router and a cascade": {
        "n": fails(),
        "r": by("a", "n", "x"),
        "t": {"cascade": [{"take": "x", "until": 2.5}, {"take": "n"}]},
    },
    "a router in a router": {
        "n": fails(),
        "in": by("b", "n", "x"),
        "r": by("a", "n", "in"),
        "t": by("b", "x", "r"),
    },
    "what is before it": {
        "first": fails(),
        "n": {"component": "softmax", "in": "first"},
        "r": by("a", "n", "x"),
        "t": by("b", "first", "x"),
    },
    "by request and by row": {
        "n": fails(),
        "r": by("a", "n", "x"),
        "t": {
            "router": "parameter",
            "name": "tier",
            "branches": [{"equals": "gold", "take": "n"}, {"take": "x"}],
        },
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_folder(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def document_of(nodes: Json, *outputs: str) -> Json:
    inputs = {"x": "FP32[batch, 3]", "a": "FP32[batch]", "b": "FP32[batch]"}
    read = repr(nodes)
    return {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "union"},
        "inputs": {name: type_ for name, type_ in inputs.items() if f"'{name}'" in read},
        "nodes": nodes,
        "outputs": {name: name for name in outputs},
    }


def ask(document: Json, folder: Path, a: Any, b: Any, tier: str = "silver") -> tuple[Json | None, Graph]:
    """Return the answer by definition, which all plans agree with."""
    given = {"x": X, "a": a, "b": b}
    generated = Generated(document, {name: given[name] for name in document["inputs"]}, {"tier": tier})
    graph = read_document(document, folder)
    expected = interpreted(graph, generated, Counter())
    plans = [plan for level in LEVELS if not isinstance(plan := lower(graph, level), list)]
    assert len(plans) == len(LEVELS)
    answer_alike(plans, folder, [(generated, expected)])
    return expected, graph


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_that_no_reader_takes_reach_no_node(name: str, folder: Path) -> None:
    document = document_of(GRAPHS[name], "r", "t")
    for a, b in ((LOW, LOW), (LOW, MIXED), (MIXED, NONE), (NONE, NONE)):
        expected, _ = ask(document, folder, a, b)
        assert expected is not None
        taken = expected["r"][:, 0].tolist()
        assert 9 not in taken
    # Where a reader does take such a row, the node fails as it is written to.
    wrong, _ = ask(document, folder, 1 - LOW, 1 - LOW)
    assert wrong is None or 9 in wrong["r"]


@pytest.mark.parametrize("name", GRAPHS)
def test_another_output_changes_no_output(name: str, folder: Path) -> None:
    for a, b in ((LOW, LOW), (MIXED, LOW), (LOW, NONE)):
        both, _ = ask(document_of(GRAPHS[name], "r", "t"), folder, a, b)
        nodes = dict(GRAPHS[name])
        if "'r'" in repr({key: each for key, each in nodes.items() if key != "r"}):
            continue
        one, _ = ask(document_of({key: each for key, each in nodes.items() if key != "t"}, "r"), folder, a, b)
        assert both is not None
        assert one is not None
        np.testing.assert_array_equal(both["r"], one["r"])


def test_a_node_that_a_decision_waits_for_runs_once_for_all_that_is_decided_on(folder: Path) -> None:
    nodes = {
        "n": fails(),
        "r": by("a", "n", "x"),
        "total": {"component": "select", "in": "r", "parameters": {"columns": [0]}},
        "t": by("total", "n", "x"),
    }
    answered, _ = ask(document_of(nodes, "t"), folder, LOW, LOW)
    assert answered is None
    one_by_one = dict(nodes) | {"n": {"component": "clip", "in": "x", "parameters": {"high": 2}}}
    expected, _ = ask(document_of(one_by_one, "t"), folder, LOW, LOW)
    assert expected is not None
    assert expected["t"].tolist() == [[0, 0, 0], [3, 0, 0], [1, 1, 1], [3, 3, 3]]


def chained(count: int) -> Json:
    """Diamonds one after another, all of which share a node, and each of which a router of its own looks into."""
    nodes: Json = {"n": fails()}
    last = "n"
    for index in range(count):
        nodes[f"s{index}"] = {"component": "softmax", "in": last}
        nodes[f"r{index}"] = by("a" if index % 2 else "b", f"s{index}", "x")
        last = f"s{index}"
    return document_of(nodes, *(f"r{index}" for index in range(count)))


def test_conditions_grow_with_the_graph_and_no_faster(folder: Path) -> None:
    def size(count: int) -> int:
        lowered = lower_conditions(read_document(chained(count), folder))
        eithers = [node.work for node in lowered.nodes if isinstance(node.work, EitherWork)]
        assert len(eithers) >= count - 1
        return sum(len(work.cases) for work in eithers) + sum(len(node.guards) for node in lowered.nodes)

    small, large = size(40), size(160)
    assert large < 4.2 * small


@pytest.mark.parametrize(
    "count", [150, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_a_row_alone_is_answered_as_by_asking_for_what_is_needed(count: int, folder: Path) -> None:
    seen = agree(count, folder, check_rows)
    assert seen["answers"] > count
    assert seen["fails"] > count / 20
    assert seen["a row that was not asked for"] < count / 50
