"""The walk: a message goes through a tree of units, in the executor's order and with its errors."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

from graphc.engine.client import CallError, Target, UnitClient
from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message, combine, executor_error, read_route, v2_error
from graphc.engine.offload import offload
from graphc.engine.wire_json import WireError
from graphc.seldon.unit import SeldonUnit

ALL_CHILDREN: Final = -1
NO_CHILDREN: Final = -2


class _FailedError(Exception):
    """Ends a walk with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def walk(
    root: SeldonUnit, message: Message, client: UnitClient, headers: Headers, model: str | None
) -> Answer:
    """Send a message through the tree; `model` replaces every unit's own name where it is given."""
    try:
        return Answer(200, await _Walk(client, headers, model).predict(root, message))
    except _FailedError as failure:
        return failure.answer


async def walk_to_last(
    root: SeldonUnit, message: Message, client: UnitClient, headers: Headers, model: str | None
) -> tuple[Target, Message] | Answer:
    """Send a message through the tree but for the last unit; return what that one is asked for parts, and its message.

    Where the walk fails, or no unit is the last, it is the answer.
    """
    try:
        return await _Walk(client, headers, model).find_last(root, message)
    except _FailedError as failure:
        return failure.answer


@dataclass(frozen=True, slots=True)
class _Walk:
    """One request on its way."""

    client: UnitClient
    headers: Headers
    model: str | None

    async def predict(self, unit: SeldonUnit, message: Message) -> Message:
        """Send a message through one unit and all below it."""
        if unit.transforms_input:
            message = await self._infer(unit, message)
        if unit.children:
            message = await self._ask_children(unit, message)
        if unit.transforms_output:
            message = await self._infer(unit, message)
        return message

    async def find_last(self, unit: SeldonUnit, message: Message) -> tuple[Target, Message]:
        """Send a message through one unit and all below it, but for the unit that would answer last."""
        if unit.transforms_output:
            if unit.transforms_input:
                message = await self._infer(unit, message)
            if unit.children:
                message = await self._ask_children(unit, message)
            return await self._last(unit, "infer_stream", message)
        if not unit.children:
            return await self._last(unit, "infer_stream", message)
        if unit.transforms_input:
            message = await self._infer(unit, message)
        route = await self._route(unit, message)
        if route == ALL_CHILDREN and unit.aggregates:
            answers = await self._ask_all(unit, message)
            return Target(unit, self.model or unit.name, "aggregate_stream"), await _combine(answers)
        if route == NO_CHILDREN or unit.aggregates:
            raise _FailedError(v2_error(f"unit `{unit.name}` does not answer in streams", 404))
        return await self.find_last(_child(unit, max(route, 0)), message)

    async def _last(self, unit: SeldonUnit, verb: str, message: Message) -> tuple[Target, Message]:
        return self._target(unit, verb), await offload(len(message.body), lambda: _chained(message))

    async def _infer(self, unit: SeldonUnit, message: Message) -> Message:
        chained = await offload(len(message.body), lambda: _chained(message))
        return await self._call(unit, "infer", chained)

    async def _ask_children(self, unit: SeldonUnit, message: Message) -> Message:
        route = await self._route(unit, message)
        if route == NO_CHILDREN:
            return message
        if route == ALL_CHILDREN:
            answers = await self._ask_all(unit, message)
        else:
            answers = [await self.predict(_child(unit, route), message)]
        return await self._aggregate(unit, answers)

    async def _ask_all(self, unit: SeldonUnit, message: Message) -> list[Message]:
        # All are waited for, as the executor does, even where one has failed; the first in order decides.
        asked = (self.predict(child, message) for child in unit.children)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        messages: list[Message] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            messages.append(answer)
        return messages

    async def _route(self, unit: SeldonUnit, message: Message) -> int:
        if unit.routes:
            return await self._ask_router(unit, message)
        if unit.implementation == "RANDOM_ABTEST":
            return _toss(unit)
        return ALL_CHILDREN

    async def _ask_router(self, unit: SeldonUnit, message: Message) -> int:
        target = self._target(unit, "route")
        answer = await self._answer(target, message)
        if answer.status != 200:
            # The executor forgets a router's body and keeps its status.
            text = (
                f"Internal service call from executor failed calling {target.url} status code {answer.status}"
            )
            raise _FailedError(executor_error(text, answer.status))
        try:
            return read_route(answer.message)
        except WireError as error:
            raise _FailedError(executor_error(str(error))) from error

    async def _aggregate(self, unit: SeldonUnit, answers: list[Message]) -> Message:
        if not unit.aggregates:
            return answers[0]
        return await self._call(unit, "aggregate", await _combine(answers))

    async def _call(self, unit: SeldonUnit, verb: str, message: Message) -> Message:
        answer = await self._answer(self._target(unit, verb), message)
        if answer.status != 200:
            raise _FailedError(answer)
        return answer.message

    async def _answer(self, target: Target, message: Message) -> Answer:
        try:
            return await self.client.call(target, message, self.headers)
        except CallError as error:
            raise _FailedError(executor_error(str(error))) from error

    def _target(self, unit: SeldonUnit, verb: str) -> Target:
        return Target(unit, self.model or unit.name, verb)


async def _combine(answers: list[Message]) -> Message:
    try:
        return await offload(sum(len(each.body) for each in answers), lambda: combine(answers))
    except WireError as error:
        raise _FailedError(executor_error(str(error))) from error


def _chained(message: Message) -> Message:
    try:
        return message.chained()
    except WireError as error:
        raise _FailedError(executor_error(str(error))) from error


def _child(unit: SeldonUnit, route: int) -> SeldonUnit:
    # The executor does not look: it drops the connection, or dies where the router is itself in parallel.
    if not 0 <= route < len(unit.children):
        text = f"route {route} of unit {unit.name} is out of range, it has {len(unit.children)} children"
        raise _FailedError(executor_error(text))
    return unit.children[route]


def _toss(unit: SeldonUnit) -> int:
    try:
        return 0 if random.random() < unit.ratio else 1
    except ValueError as error:
        raise _FailedError(executor_error(str(error))) from error
