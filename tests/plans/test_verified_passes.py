"""Every pass leaves graphs and plans sound; what would be unsound is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from compile_cases import Case, find_cases
from graphc.compile.compile_files import compile_files
from graphc.compile.pipeline import plan_graph
from graphc.compile.request import Request
from graphc.diagnostics import Sink
from graphc.ir.graph import Graph, Guard, MergeWork, Node
from graphc.ir.plan import Plan
from graphc.lower.options import Options
from graphc.source.parameters import parse_settings
from graphc.verify.graph import verify_graph
from graphc.verify.plan import verify_plan
from in_process import SELDON, Verifying, read_document

Json = dict[str, Any]

DOCUMENT: Final[Json] = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "sound"},
    "inputs": {"x": "FP32[batch, 3]", "amount": "FP32[batch]"},
    "nodes": {
        "both": {"component": "clip", "in": "x", "parameters": {"low": 0}, "resources": {"cpu": 1}},
        "high": {"component": "softmax", "in": "both", "resources": {"cpu": 1}},
        "pick": {
            "router": "threshold",
            "in": "amount",
            "branches": [
                {"below": 1, "take": "both"},
                {"below": 2, "take": "high"},
                {"take": "x"},
            ],
        },
    },
    "outputs": {"y": "pick"},
}


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("case", find_cases(), ids=str)
def test_every_pass_over_every_example_leaves_it_sound(
    case: Case, level: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(case.path.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    watch = Verifying()
    settings = [word for word in case.options if "=" in word]
    options = Options(level, watch=watch)
    request = Request([case.path.name], parse_settings(settings), case.environ, options)
    done = compile_files(request)
    assert len(watch.graphs) >= 3
    assert done.sink.has_errors or watch.plans >= len(done.graphs)


class Made:
    """What the passes make of the small graph above at -O0."""

    def __init__(self, folder: Path) -> None:
        self.made: list[Graph | Plan] = []
        graph = read_document(DOCUMENT, folder)
        plan = plan_graph(graph, Options(0, limits=SELDON, watch=self.made.append), Sink())
        assert plan is not None
        self.plan = plan
        self.graph = [each for each in self.made if isinstance(each, Graph)][-1]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_what_the_passes_make_is_sound(made: Made) -> None:
    assert verify_graph(made.graph) == []
    assert verify_plan(made.plan, made.graph, SELDON) == []


def change(graph: Graph, name: str, **fields: Any) -> Graph:
    return graph.with_nodes(
        tuple(replace(node, **fields) if node.name == name else node for node in graph.nodes)
    )


def find(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def merged(graph: Graph) -> Graph:
    merge = find(graph, "pick:merge")
    assert isinstance(merge.work, MergeWork)
    return change(graph, "pick:merge", work=replace(merge.work, branches=merge.work.branches[:1] + ((),)))


FAULTS: Final[dict[str, tuple[Callable[[Graph], Graph], str]]] = {
    "order": (
        lambda graph: graph.with_nodes(tuple(reversed(graph.nodes))),
        "`pick:merge` reads `pick:choice`, which nothing before it makes",
    ),
    "twice": (
        lambda graph: graph.with_nodes((*graph.nodes, graph.nodes[0])),
        "the node `pick:choice` is there twice",
    ),
    "no choice": (
        lambda graph: change(graph, "both", guards=(Guard("x", (0,)),)),
        "`both` runs by `x`, which is no choice",
    ),
    "every branch": (
        lambda graph: change(graph, "both", guards=(Guard("pick:choice", (0, 1, 2)),)),
        "`both` runs for the branches [0, 1, 2] of 3",
    ),
    "too narrow": (
        lambda graph: change(graph, "both", guards=(Guard("pick:choice", (0,)),)),
        "`high` reads `both.output`, which may not be there",
    ),
    "rows of others": (
        lambda graph: change(graph, "both", guards=(Guard("pick:choice", (0, 2)),)),
        "`both` picks other rows of `x` than those that it runs for",
    ),
    "branch": (merged, "branch 1 of `pick:merge` has no `output`"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_unsound_graph_is_found(made: Made, name: str) -> None:
    spoil, message = FAULTS[name]
    assert message in verify_graph(spoil(made.graph))


def test_a_plan_that_leaves_a_tensor_behind_is_found(made: Made) -> None:
    root = made.plan.root
    spoilt = replace(made.plan, root=replace(root, answers=root.answers[:-1]))
    assert any("and the message has None" in fault for fault in verify_plan(spoilt, made.graph, SELDON))


def test_a_plan_that_leaves_out_a_node_is_found(made: Made) -> None:
    root = replace(made.plan.root, children=())
    faults = verify_plan(replace(made.plan, root=root), made.graph, SELDON)
    assert "`both` runs nowhere" in faults
