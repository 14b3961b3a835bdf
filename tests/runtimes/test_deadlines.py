"""MLServer is told of a deadline that has passed, and carries one that has not."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from graphc_runtimes.model import RegionModel
from graphc_runtimes.serving import (
    InferenceRequest,
    InferenceResponse,
    MLServerError,
    ModelSettings,
    Parameters,
)

Json = dict[str, Any]


def predict(parameters: Json) -> InferenceResponse:
    body: Json = {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
    }
    request = InferenceRequest.model_validate(body)
    request.parameters = Parameters.model_validate(parameters)

    async def run() -> InferenceResponse:
        model = RegionModel(ModelSettings(name="unit", implementation=RegionModel))
        await model.load()
        return await model.predict(request)

    return asyncio.run(run())


def carried_by(parameters: Json) -> Json:
    body: Json = json.loads(predict(parameters).model_dump_json())  # pyright: ignore[reportUnknownMemberType]
    return body["parameters"]


@pytest.fixture(autouse=True)
def unit(build: Callable[..., Json], node: Callable[..., Json], monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that is followed by others, in a graph with a deadline."""
    work = {"kind": "component", "component": "clip", "parameters": {"low": 0}}
    nodes = [node("a", {"x": "x"}, {"output": "a.output"}, **work)]
    takes, answers = ["x: FP32[batch, 2]"], {"a.output": "a.output: FP32[batch, 2]"}
    # MLServer's process has one region; this one has one for each test.
    region = build(nodes, takes=takes, answers=answers, wire="base64", unit=f"unit{time.monotonic_ns()}")
    region["graph"]["deadline_ms"] = 60_000
    monkeypatch.setenv("GRAPHC_REGION", json.dumps(region))


def test_a_request_past_its_deadline_is_504() -> None:
    with pytest.raises(MLServerError, match="deadline of 60s passed before node `a`") as raised:
        predict({"graphc_deadline_ms": 1})
    assert raised.value.status_code == 504


def test_a_time_that_is_none_is_400() -> None:
    with pytest.raises(MLServerError, match="parameter `graphc_deadline_ms` is not a time") as raised:
        predict({"graphc_deadline_ms": "soon"})
    assert raised.value.status_code == 400


def test_the_answer_carries_the_deadline_on() -> None:
    now = time.time() * 1000
    carried = carried_by({"tier": "gold"})
    assert carried["tier"] == "gold"
    assert now + 60_000 - 1 <= carried["graphc_deadline_ms"] <= now + 65_000
    early = int(now) + 30_000
    assert carried_by({"graphc_deadline_ms": early})["graphc_deadline_ms"] == early
