"""Graphs to draw: the examples, large ones, and one whose texts would command a page."""

import random
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).parents[2]
GRAPHS: Final = sorted(
    path
    for path in (ROOT / "graphs").rglob("graph.yaml")
    # What other servers say of themselves takes them.
    if "servers" not in path.parts
)
HOSTILE: Final = "</script><img src=x onerror=alert(1)>\"'&"


def write_chain(path: Path, count: int, seed: int = 3) -> Path:
    """Write a graph of so many nodes, each of which reads a few of those before it."""
    drawn, names = random.Random(seed), ["x"]
    nodes: dict[str, object] = {}
    for index in range(count):
        read = drawn.sample(names[-12:], min(drawn.choice([2, 2, 3]), len(names)))
        nodes[f"step-{index}"] = {"component": "mean", "in": read}
        names.append(f"step-{index}")
    used = {each for node in nodes.values() for each in node["in"]}  # type: ignore[index]
    graph = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "chain"},
        "inputs": {"x": "FP32[batch, 4]"},
        "nodes": nodes,
        "outputs": {f"of-{each}": each for each in nodes if each not in used},
    }
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


def write_hostile(path: Path) -> Path:
    graph = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "hostile"},
        "inputs": {"x": "FP32[batch, 2]"},
        "nodes": {
            "index": {"component": "argmax", "in": "x"},
            "label": {"component": "label-map", "in": "index", "parameters": {"labels": [HOSTILE, "@DATA@"]}},
        },
        "outputs": {"label": "label"},
    }
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path
