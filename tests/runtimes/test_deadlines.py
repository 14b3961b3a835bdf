"""MLServer is told of a deadline that has passed, and carries one that has not."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

Json = dict[str, Any]

# MLServer and tritonclient register the same protobuf names, so that one process cannot have both.
PROGRAM: Final = """
import asyncio, json, sys
from graphc_runtimes.region_model import RegionModel
from graphc_runtimes.serving import InferenceRequest, MLServerError, ModelSettings, Parameters

async def answer(parameters):
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    request = InferenceRequest.model_validate({"inputs": [tensor]})
    request.parameters = Parameters.model_validate(parameters)
    model = RegionModel(ModelSettings(name="unit", implementation=RegionModel))
    await model.load()
    try:
        response = await model.predict(request)
    except MLServerError as error:
        return {"status": error.status_code, "error": str(error)}
    return {"status": 200, "parameters": json.loads(response.model_dump_json())["parameters"]}

async def main():
    print(json.dumps([await answer(each) for each in json.load(sys.stdin)]))

asyncio.run(main())
"""


@pytest.fixture
def predict(build: Callable[..., Json], node: Callable[..., Json]) -> Callable[[list[Json]], list[Json]]:
    """Answer requests with these parameters by a unit that is followed by others, in a graph with a deadline."""
    work = {"kind": "component", "component": "clip", "parameters": {"low": 0}}
    nodes = [node("a", {"x": "x"}, {"output": "a.output"}, **work)]
    takes, answers = ["x: FP32[batch, 2]"], {"a.output": "a.output: FP32[batch, 2]"}
    region = build(nodes, takes=takes, answers=answers, wire="base64")
    region["graph"]["deadline_ms"] = 60_000

    def run(parameters: list[Json]) -> list[Json]:
        environ = os.environ | {"GRAPHC_REGION": json.dumps(region)}
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
        done = subprocess.run(
            command, input=json.dumps(parameters), env=environ, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_mlserver_is_told_of_deadlines(predict: Callable[[list[Json]], list[Json]]) -> None:
    now = time.time() * 1000
    early = int(now) + 30_000
    past, none, stamped, kept = predict(
        [
            {"graphc_deadline_ms": 1},
            {"graphc_deadline_ms": "soon"},
            {"tier": "gold"},
            {"graphc_deadline_ms": early},
        ]
    )
    assert past["status"] == 504
    assert "deadline of 60s passed before node `a`" in past["error"]
    assert none["status"] == 400
    assert "parameter `graphc_deadline_ms` is not a time" in none["error"]
    assert stamped["parameters"]["tier"] == "gold"
    assert now + 60_000 - 1 <= stamped["parameters"]["graphc_deadline_ms"] <= now + 120_000
    assert kept["parameters"]["graphc_deadline_ms"] == early
