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
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.choose import Call, find_looks
from graphc_runtimes.deadline import Deadline, Deadlines
from graphc_runtimes.desk import Pace
from graphc_runtimes.errors import RunError, ToldError
from graphc_runtimes.faults import stripped, tell_fault
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.metrics import batch_ledger, batch_requests, batch_rows, queue_seconds
from graphc_runtimes.region import Batch, DecidingNode, Node, Region
from graphc_runtimes.unit import LoadedUnit

_LOG: Final = logging.getLogger("mlserver.graphc")

_SLACK: Final = 1e-6
"""Seconds by which a timer may be early."""

_BATCHERS: Final[WeakKeyDictionary[LoadedUnit, "Batcher"]] = WeakKeyDictionary()


class Writer(Protocol):
    """Writes the answers of requests that have equally many rows."""

    def write_all(self, made: Mapping[str, Array], rows: int, count: int) -> Sequence[object] | None:
        """Return what each of `count` requests' `give` would; None where each is to be asked.

        `made` has what the region made of `rows` rows, those of all requests.
        """
        ...


class Entry(Protocol):
    """A request that waits to run, in the form in which it came."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ...

    @property
    def kind(self) -> Hashable:
        """What requests that run together have in common; None runs alone."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether its client no longer waits."""
        ...

    @property
    def writer(self) -> "Writer | None":
        """What writes answers like its own, for several requests at once; None where there is no such thing."""
        ...

    def read(self) -> tuple[Mapping[str, Array], Call]:
        """Return its tensors, and what else nodes may look at; raises RequestError."""
        ...

    def give(self, tensors: Mapping[str, Array], /) -> object:
        """Return its answer out of the tensors that the region made for it; raises RunError."""
        ...

    def run_alone(self) -> object:
        """Return its answer without any other request; raises as `Unit.answer` does."""
        ...

    def settle(self, outcome: object, /) -> None:
        """Take the answer, or the failure, on the event loop; None where its client has left."""
        ...


async def answer(unit: LoadedUnit, message: Message) -> list[WireTensor]:
    """Answer a message without blocking the event loop; raises RequestError, RunError and DeadlineError."""
    batcher = find_batcher(unit)
    if batcher is None:
        return await asyncio.to_thread(unit.answer, message)
    return await batcher.answer(message)


def find_batcher(unit: LoadedUnit) -> "Batcher | None":
    """Return what runs a unit's requests together; None for a unit that has each run alone."""
    batch = unit.region.batch
    if batch is None:
        return None
    batcher = _BATCHERS.get(unit)
    if batcher is None:
        batcher = _BATCHERS[unit] = Batcher(unit, batch)
    return batcher


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message that somebody awaits the answer of."""

    unit: LoadedUnit
    message: Message
    rows: int
    kind: Hashable
    answer: "asyncio.Future[list[WireTensor]]"
    writer: Writer | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the answer is no longer awaited."""
        return self.answer.done()

    def read(self) -> tuple[Mapping[str, Array], Call]:
        """Return the message's tensors."""
        return self.unit.read(self.message)

    def give(self, tensors: Mapping[str, Array]) -> list[WireTensor]:
        """Return the tensors of the answer."""
        return self.unit.give(self.message, tensors)

    def run_alone(self) -> list[WireTensor]:
        """Answer as a unit without batches does."""
        return self.unit.answer(self.message)

    def settle(self, outcome: object) -> None:
        """Wake up who awaits the answer."""
        if self.answer.done():
            return
        if isinstance(outcome, ToldError):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(cast("list[WireTensor]", outcome))


class Batcher:
    """Runs one batch at a time; for one event loop.

    A batch runs on the event loop where that is known to be short, else in a thread.
    """

    def __init__(self, unit: LoadedUnit, batch: Batch) -> None:
        self._unit, self._most, self._delay = unit, batch.max_size, batch.max_delay_ms / 1000
        self._together = LoadedUnit(_failing(unit.region), unit.runners, unit.version)
        self._looks = find_looks(unit.region)
        self._pace = Pace(unit.region)
        self._queue: deque[tuple[Entry, float]] = deque()
        """The requests that wait, with the time that each came."""
        self._is_busy = False
        self._is_alone = True
        """Whether the last request to run had no other beside it."""
        self._has_turned = True
        """Whether the event loop has looked at its sockets since a request last ran without waiting for that."""
        self._timer: asyncio.TimerHandle | None = None
        name, ledger = unit.region.unit, batch_ledger()
        self._rows, self._requests, self._waited = (
            ledger.open(None, each().labels(name)) for each in (batch_rows, batch_requests, queue_seconds)
        )

    async def answer(self, message: Message) -> list[WireTensor]:
        """Answer a message; raises as `Unit.answer` does."""
        future: asyncio.Future[list[WireTensor]] = asyncio.get_running_loop().create_future()
        rows, kind = self._sort(message)
        self.submit(_Waiting(self._unit, message, rows, kind, future))
        try:
            return await future
        finally:
            # A failure that came by it would hold this frame, and with it itself.
            del future

    def submit(self, entry: Entry) -> None:
        """Have a request run at once where no others are about, else with those."""
        now = time.perf_counter()
        if not self._is_busy and self._is_alone and self._has_turned and not self._delay:
            self._is_busy, self._has_turned = True, False
            # What else the sockets have brought by now goes together.
            asyncio.get_running_loop().call_soon(self._turn)
            self._start((entry,), (now,), now)
            return
        self._queue.append((entry, now))
        if not self._is_busy:
            self._go_on()

    def _turn(self) -> None:
        self._has_turned = True

    def _go_on(self) -> None:
        """Run what waits, if anything does and has waited long enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_busy = False
        if not self._queue:
            return
        loop = asyncio.get_running_loop()
        left = self._queue[0][1] + self._delay - time.perf_counter() if self._delay else 0
        if left > _SLACK and sum(entry.rows for entry, _ in self._queue) < self._most:
            self._timer = loop.call_later(left, self._go_on)
        else:
            self._is_busy = True
            # Not at once: what the sockets have brought by now runs with it.
            loop.call_soon(self._run)

    def _pick(self) -> tuple[list[Entry], list[float]]:
        """Take the oldest request off the queue, with all that may run with it and fit; and when each came."""
        picked, times = list[Entry](), list[float]()
        left: deque[tuple[Entry, float]] = deque()
        rows, kind = 0, None
        for pair in self._queue:
            entry, since = pair
            if entry.is_gone:
                entry.settle(None)
                continue
            if not picked:
                kind = entry.kind
            elif kind is None or entry.kind != kind or rows + entry.rows > self._most:
                left.append(pair)
                continue
            picked.append(entry)
            times.append(since)
            rows += entry.rows
        self._queue = left
        return picked, times

    def _run(self) -> None:
        members, times = self._pick()
        if members:
            self._start(members, times, time.perf_counter())
        else:
            self._go_on()

    def _start(self, members: Sequence[Entry], times: Sequence[float], start: float) -> None:
        try:
            self._begin(members, times, start)
        # A batcher that stays busy would never answer anybody again.
        except BaseException as error:
            self._settle(members, [tell_fault(error, "a batch")] * len(members))

    def _begin(self, members: Sequence[Entry], times: Sequence[float], start: float) -> None:
        rows = sum([each.rows for each in members])
        for since in times:
            self._waited.note(start - since)
        self._rows.note(rows)
        self._requests.note(len(members))
        self._is_alone = len(members) == 1
        if self._pace.is_short(rows):
            outcomes = self._answer_all(members)
            self._pace.note(rows, time.perf_counter() - start)
            self._settle(members, outcomes)
        else:
            self._start_thread(members, rows)

    def _start_thread(self, members: Sequence[Entry], rows: int) -> None:
        context = copy_context()

        def work() -> Sequence[object]:
            start = time.perf_counter()
            outcomes = context.run(self._answer_all, members)
            self._pace.note(rows, time.perf_counter() - start)
            return outcomes

        future = asyncio.get_running_loop().run_in_executor(None, work)
        future.add_done_callback(
            lambda done: None if done.cancelled() else self._settle(members, done.result())
        )

    def _settle(self, members: Sequence[Entry], outcomes: Iterable[object]) -> None:
        try:
            for each, outcome in zip(members, outcomes, strict=True):
                _settle(each, outcome)
        finally:
            self._go_on()

    def _sort(self, message: Message) -> tuple[int, Hashable]:
        """Return how many rows a message has, and its kind; None for one that will be refused or has none."""
        rows = self._count_rows(message)
        kinds: list[Hashable] = []
        for spec in self._unit.region.takes:
            tensor = message.tensors.get(spec.name)
            if tensor is None or not tensor.shape or rows < 1:
                return rows, None
            kinds += (tensor.datatype, *tensor.shape[1:])
        return rows, (*kinds, *self._looks.find(Call(message.parameters, message.headers)))

    def _count_rows(self, message: Message) -> int:
        # Tensors that only pass by may have other rows, and those that are taken have the same.
        first = message.tensors.get(self._unit.region.takes[0].name)
        return max(first.shape[0], 0) if first and first.shape else 0

    # --- On the event loop or in a thread -------------------------------------------------------------

    def _answer_all(self, members: Sequence[Entry]) -> Sequence[object]:
        try:
            if len(members) == 1:
                return [_answer_alone(members[0])]
            return self._answer_many(members)
        # Only a mistake of graphc's own raises anything else, and no client must wait for ever because of it.
        except BaseException as error:
            return [tell_fault(error, f"unit `{self._unit.region.unit}`")] * len(members)

    def _answer_many(self, members: Sequence[Entry]) -> Sequence[object]:
        outcomes: dict[int, object] = {}
        read: dict[int, tuple[Mapping[str, Array], Call]] = {}
        for place, each in enumerate(members):
            try:
                read[place] = self._read(each)
            except ToldError as error:
                outcomes[place] = stripped(error)
        if read:
            outcomes |= self._answer_together(members, read)
        return [outcomes[place] for place in range(len(members))]

    def _read(self, entry: Entry) -> tuple[Mapping[str, Array], Call]:
        tensors, call = entry.read()
        if call.deadline is not None:
            for node in self._unit.region.nodes[:1]:
                call.deadline.check(node.name)
        return tensors, call

    def _answer_together(
        self, members: Sequence[Entry], read: Mapping[int, tuple[Mapping[str, Array], Call]]
    ) -> dict[int, object]:
        """Run requests as one; where that fails, each alone, with what its nodes say of failures."""
        limits = [call.deadline for _, call in read.values() if isinstance(call.deadline, Deadline)]
        deadlines = Deadlines(limits) if limits else None
        taken, call = [tensors for tensors, _ in read.values()], next(iter(read.values()))[1]
        sizes = [len(next(iter(tensors.values()))) for tensors in taken]
        try:
            made = self._execute(taken, replace(call, deadline=deadlines) if deadlines else call)
            if len(read) == len(members) and (written := _write_all(members, made, sizes)) is not None:
                return dict(enumerate(written))
            parts = _part({each.tensor: made.get(each.tensor) for each in self._unit.region.answers}, sizes)
        except ToldError as error:
            if deadlines is None or len(deadlines.passed_by) < len(read):
                _LOG.info("a batch of %d requests failed (%s); each runs alone", len(read), error)
                return {place: _answer_alone(members[place]) for place in read}
            parts = []
        late = deadlines.passed_by if deadlines else {}
        return {
            place: late[index] if index in late else _give(members[place], parts[index])
            for index, place in enumerate(read)
        }

    def _execute(self, taken: Sequence[Mapping[str, Array]], call: Call) -> dict[str, Array]:
        joined = {name: np.concatenate([tensors[name] for tensors in taken]) for name in taken[0]}
        return self._together.run(joined, call)


def _write_all(
    members: Sequence[Entry], made: Mapping[str, Array], sizes: Sequence[int]
) -> Sequence[object] | None:
    """Return all answers, where they can be written at once."""
    writer, size = members[0].writer, sizes[0]
    if writer is None or any(each.writer is not writer for each in members):
        return None
    return writer.write_all(made, sum(sizes), len(sizes)) if sizes.count(size) == len(sizes) else None


def _answer_alone(entry: Entry) -> object:
    try:
        return None if entry.is_gone else entry.run_alone()
    except ToldError as error:
        return stripped(error)


def _give(entry: Entry, tensors: Mapping[str, Array]) -> object:
    try:
        return entry.give(tensors)
    except ToldError as error:
        return stripped(error)


def _settle(entry: Entry, outcome: object) -> None:
    # What goes wrong with one answer must not keep others from theirs, nor the batcher from going on.
    try:
        entry.settle(outcome)
    except BaseException as error:
        tell_fault(error, "an answer of a batch")


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
    if isinstance(node, DecidingNode):
        return node
    return replace(node, policy=replace(node.policy, retries=0, on_error="fail"))
