"""Clients over gRPC, good and bad, beside those of `mixed_clients`: messages as bytes, so that anything can be sent."""

import random
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

from graphc.engine.proto import SERVICE, message_class
from grpc import StatusCode, aio
from mixed_clients import EXITS, MOST_ERROR, PATIENCE_S, RAISES, RECURSES

_REFUSALS: Final = frozenset(
    {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.RESOURCE_EXHAUSTED}
)
_PYTHON: Final = ("Traceback", "Error:", "NoneType", "object has no attribute", "<class")


def message(rows: int, first: float = 100.0, edit: Callable[[Any], None] | None = None) -> bytes:
    """Return a request with raw contents, changed by `edit`."""
    request = cast("Any", message_class("ModelInferRequest")())
    request.model_name = "twins"
    tensor = request.inputs.add()
    tensor.name, tensor.datatype = "x", "FP32"
    tensor.shape.extend([rows, 4])
    request.raw_input_contents.append(struct.pack(f"<{rows * 4}f", *([first] * (rows * 4))))
    if edit is not None:
        edit(request)
    return cast("bytes", request.SerializeToString())


def _shape(*sizes: int) -> Callable[[Any], None]:
    def edit(request: Any) -> None:
        del request.inputs[0].shape[:]
        request.inputs[0].shape.extend(sizes)

    return edit


def _twice(request: Any) -> None:
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def _both(request: Any) -> None:
    request.inputs[0].contents.fp32_contents.extend([1.0] * 4)


def _other_field(request: Any) -> None:
    del request.raw_input_contents[:]
    request.inputs[0].contents.int64_contents.extend([1] * 4)


BAD: Final[dict[str, bytes]] = {
    "garbage": b"\xff\xff\xff\xff",
    "cut": message(1)[:-3],
    "empty": b"",
    "no inputs": message(1, edit=lambda request: request.ClearField("inputs")),
    "a shape that no array has": message(1, edit=_shape(0, 4611686018427387904, 4)),
    "a negative size": message(1, edit=_shape(-1, 4)),
    "another shape": message(1, edit=_shape(2, 4)),
    "many dimensions": message(1, edit=_shape(*[1] * 200)),
    "raw contents too many": message(1, edit=lambda request: request.raw_input_contents.append(b"x")),
    "raw contents cut": message(1, edit=lambda request: request.raw_input_contents.__setitem__(0, b"xyz")),
    "twice": message(1, edit=_twice),
    "both kinds of contents": message(1, edit=_both),
    "contents of another datatype": message(1, edit=_other_field),
    "another name": message(1, edit=lambda request: setattr(request.inputs[0], "name", "y")),
    "another datatype": message(1, edit=lambda request: setattr(request.inputs[0], "datatype", "FP33")),
    "another model": message(1, edit=lambda request: setattr(request, "model_name", "nobody")),
}


class RpcCrowd:
    """Calls over one channel; `failures` says what no client should have seen."""

    def __init__(self, port: int, draw: random.Random) -> None:
        self._port, self._random = port, draw
        self.counts = Counter[str]()
        self.failures = list[str]()

    async def run(self, calls: int) -> None:
        """Call so often, good and bad by turns."""
        async with aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            for _ in range(calls):
                action = self._random.choice([self._good, self._bad, self._failing])
                self.counts[action.__name__] += 1
                try:
                    await action(channel)
                except AssertionError as error:
                    self.failures.append(f"gRPC {action.__name__}: {str(error)[:300]}")

    async def _call(self, channel: aio.Channel, body: bytes) -> tuple[StatusCode, str, bytes]:
        method = cast("Any", channel.unary_unary(f"/{SERVICE}/ModelInfer"))
        try:
            return StatusCode.OK, "", await method(body, timeout=PATIENCE_S)
        except aio.AioRpcError as error:
            return error.code(), error.details() or "", b""

    async def _good(self, channel: aio.Channel) -> None:
        rows = self._random.choice([1, 3, 64])
        code, told, body = await self._call(channel, message(rows))
        assert code is StatusCode.OK, f"{code} {told}"
        answer = cast("Any", message_class("ModelInferResponse").FromString(body))
        assert list(answer.outputs[0].shape) == [rows, 4]
        raw = list(answer.raw_output_contents)
        found = (
            list(struct.unpack(f"<{rows * 4}f", raw[0]))
            if raw
            else list(answer.outputs[0].contents.fp32_contents)
        )
        assert found == [201.0] * (rows * 4)

    async def _bad(self, channel: aio.Channel) -> None:
        name = self._random.choice(sorted(BAD))
        code, told, _ = await self._call(channel, BAD[name])
        assert code in _REFUSALS, f"{name}: {code} {told}"
        assert told, name
        assert len(told) < MOST_ERROR, f"{name}: {len(told)} characters"
        assert not any(word in told for word in _PYTHON), f"{name}: {told}"

    async def _failing(self, channel: aio.Channel) -> None:
        first = self._random.choice([RAISES, EXITS, RECURSES])
        code, told, _ = await self._call(channel, message(1, first))
        assert code is StatusCode.INTERNAL, f"{first}: {code} {told}"
        assert len(told) < MOST_ERROR
