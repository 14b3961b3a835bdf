"""A compiled graph means what its definition says, whatever its shape and wherever its nodes run."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from agreement import (
    LEVELS,
    agree,
    agree_in_shards,
    answer_alike,
    assert_same,
    check_plans,
    interpreted,
    request_of,
    write_folder,
)
from generated_graphs import Generated
from graphc.ir.limits import Limits
from graphc.profiles.profile import Profile
from graphc.targets.find import find_target
from in_process import SELDON, lower, read_document
from metamorphoses import CHANGES
from served_graphs import Call, serve_graph

Json = dict[str, Any]

DECISIONS: Final = {"apart", "fused", "join", "parallel", "pooled", "sequence"}
"""What has to come up among the plans at -O1."""

SHAPES: Final = {
    "shared",
    "own-branch",
    "own-branches-by-row",
    "after-a-combiner",
    "combiner-after-combiner",
    "after-a-decision",
    "decision-after-decision",
    "joined-forks",
    "several-graph-outputs",
    "several-outputs",
    "large-integers",
    "failing",
    "model",
    "placed",
    "default",
    "several-defaults",
    "fallback",
    "shared-fallback",
    "last-resort",
    "quorum",
    "skipped",
    "policy-under-a-decision",
    "policy-after-policy",
    "failed: answers",
    "failed: default",
    "failed: fallback",
    "failed: skip",
    "cascade-row",
    "cascade-request",
    "router-threshold-row",
    "router-threshold-request",
    "router-equals-row",
    "router-parameter-row",
    "router-random-row",
    "several branches, outermost",
    "several branches, inside others",
    "rows among those of several branches",
    "one child for several branches",
    "conditions three deep",
    "waiting",
    "in-time",
    "too-late",
    "flaky",
    "deadline",
    "shared-by-decisions",
    "needed-by-decisions",
    "either of several",
    "either for the request",
    "either all rows or some",
    "either of another",
    "either inside others",
    "either of rows for some requests",
    "a decision that waits for what it leads to",
    "a fork at the root",
}
"""What the generator has to reach."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the user's module, both beside the graph and where nodes would have it mounted."""
    folder = tmp_path_factory.mktemp("graph")
    write_folder(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield folder


RARE: Final = {
    "failing",
    "last-resort",
    "rows among those of several branches",
    "one child for several branches",
    "several branches, inside others",
    "shared-fallback",
    "either inside others",
    "either of another",
    "either of rows for some requests",
}
"""What comes up in few of some hundred graphs, and so may not; ten thousand have it."""


def assert_reached(seen: Counter[str], count: int) -> None:
    wanted = SHAPES if count >= 10_000 else SHAPES - RARE
    assert {shape for shape in wanted if not seen[shape]} == set()
    assert seen["answers"] > count / 3
    assert seen["fails"] > count / 60
    assert {"MODEL", "COMBINER", "ROUTER", "OUTPUT_TRANSFORMER"} <= set(seen)
    assert {f"{kind} at -O1" for kind in DECISIONS if not seen[f"{kind} at -O1"]} == set()
    assert seen["merged: one ONNX model answers as they do"] > count / 600
    # Components and models as sound as these are never told apart.
    assert not [each for each in seen if each.startswith("apart:")]


def test_compiled_plans_mean_what_the_graphs_say(folder: Path) -> None:
    assert_reached(agree(300, folder, check_plans), 300)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_compiled_plans_mean_what_the_graphs_say(tmp_path: Path) -> None:
    assert_reached(agree_in_shards(20, 500, tmp_path, check_plans), 10_000)


def check_changed(generated: Generated, folder: Path, seen: Counter[str]) -> None:
    """Compare what a graph answers with what it answers after each change that means nothing."""
    before = interpreted(read_document(generated.document, folder), generated, Counter())
    for number, (name, change) in enumerate(CHANGES.items()):
        draw = random.Random(repr(generated.document))
        document = change(generated.document, draw)
        seen[f"{name} changes the file"] += list(_flat(document)) != list(_flat(generated.document))
        graph = read_document(document, folder)
        after = interpreted(graph, generated, Counter())
        assert (after is None) == (before is None)
        for output, array in (before or {}).items():
            np.testing.assert_array_equal((after or {})[output], array)
        plan = lower(graph, LEVELS[(number + len(document["nodes"])) % len(LEVELS)])
        if not isinstance(plan, list):
            seen[name] += 1
            answer_alike([plan], folder, [(generated, before)])


def _flat(document: Json) -> Iterator[object]:
    yield from document
    for name, fields in document["nodes"].items():
        yield from (name, *fields.items())


@pytest.mark.slow
def test_changes_without_meaning_change_no_answer(folder: Path) -> None:
    seen = agree(60, folder, check_changed)
    for name in CHANGES:
        assert seen[name] > 20
        assert seen[f"{name} changes the file"] > 40


def small(inputs: Json, nodes: Json) -> Json:
    return {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "small"},
        "inputs": inputs,
        "nodes": nodes,
        "outputs": {"y": "pick"},
    }


OWN: Final[Json] = {
    "low": {"component": "clip", "in": "x", "parameters": {"high": 0}},
    "high": {"component": "clip", "in": "x", "parameters": {"low": 1}},
}
BY_SCORE: Final[Json] = {"router": "threshold", "in": "score"}
CONDITIONS: Final[dict[str, Json]] = {
    "rows of one message take two branches with units of their own": small(
        {"x": "FP32[batch, 3]", "score": "FP32[batch]"},
        OWN | {"pick": BY_SCORE | {"branches": [{"below": 0.5, "take": "low"}, {"take": "high"}]}},
    ),
    "branches that overlap without one that has all": small(
        {"x": "FP32[batch, 3]"},
        OWN
        | {
            "both": {"component": "mean", "in": ["low", "high"]},
            "pick": {
                "router": "parameter",
                "name": "tier",
                "branches": [
                    {"equals": "gold", "take": "low"},
                    {"equals": "silver", "take": "both"},
                    {"equals": "bronze", "take": "high"},
                    {"take": "x"},
                ],
            },
        },
    ),
    "a default for a number of rows that is fixed": small(
        {"x": "FP32[5, 3]", "score": "FP32[5]"},
        {
            "fails": {
                "python": "steps:fail",
                "in": {"x": "x"},
                "out": {"y": "FP32[5, 3]"},
                "on_error": {"default": 1},
            },
            "pick": BY_SCORE | {"branches": [{"below": 0.5, "take": "fails"}, {"take": "x"}]},
        },
    ),
}


@pytest.mark.parametrize("tier", ["gold", "silver", "bronze", "other"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_hard_conditions_mean_what_they_say(name: str, tier: str, folder: Path) -> None:
    values = np.array([[3, -1, 0], [0, 2, 5], [-4, 0, 1], [1, 1, 1], [0, 0, 0]], np.float32)
    inputs = {"x": values, "score": np.array([0, 1, 0, 1, 1], np.float32)}
    document = CONDITIONS[name]
    inputs = {each: inputs[each] for each in document["inputs"]}
    generated = Generated(document, inputs, {"tier": tier})
    graph = read_document(document, folder)
    expected = interpreted(graph, generated, Counter())
    assert expected is not None
    plans = [plan for level in LEVELS if not isinstance(plan := lower(graph, level), list)]
    assert len(plans) == len(LEVELS)
    answer_alike(plans, folder, [(generated, expected)])


def check_served(
    generated: Generated, folder: Path, seen: Counter[str], target: str = "seldon", limits: Limits = SELDON
) -> None:
    graph = read_document(generated.document, folder)
    asked = [generated, generated.without_rows()]
    answers = [interpreted(graph, each, seen) for each in asked]
    (folder / "graph.yaml").write_text(yaml.safe_dump(generated.document, sort_keys=False))
    for level in LEVELS:
        plan = lower(graph, level, limits)
        if isinstance(plan, list):
            continue
        seen["several units" if plan.root.children else "one unit"] += 1
        calls = [Call(request_of(each)) for each in asked]
        served = serve_graph(folder / "graph.yaml", level, calls, folder / "mounted", target=target)
        for (status, body), expected in zip(served, answers, strict=True):
            seen["answers" if status == 200 else "fails"] += 1
            assert (status == 200) == (expected is not None), body
            if expected is not None:
                assert_same(body, expected)


@pytest.mark.parametrize("count", [25, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_served_manifests_mean_what_the_graphs_say(count: int, folder: Path) -> None:
    assert agree(count, folder, check_served)["answers"] > count / 2


PLAIN: Final = find_target("kubernetes").find_limits(Profile(), "cluster")


@pytest.mark.parametrize("count", [12, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_without_seldon_manifests_mean_the_same(count: int, folder: Path) -> None:
    """Both targets answer what the definition does, so they answer alike."""
    check = partial(check_served, target="kubernetes", limits=PLAIN)
    seen = agree(count, folder, check, number=1)
    assert seen["answers"] > count / 2
    assert min(seen["several units"], seen["one unit"]) > count / 4
