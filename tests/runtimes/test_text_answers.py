"""Answers that hold texts take the short way too, and read the same byte for byte."""

import asyncio
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.bodies import read_infer, write_infer
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RunError
from graphc_runtimes.lane import Lane
from graphc_runtimes.unit import Unit, load_unit

LABELS: Final = {"0": "låg", "1": 'quoted "', "2": "high"}
REGION: Final[dict[str, Any]] = {
    "graphc": 1,
    "graph": {
        "name": "labels",
        "inputs": [{"name": "x", "datatype": "INT64", "shape": ["batch"]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": ["batch"]},
            {"name": "same", "datatype": "INT64", "shape": ["batch"]},
        ],
    },
    "unit": "labels",
    "takes": [{"name": "x", "datatype": "INT64", "shape": ["batch"], "optional": False}],
    "nodes": [
        {
            "name": "label",
            "kind": "component",
            "component": "label-map",
            "parameters": {"labels": LABELS},
            "inputs": {"0": {"tensor": "x", "gather": []}},
            "outputs": {"output": "label.output"},
            "when": [],
        }
    ],
    "answers": [
        {
            "name": "label",
            "tensor": "label.output",
            "datatype": "BYTES",
            "shape": ["batch"],
            "optional": False,
        },
        {"name": "same", "tensor": "x", "datatype": "INT64", "shape": ["batch"], "optional": False},
    ],
    "wire": "plain",
    "route": None,
}


@pytest.fixture(scope="module")
def unit() -> Unit:
    environment = Environment(orjson.dumps(REGION).decode(), "labels", Path(), "cpu", 1)
    return asyncio.run(load_unit(environment))


def request(*numbers: int) -> bytes:
    tensor = {"name": "x", "datatype": "INT64", "shape": [len(numbers)], "data": numbers}
    return orjson.dumps({"inputs": [tensor], "id": "7"})


def long_way(unit: Unit, body: bytes) -> bytes:
    asked = read_infer(body, {}, None)
    assert asked is not None
    message = unit.accept(asked.message)
    fields: dict[str, object] = {"model_name": "labels", "id": message.id, "parameters": {}}
    return b"".join(write_infer(fields, unit.answer(message), asked, "labels").parts)


@pytest.mark.parametrize("numbers", [(0,), (2, 1, 0)])
def test_the_short_way_writes_what_the_long_one_does(unit: Unit, numbers: tuple[int, ...]) -> None:
    lane = Lane.find(unit, "labels")
    assert lane is not None
    assert lane.answer(request(*numbers), "unused") == ("7", long_way(unit, request(*numbers)))


def test_requests_that_ran_as_one_are_written_each(unit: Unit) -> None:
    lane = Lane.find(unit, "labels")
    assert lane is not None
    x = np.array([0, 1, 2, 0])
    made: dict[str, Array] = unit.run({"x": x}, lane.call)
    lane.write({name: array[:2] for name, array in made.items()})
    texts = lane.write_all(made, 4, 2)
    assert texts == [
        lane.write({name: array[place : place + 2] for name, array in made.items()}) for place in (0, 2)
    ]


def test_bytes_that_are_no_text_are_written_as_the_long_way_does(unit: Unit) -> None:
    lane = Lane.find(unit, "labels")
    assert lane is not None
    made: dict[str, Array] = {
        "label.output": np.array([b"\xff\xfe", b"a"], object),
        "x": np.array([1, 2]),
    }
    (label, _) = orjson.loads(b"[%b]" % lane.write(made))
    assert label["parameters"] == {"content_type": "base64"}
    assert label["data"] == ["//4=", "YQ=="]


def test_what_the_nodes_did_not_give_is_an_error(unit: Unit) -> None:
    lane = Lane.find(unit, "labels")
    assert lane is not None
    with pytest.raises(RunError, match="no branch was taken that gives `label`"):
        lane.write({"x": np.array([1])})
    assert lane.write_all({"x": np.array([1, 2])}, 2, 2) is None
