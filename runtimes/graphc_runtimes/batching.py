"""Puts requests that wait for the unit together, so that one run of the region answers all of them.

A request that finds the unit idle runs at once. While something runs, those that come wait, and the next run takes
all that fit: rows are joined along the batch axis, and the answers parted again. Requests whose other dimensions
differ, or what a choice of the region looks at, never run together. Where a run fails, each of its requests is run
again alone, so that no request fails for another's sake.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, cast
from weakref import WeakKeyDictionary

import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.choose import Call
from graphc_runtimes.deadline import Deadline, Deadlines
from graphc_runtimes.errors import DeadlineError, RequestError, RunError
from graphc_runtimes.execute import describe
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.metrics import batch_requests, batch_rows, queue_seconds
from graphc_runtimes.region import Batch, ChoiceNode, MergeNode, Node, Region
from graphc_runtimes.unit import Unit

_LOG: Final = logging.getLogger("mlserver.graphc")

_Failure = RequestError | RunError | DeadlineError
_FAILURES: Final = (RequestError, RunError, DeadlineError)
_Outcome = list[WireTensor] | _Failure

_BATCHERS: Final[WeakKeyDictionary[Unit, "Batcher"]] = WeakKeyDictionary()


async def answer(unit: Unit, message: Message) -> list[WireTensor]:
    """Answer a message without blocking the event loop; raises RequestError, RunError and DeadlineError."""
    batch = unit.region.batch
    if batch is None:
        return await asyncio.to_thread(unit.answer, message)
    batcher = _BATCHERS.get(unit)
    if batcher is None:
        batcher = _BATCHERS[unit] = Batcher(unit, batch)
    return await batcher.answer(message)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that has not run yet."""

    message: Message
    rows: int
    kind: Hashable
    """What requests that run together have in common; None runs alone."""
    since: float
    answer: "asyncio.Future[list[WireTensor]]"

    def settle(self, outcome: _Outcome) -> None:
        """Give the client its answer, if it still waits for one."""
        if self.answer.done():
            return
        if isinstance(outcome, list):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)


class Batcher:
    """Runs one batch at a time; for one event loop."""

    def __init__(self, unit: Unit, batch: Batch) -> None:
        self._unit, self._most, self._delay = unit, batch.max_size, batch.max_delay_ms / 1000
        self._together = Unit(_failing(unit.region), unit.runners)
        self._asked = _find_asked(unit.region)
        self._queue: deque[_Waiting] = deque()
        self._is_busy = False
        self._draining: asyncio.Task[None] | None = None
        self._full = asyncio.Event()
        name = unit.region.unit
        self._rows, self._requests = batch_rows().labels(name), batch_requests().labels(name)
        self._waited = queue_seconds().labels(name)

    async def answer(self, message: Message) -> list[WireTensor]:
        """Answer a message, alone where nothing else is under way; raises as `Unit.answer` does."""
        if self._is_busy or self._delay:
            return await self._wait(message)
        self._is_busy = True
        try:
            return await asyncio.to_thread(self._unit.answer, message)
        finally:
            self._observe([self._count_rows(message)])
            self._waited.observe(0)
            self._go_on()

    async def _wait(self, message: Message) -> list[WireTensor]:
        future: asyncio.Future[list[WireTensor]] = asyncio.get_running_loop().create_future()
        rows, kind = self._sort(message)
        self._queue.append(_Waiting(message, rows, kind, time.perf_counter(), future))
        if self._delay and sum(each.rows for each in self._queue) >= self._most:
            self._full.set()
        if not self._is_busy:
            self._go_on()
        return await future

    def _go_on(self) -> None:
        """Run what waits, if anything does."""
        self._is_busy = bool(self._queue)
        if self._queue:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._fill()
                members = self._pick()
                if members:
                    await self._run(members)
        finally:
            self._is_busy = False

    async def _fill(self) -> None:
        """Wait until the oldest request has waited long enough, or there is a full batch."""
        left = self._queue[0].since + self._delay - time.perf_counter()
        if self._delay and left > 0:
            self._full.clear()
            if sum(each.rows for each in self._queue) < self._most:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), left)

    def _pick(self) -> list[_Waiting]:
        """Take the oldest request off the queue, with all that may run with it and fit."""
        waiting = [each for each in self._queue if not each.answer.done()]
        picked = waiting[:1]
        rows = sum(each.rows for each in picked)
        for each in waiting[1:]:
            if each.kind is not None and each.kind == picked[0].kind and rows + each.rows <= self._most:
                picked.append(each)
                rows += each.rows
        gone = set(picked)
        self._queue = deque(each for each in waiting if each not in gone)
        return picked

    async def _run(self, members: Sequence[_Waiting]) -> None:
        now = time.perf_counter()
        for each in members:
            self._waited.observe(now - each.since)
        self._observe([each.rows for each in members])
        try:
            outcomes = await asyncio.to_thread(self._answer_all, members)
        # Only a mistake of graphc's own raises anything else, and no client must wait for ever because of it.
        except Exception as error:
            _LOG.exception("a batch of %d requests failed", len(members))
            outcomes = [RunError(f"unit `{self._unit.region.unit}` failed: {describe(error)}")] * len(members)
        for each, outcome in zip(members, outcomes, strict=True):
            each.settle(outcome)

    def _observe(self, rows: Sequence[int]) -> None:
        self._rows.observe(sum(rows))
        self._requests.observe(len(rows))

    def _sort(self, message: Message) -> tuple[int, Hashable]:
        """Return how many rows a message has, and its kind; None for one that will be refused or has none."""
        rows = self._count_rows(message)
        kinds: list[Hashable] = []
        for spec in self._unit.region.takes:
            tensor = message.tensors.get(spec.name)
            if tensor is None or not tensor.shape or rows < 1:
                return rows, None
            kinds += (tensor.datatype, *tensor.shape[1:])
        call = Call(message.parameters, message.headers)
        kinds += (call.parameter(name) for name in self._asked.parameters)
        kinds += (call.header(name) for name in self._asked.headers)
        return rows, tuple(kinds)

    def _count_rows(self, message: Message) -> int:
        # Tensors that only pass by may have other rows, and those that are taken have the same.
        first = message.tensors.get(self._unit.region.takes[0].name)
        return max(first.shape[0], 0) if first and first.shape else 0

    # --- In a thread ---------------------------------------------------------------------------------

    def _answer_all(self, members: Sequence[_Waiting]) -> list[_Outcome]:
        if len(members) == 1:
            return [self._answer_alone(members[0])]
        outcomes: dict[int, _Outcome] = {}
        read: dict[int, tuple[Mapping[str, Array], Call]] = {}
        for place, each in enumerate(members):
            try:
                read[place] = self._read(each.message)
            except _FAILURES as error:
                outcomes[place] = error
        if read:
            outcomes |= self._answer_together(members, read)
        return [outcomes[place] for place in range(len(members))]

    def _answer_alone(self, member: _Waiting) -> _Outcome:
        try:
            return [] if member.answer.cancelled() else self._unit.answer(member.message)
        except _FAILURES as error:
            return error

    def _read(self, message: Message) -> tuple[Mapping[str, Array], Call]:
        tensors, call = self._unit.read(message)
        if call.deadline is not None:
            for node in self._unit.region.nodes[:1]:
                call.deadline.check(node.name)
        return tensors, call

    def _answer_together(
        self, members: Sequence[_Waiting], read: Mapping[int, tuple[Mapping[str, Array], Call]]
    ) -> dict[int, _Outcome]:
        """Run requests as one; where that fails, each alone, with what its nodes say of failures."""
        limits = [call.deadline for _, call in read.values() if isinstance(call.deadline, Deadline)]
        deadlines = Deadlines(limits) if limits else None
        try:
            parts = self._execute(
                [tensors for tensors, _ in read.values()], next(iter(read.values()))[1], deadlines
            )
        except _FAILURES as error:
            if deadlines is None or len(deadlines.passed_by) < len(read):
                _LOG.info("a batch of %d requests failed (%s); each runs alone", len(read), error)
                return {place: self._answer_alone(members[place]) for place in read}
            parts = []
        late = deadlines.passed_by if deadlines else {}
        return {
            place: late[index] if index in late else self._give(members[place].message, parts[index])
            for index, place in enumerate(read)
        }

    def _execute(
        self, taken: Sequence[Mapping[str, Array]], call: Call, deadlines: Deadlines | None
    ) -> list[dict[str, Array]]:
        joined = {name: np.concatenate([tensors[name] for tensors in taken]) for name in taken[0]}
        together = self._together
        made = together.run(joined, replace(call, deadline=deadlines))
        sizes = [len(next(iter(tensors.values()))) for tensors in taken]
        return _part({each.tensor: made.get(each.tensor) for each in together.region.answers}, sizes)

    def _give(self, message: Message, tensors: Mapping[str, Array]) -> _Outcome:
        try:
            return self._unit.give(message, tensors)
        except _FAILURES as error:
            return error


def _part(tensors: Mapping[str, Array | None], sizes: Sequence[int]) -> list[dict[str, Array]]:
    """Part the rows of all requests; raises RunError where they are not as many as went in."""
    ends = list(accumulate(sizes))
    parts: list[dict[str, Array]] = [{} for _ in sizes]
    for name, array in tensors.items():
        if array is None or len(array) != ends[-1]:
            raise RunError(f"tensor `{name}` does not have the {ends[-1]} rows of the batch")
        for part, end, size in zip(parts, ends, sizes, strict=True):
            part[name] = array[end - size : end]
    return parts


def _failing(region: Region) -> Region:
    """Return a region whose nodes simply fail: what stands for them is for the request that is at fault."""
    return replace(region, nodes=tuple(_fail(node) for node in region.nodes))


def _fail(node: Node) -> Node:
    if isinstance(node, ChoiceNode | MergeNode):
        return node
    return replace(node, policy=replace(node.policy, retries=0, on_error="fail"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters and headers that choices look at."""

    parameters: tuple[str, ...]
    headers: tuple[str, ...]


def _find_asked(region: Region) -> _Asked:
    found: set[tuple[str, str]] = set()
    for node in region.nodes:
        if not isinstance(node, ChoiceNode):
            continue
        if node.router in ("parameter", "header"):
            found.add((node.router, str(node.parameters["name"])))
        key = cast("Mapping[str, str]", node.parameters.get("key") or {})
        found.update(key.items())
    return _Asked(
        tuple(sorted(name for source, name in found if source == "parameter")),
        tuple(sorted(name for source, name in found if source == "header")),
    )
