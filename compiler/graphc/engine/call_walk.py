"""The walk over gRPC: what Seldon's executor answers, and where its process ends.

It speaks to MODEL units alone. An answer becomes the next unit's request with its parameters and its outputs, whose
typed contents pass exactly; raw contents, the id, the version and the outputs asked for are lost on the way.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import Final, cast

import grpc

from graphc.engine.calls import CallClient, DeathError, EndedCallError, Incoming
from graphc.engine.proto import (
    InferRequest,
    InferResponse,
    Named,
    Readable,
    UnreadableError,
    message_class,
    read_message,
)
from graphc.engine.walk import ALL_CHILDREN
from graphc.seldon.unit import SeldonUnit

HINT: Final = "over gRPC it serves chains of MODEL units alone"

_NOT_THERE: Final = "panic: implement me"
_NOT_AN_ANSWER: Final = (
    "panic: interface conversion: interface {} is *inference.ModelInferRequest,"
    " not *inference.ModelInferResponse"
)
_INFER: Final = "ModelInfer"
_PASSED_ON: Final = frozenset({"ModelReady", "ModelMetadata"})

_Passing = InferRequest | InferResponse


class SeldonCalls:
    """Answers calls as the executor does."""

    def __init__(self, root: SeldonUnit, client: CallClient) -> None:
        self._root, self._client = root, client

    @property
    def unpacks(self) -> bool:
        """Say that clients may not compress."""
        return False

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError, and DeathError where the executor would end."""
        return await answer_call(self._root, method, message, self._client, incoming)


async def answer_call(
    root: SeldonUnit, method: str, message: bytes, client: CallClient, incoming: Incoming
) -> bytes:
    """Return the executor's answer to a call of the protocol; raises EndedCallError, and DeathError where it ends."""
    if method == _INFER:
        return await _infer(root, message, client, incoming)
    if method in _PASSED_ON:
        name = cast("Named", read_call(method, message)).name
        unit = root.find(name)
        if unit is None:
            raise EndedCallError(grpc.StatusCode.UNKNOWN, f"Failed to find model {name}")
        return await client.call(unit, method, message, incoming)
    raise DeathError("panic: Not Implemented", HINT)


async def _infer(root: SeldonUnit, message: bytes, client: CallClient, incoming: Incoming) -> bytes:
    request = cast("InferRequest", read_call(_INFER, message))
    walk = _Walk(client, incoming, request.model_name)
    answer = await walk.predict(root, request)
    if _is_request(answer):
        raise DeathError(_NOT_AN_ANSWER, HINT)
    return answer.SerializeToString()


def read_call(method: str, message: bytes) -> Readable:
    """Read what a client sent; raises EndedCallError."""
    try:
        return read_message(f"{method}Request", message)
    except UnreadableError as error:
        raise EndedCallError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None


@dataclass(frozen=True, slots=True)
class _Walk:
    """One call on its way; a model that it names is asked of every unit."""

    client: CallClient
    incoming: Incoming
    model: str

    async def predict(self, unit: SeldonUnit, message: _Passing) -> _Passing:
        """Send a message through one unit and all below it."""
        if unit.type == "MODEL":
            message = await self._ask(unit, message)
        elif unit.transforms_input:
            raise DeathError(_NOT_THERE, HINT)
        if unit.children:
            message = await self._ask_children(unit, message)
        if unit.transforms_output:
            raise DeathError(_NOT_THERE, HINT)
        return message

    async def _ask(self, unit: SeldonUnit, message: _Passing) -> InferResponse:
        request = _chain(message)
        if not request.model_name:
            # A request that siblings share is named by the one that comes first, for all of them.
            request.model_name = self.model or unit.name
        answer = await self.client.call(unit, _INFER, request.SerializeToString(), self.incoming)
        try:
            return cast("InferResponse", read_message("ModelInferResponse", answer))
        except UnreadableError:
            text = f"unit {unit.name}: failed to unmarshal the received message"
            raise EndedCallError(grpc.StatusCode.INTERNAL, text) from None

    async def _ask_children(self, unit: SeldonUnit, message: _Passing) -> _Passing:
        if unit.routes:
            raise DeathError(_NOT_THERE, HINT)
        route = _toss(unit) if unit.implementation == "RANDOM_ABTEST" else ALL_CHILDREN
        if route == ALL_CHILDREN:
            first = await self._ask_all(unit, message)
        elif route < len(unit.children):
            first = await self.predict(unit.children[route], message)
        else:
            text = f"panic: runtime error: index out of range [{route}] with length {len(unit.children)}"
            raise DeathError(text, HINT)
        if unit.aggregates:
            raise DeathError(_NOT_THERE, HINT)
        return first

    async def _ask_all(self, unit: SeldonUnit, message: _Passing) -> _Passing:
        """Ask all children at once, and return the first one's answer; a death counts before an error."""
        asked = (self.predict(child, message) for child in unit.children)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failures = [each for each in answers if isinstance(each, BaseException)]
        for failure in sorted(failures, key=lambda each: not isinstance(each, DeathError)):
            raise failure
        return cast("_Passing", answers[0])


def _is_request(message: _Passing) -> bool:
    return isinstance(message, message_class("ModelInferRequest"))


def _chain(message: _Passing) -> InferRequest:
    """Return a message as the next unit's request: outputs have the numbers that inputs have in a request."""
    if _is_request(message):
        return cast("InferRequest", message)
    answer = cast(
        "InferResponse", message_class("ModelInferResponse").FromString(message.SerializeToString())
    )
    for field in ("model_name", "model_version", "id", "raw_output_contents"):
        answer.ClearField(field)
    return cast("InferRequest", message_class("ModelInferRequest").FromString(answer.SerializeToString()))


def _toss(unit: SeldonUnit) -> int:
    try:
        return 0 if random.random() < unit.ratio else 1
    except ValueError as error:
        raise EndedCallError(grpc.StatusCode.UNKNOWN, str(error)) from None
