"""What grows with a body leaves the event loop free, however large the body and whatever is wrong with it."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from graphc.engine.binary import RequestError, Wanted, read_request, write_answer
from graphc.engine.grpc_convert import to_json, to_response
from graphc.engine.message import Answer, Message, combine
from graphc.engine.offload import offload
from graphc.engine.proto import message_class
from graphc.engine.unpacking import unpack

COUNT = 500_000
LONGEST_S = 0.1
"""Of the processor's time, which a busy machine does not lengthen as it does the clock's."""


def tensor(key: str, data: Any, datatype: str = "FP32") -> bytes:
    fields = {"name": "x", "shape": [COUNT], "datatype": datatype, "data": data}
    return json.dumps({key: [fields]}).encode()


def raw_call(shape: int) -> Any:
    request: Any = message_class("ModelInferRequest")()
    request.inputs.add(name="x", datatype="FP32", shape=[shape])
    request.raw_input_contents.append(np.random.default_rng(1).random(COUNT, "f4").tobytes())
    return request


def typed_call() -> Any:
    request: Any = message_class("ModelInferRequest")()
    made = request.inputs.add(name="x", datatype="FP32", shape=[COUNT])
    made.contents.fp32_contents.extend(np.random.default_rng(1).random(COUNT, "f4").tolist())
    return request


def binary_request() -> tuple[bytes, str]:
    fields = {
        "name": "x",
        "shape": [COUNT],
        "datatype": "FP64",
        "parameters": {"binary_data_size": COUNT * 8},
    }
    head = json.dumps({"inputs": [fields]}).encode()
    return head + np.random.default_rng(1).random(COUNT).tobytes(), str(len(head))


NUMBERS: list[float] = np.random.default_rng(1).random(COUNT).round(6).tolist()
TEXTS = [f"text {each}" for each in range(COUNT)]


def read_all(body: bytes, length: str | None = None) -> Callable[[], object]:
    return lambda: read_request(body, length, "application/json")


def answer() -> bytes:
    return tensor("outputs", NUMBERS)


def write_binary(body: bytes) -> object:
    return write_answer(Answer(200, Message(body)), Wanted(by_default=True))


def combine_two(body: bytes) -> object:
    return combine([Message(body)] * 2)


WORK: dict[str, Callable[[], Callable[[], object]]] = {
    "raw contents": lambda: partial(to_json, raw_call(COUNT)),
    "raw contents of a wrong shape": lambda: partial(to_json, raw_call(COUNT + 1)),
    "typed contents": lambda: partial(to_json, typed_call()),
    "binary tensors": lambda: read_all(*binary_request()),
    "numbers": lambda: read_all(tensor("inputs", NUMBERS)),
    "numbers cut short": lambda: read_all(tensor("inputs", NUMBERS)[:-10]),
    "texts": lambda: read_all(tensor("inputs", TEXTS, "BYTES")),
    "objects": lambda: read_all(b'{"inputs":[' + b"{}," * (3 * COUNT) + b"{}]}"),
    "lists in lists": lambda: read_all(tensor("inputs", [NUMBERS[:1000]] * 500)),
    "an answer for the next unit": lambda: Message(answer()).chained,
    "answers for a combiner": lambda: partial(combine_two, answer()),
    "an answer as raw contents": lambda: partial(to_response, answer(), raw=True),
    "an answer as typed contents": lambda: partial(to_response, answer(), raw=False),
    "an answer as binary tensors": lambda: partial(write_binary, answer()),
    "gzip": lambda: partial(unpack, gzip.compress(answer(), 1), "gzip", 2**30),
}


@pytest.mark.parametrize("kind", WORK)
def test_the_event_loop_is_free_meanwhile(kind: str) -> None:
    work = WORK[kind]()

    async def measure() -> tuple[float, int]:
        longest, ticks, last = 0.0, 0, time.process_time()
        task = asyncio.create_task(offload(2**30, work))
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.process_time()
            longest, ticks, last = max(longest, now - last), ticks + 1, now
        refused = kind in {"raw contents of a wrong shape", "numbers cut short", "objects"}
        assert isinstance(task.exception(), RequestError if refused else type(None))
        return longest, ticks

    longest, ticks = asyncio.run(measure())
    assert ticks > 0
    assert longest < LONGEST_S
