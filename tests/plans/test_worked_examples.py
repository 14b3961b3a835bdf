"""The examples in the headers of the modules that decide are what graphc decides."""

import json
from typing import Any, Final

import pytest
from click.testing import CliRunner
from graphc.cli import main

Json = dict[str, Any]
CLIP: Final[Json] = {"component": "clip", "in": "x", "parameters": {"low": 0}}
SOFTMAX: Final[Json] = {"component": "softmax", "in": "x"}
MEAN: Final[Json] = {"component": "mean", "in": ["a", "b"]}


def explain(nodes: Json, output: str, *options: str) -> str:
    document = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "example"},
        "inputs": {"x": "FP32[batch, 3]"},
        "nodes": nodes,
        "outputs": {"y": output},
    }
    result = CliRunner().invoke(main, ["explain", *options, "-"], input=json.dumps(document))
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def two(**fields: object) -> Json:
    return {"a": SOFTMAX | fields, "b": CLIP | fields, "c": MEAN}


@pytest.mark.parametrize(
    ("cost", "found"),
    [
        (3, ["10.1 ms predicted", "1 hop for one request"]),
        (30, ["example 4.0 ms -> a 34.0 ms -> c 4.1 ms = 42.1 ms", "64.1 ms one after another"]),
    ],
)
def test_heavy_branches_run_side_by_side(cost: float, found: list[str]) -> None:
    said = explain(two(cost_ms=cost), "c")
    assert [each for each in found if each not in said] == []


@pytest.mark.parametrize(
    ("cost", "found"),
    [
        (2, ["a request takes 8.1 ms, and 14.1 ms with a device for each", "`c` beside the GPU"]),
        (60, ["one after another a request would take 128 ms, and it takes 72.1 ms"]),
    ],
)
def test_light_nodes_share_a_device(cost: float, found: list[str]) -> None:
    said = explain(two(cost_ms=cost, resources={"gpu": 0.1}), "c", "--profile", "gpu-mps")
    assert [each for each in found if each not in said] == []


def test_a_tensor_is_carried_past_a_combiner() -> None:
    said = explain(two() | {"d": {"component": "mean", "in": ["c", "b"]}}, "d", "-O0")
    assert "c COMBINER 0.05 ms of work + 4.0 ms hop, 24 B in, 24 B out" in said
    assert "d OUTPUT_TRANSFORMER 0.05 ms of work + 4.0 ms hop, 24 B in, 12 B out" in said
