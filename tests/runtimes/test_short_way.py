"""What takes the short way through a unit is answered as on the long one, byte for byte."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.bodies import write_infer
from graphc_runtimes.choose import Call
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.lane import Lane
from graphc_runtimes.reading import read_infer
from graphc_runtimes.unit import LoadedUnit, load_unit

Json = dict[str, Any]

LABELS: Final = {"0": "låg", "1": 'quoted "', "2": "high"}
REGION: Final[Json] = {
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


def load(region: Json) -> LoadedUnit:
    environment = Environment(orjson.dumps(region).decode(), "labels", Path(), "cpu", 1)
    return asyncio.run(load_unit(environment))


@pytest.fixture(scope="module")
def unit() -> LoadedUnit:
    return load(REGION)


def request(*numbers: int, **fields: object) -> bytes:
    tensor = {"name": "x", "datatype": "INT64", "shape": [len(numbers)], "data": numbers}
    return orjson.dumps({"inputs": [tensor], "id": "7", **fields})


def long_way(unit: LoadedUnit, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    asked = read_infer(body, headers or {}, None)
    assert asked is not None
    message = unit.accept(asked.message)
    name = unit.region.unit
    fields: dict[str, object] = {"model_name": name, "id": message.id, "parameters": unit.carry(message)}
    return b"".join(write_infer(fields, unit.answer(message), asked, name).parts)


def find(unit: LoadedUnit) -> Lane:
    lane = Lane.find(unit, unit.region.unit)
    assert lane is not None
    return lane


def short_way(unit: LoadedUnit, body: bytes, headers: Mapping[str, str] | None = None) -> bytes | None:
    return find(unit).answer(body, headers or {}, "unused")


@pytest.mark.parametrize("numbers", [(0,), (2, 1, 0)])
def test_texts_are_written_alike(unit: LoadedUnit, numbers: tuple[int, ...]) -> None:
    assert short_way(unit, request(*numbers)) == long_way(unit, request(*numbers))


def test_requests_that_ran_as_one_are_written_each(unit: LoadedUnit) -> None:
    lane = find(unit)
    x = np.array([0, 1, 2, 0])
    made: dict[str, Array] = unit.run({"x": x}, Call())
    lane.write({name: array[:2] for name, array in made.items()})
    texts = lane.write_all(made, 4, 2)
    assert texts == [
        lane.write({name: array[place : place + 2] for name, array in made.items()}) for place in (0, 2)
    ]


def test_bytes_that_are_no_text_are_written_as_the_long_way_does(unit: LoadedUnit) -> None:
    lane = find(unit)
    made: dict[str, Array] = {
        "label.output": np.array([b"\xff\xfe", b"a"], object),
        "x": np.array([1, 2]),
    }
    (label, _) = orjson.loads(b"[%b]" % lane.write(made))
    assert label["parameters"] == {"content_type": "base64"}
    assert label["data"] == ["//4=", "YQ=="]


def test_what_the_nodes_did_not_give_is_an_error(unit: LoadedUnit) -> None:
    lane = find(unit)
    with pytest.raises(RunError, match="no branch was taken that gives `label`"):
        lane.write({"x": np.array([1])})
    assert lane.write_all({"x": np.array([1, 2])}, 2, 2) is None


# --- Parameters and headers ---------------------------------------------------------------------------

TIERS: Final = ["gold", "5", "true"]


def read(tensor: str) -> Json:
    return {"tensor": tensor, "gather": []}


def choosing(router: str) -> LoadedUnit:
    """Return a unit of one branch for each tier, chosen by a parameter or a header, and none for others."""
    conditions = {"name": "tier", "equals": TIERS, "branches": len(TIERS)}
    pick = {"kind": "choice", "router": router, "per": "request", "parameters": conditions}
    nodes: list[Json] = [{"name": "pick", **pick, "inputs": {}, "outputs": {"choice": "pick.choice"}}]
    (label,) = REGION["nodes"]
    for branch, tier in enumerate(TIERS):
        labels = {"labels": {number: f"{tier} {text}" for number, text in LABELS.items()}}
        more = {
            "parameters": labels,
            "outputs": {"output": f"{tier}.output"},
            "when": [["pick.choice", branch]],
        }
        nodes.append(label | {"name": tier} | more)
    merge = {"kind": "merge", "choice": read("pick.choice"), "per": "request"}
    branches = [{"output": read(f"{tier}.output")} for tier in TIERS]
    nodes.append({"name": "label", **merge, "branches": branches, "outputs": {"output": "label.output"}})
    return load(REGION | {"nodes": [{"when": []} | each for each in nodes]})


@pytest.fixture(scope="module")
def units(unit: LoadedUnit) -> Mapping[str, LoadedUnit]:
    return {"none": unit, "parameter": choosing("parameter"), "header": choosing("header")}


@pytest.mark.parametrize(
    "parameters",
    [{}, {"tier": "gold"}, {"tier": 5.0, "other": 1.25}, {"tier": True, "user": "ångström", "n": -3}],
)
@pytest.mark.parametrize("by", ["none", "parameter", "header"])
def test_parameters_are_looked_at_and_answered_alike(
    units: Mapping[str, LoadedUnit], by: str, parameters: Json
) -> None:
    body, headers = request(1, 2, parameters=parameters), {"Tier": "gold"}
    if by == "parameter" and not parameters:
        for way in (short_way, long_way):
            with pytest.raises(RequestError, match="no branch is for this request"):
                way(units[by], body, headers)
        return
    answer = short_way(units[by], body, headers)
    assert answer == long_way(units[by], body, headers)
    assert answer is not None
    fields = orjson.loads(answer)
    assert fields["parameters"] == parameters
    tier = {"none": "", "header": "gold "}.get(
        by, str(parameters.get("tier")).lower().removesuffix(".0") + " "
    )
    assert fields["outputs"][0]["data"] == [f'{tier}quoted "', f"{tier}high"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"tier": ["gold"]},
        {"tier": {"a": 1}},
        {"tier": None},
        {"headers": {"a": "b"}},
        {"content_type": "np"},
        {"binary_data_output": True},
        {"graphc_outputs": ["same"]},
        {"graphc_deadline_ms": 1},
        None,
        ["tier"],
    ],
)
def test_parameters_that_say_more_are_left_to_the_long_way(unit: LoadedUnit, parameters: object) -> None:
    assert short_way(unit, request(1, parameters=parameters)) is None


def test_requests_that_a_choice_tells_apart_are_of_other_kinds(units: Mapping[str, LoadedUnit]) -> None:
    def sort(by: str, header: str, **parameters: object) -> tuple[int, object]:
        asked = find(units[by]).read(request(1, 2, parameters=parameters), {"tier": header}, "unused")
        assert asked is not None
        return find(units[by]).sort(asked)

    assert sort("none", "a", tier="gold") == sort("none", "b", tier="5") == (2, ("INT64",))
    assert sort("parameter", "a", tier="5") == sort("parameter", "b", tier=5) == (2, ("INT64", "5"))
    assert sort("parameter", "a", tier="5") != sort("parameter", "a", tier="gold")
    assert sort("header", "a", tier="5") == sort("header", "a") != sort("header", "b")
