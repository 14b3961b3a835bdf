"""What a pod takes of a node: its containers, Seldon's executor, and what runs before them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from graphc.cli import main

Json = dict[str, Any]


def codes(folder: Path, graph: Json, **size: object) -> list[str]:
    """The codes of what is said of a graph on a cluster of one node of that size."""
    head = {"apiVersion": "graphc/v1", "metadata": {"name": "one", "namespace": "models"}}
    pool = {"name": "all", "cpu": 100, "memory": "100Gi"} | size
    (folder / "profile.yaml").write_text(
        json.dumps(head | {"kind": "ClusterProfile", "metadata": {"name": "one"}, "pools": [pool]})
    )
    (folder / "graph.yaml").write_text(json.dumps(head | {"kind": "InferenceGraph"} | graph))
    arguments = ["--output-format", "json", "--profile", str(folder / "profile.yaml")]
    done = CliRunner().invoke(main, ["check", *arguments, str(folder / "graph.yaml")])
    return [each["code"] for each in json.loads(done.stdout)]


def means(*resources: Json, **more: object) -> Json:
    nodes = {
        f"n{index}": {"component": "mean", "in": ["a", "b"], "resources": each}
        for index, each in enumerate(resources)
    }
    inputs = {"a": "FP32[batch, 3]", "b": "FP32[batch, 3]"}
    return {"inputs": inputs, "nodes": nodes, "outputs": {name: name for name in nodes}} | more


def replicated(count: int, resources: Json) -> Json:
    return means(resources, replicas=count)


@pytest.mark.parametrize(("each", "found"), [("250m", ["GC497"]), ("251m", ["GC496"])])
def test_the_executor_takes_half_a_processor(tmp_path: Path, each: str, found: list[str]) -> None:
    assert codes(tmp_path, means({"cpu": each}, {"cpu": each}), cpu=1) == found


@pytest.mark.parametrize(("each", "found"), [("256Mi", ["GC497"]), ("257Mi", ["GC496"])])
def test_and_half_a_gibibyte(tmp_path: Path, each: str, found: list[str]) -> None:
    assert codes(tmp_path, means({"memory": each}, {"memory": each}), memory="1Gi") == found


def test_a_graph_of_one_unit_has_no_executor(tmp_path: Path) -> None:
    assert codes(tmp_path, means({"cpu": 1}), cpu=2) == []


@pytest.mark.parametrize(("count", "found"), [(3, []), (4, ["GC497"]), (5, ["GC496"])])
def test_memory_is_counted_in_bytes(tmp_path: Path, count: int, found: list[str]) -> None:
    """Four times 250 MB are 1000 MB, and neither is a whole number of MiB."""
    assert codes(tmp_path, replicated(count, {"memory": "250M"}), memory="1000M") == found


@pytest.mark.parametrize(("count", "found"), [(3, []), (4, ["GC497"]), (5, ["GC496"])])
def test_a_node_takes_so_many_pods(tmp_path: Path, count: int, found: list[str]) -> None:
    assert codes(tmp_path, replicated(count, {"cpu": "1m"}), pods=4) == found


@pytest.mark.parametrize(("memory", "found"), [("255Mi", ["GC496"]), ("512Mi", [])])
def test_what_downloads_before_counts_where_it_takes_more(
    tmp_path: Path, memory: str, found: list[str]
) -> None:
    model = {
        "model": "s3://models/a.onnx",
        "in": {"x": "a"},
        "out": {"y": "FP32[batch, 3]"},
        "resources": {"memory": "1Mi"},
    }
    graph = {"inputs": {"a": "FP32[batch, 3]"}, "nodes": {"m": model}, "outputs": {"y": "m"}}
    assert codes(tmp_path, graph, memory=memory) == found
