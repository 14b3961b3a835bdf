"""`graphc infer --stream`: ask for an answer in parts, server-sent events of V2 answers, and give each as it comes."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, cast

import aiohttp

from graphc.client.answer import InferAnswer, read_answer, read_error
from graphc.client.call import Call
from graphc.client.failure import InferError
from graphc.client.infer import InferOptions
from graphc.client.inputs import read_inputs
from graphc.client.rest import MOST_BYTES, RestCaller, infer_path
from graphc.client.target import Target

_EVENTS: Final = "text/event-stream"
_END: Final = re.compile(rb"\r?\n\r?\n")


async def stream(target: Target, options: InferOptions) -> AsyncGenerator[InferAnswer]:
    """Call a model, and yield the parts of its answer; raises InferError.

    The timeout holds for the first part, and for each after it.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=options.timeout, sock_read=options.timeout)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        caller = RestCaller(http, target.base, options.headers)
        model = target.model or await caller.find_model()
        tensors = read_inputs(options.inputs, await caller.read_inputs(model))
        call = Call(model, tensors, options.parameters, target.version)
        async with caller.post(f"{infer_path(call.model, call.version)}_stream", call) as response:
            if response.content_type != _EVENTS:
                raise InferError(f"{target.base} answers `{model}` as a whole; leave `--stream` out")
            async for data in _read_events(response.content.iter_any()):
                yield _read_part(data, target.base)


async def _read_events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event; what no empty line ends is none."""
    waiting = b""
    async for piece in pieces:
        *whole, waiting = _END.split(waiting + piece)
        if len(waiting) > MOST_BYTES:
            raise InferError(f"an event of the answer has more than {MOST_BYTES >> 20} MiB")
        for event in whole:
            lines = (line.partition(b":") for line in event.splitlines())
            data = [value.removeprefix(b" ") for name, _, value in lines if name == b"data"]
            if data:
                yield b"\n".join(data)


def _read_part(data: bytes, base: str) -> InferAnswer:
    text = data.decode("utf-8", "replace")
    try:
        value = cast("object", json.loads(text))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and "error" in value and "outputs" not in value:
        raise InferError(f"{base} broke off its answer: {read_error(text)}")
    return read_answer(text)
