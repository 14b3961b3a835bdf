"""A graph of two predictors, and changes of one field of a document each."""

import copy
from collections.abc import Iterator
from typing import Any, cast

Json = dict[str, Any]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict) and value:
        for key, each in cast("Json", value).items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and value:
        for index, each in enumerate(cast("list[Any]", value)):
            yield from leaves(each, (*path, index))
    else:
        yield path


def changed_at(document: Json, path: tuple[str | int, ...]) -> Json:
    changed = copy.deepcopy(document)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    place[path[-1]] = old + 1 if isinstance(old, int) and not isinstance(old, bool) else f"{old}-other"
    return changed


def graph(**changes: Any) -> Json:
    model = {
        "model": "s3://bucket/first.onnx",
        "framework": "onnx",
        "in": {"X": "x"},
        "out": {"y": "FP32[batch, 2]"},
    }
    whole: Json = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g", "namespace": "models"},
        "inputs": {"x": "FP32[batch, 4]"},
        "nodes": {"first": model},
        "outputs": {"y": "first.y"},
        "predictors": {
            "main": {"traffic": 90},
            "canary": {"traffic": 10, "nodes": {"first": {"model": "s3://b/2.onnx"}}},
        },
    }
    return whole | changes
