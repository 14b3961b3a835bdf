"""Inference over gRPC: on MLServer's server, and straight from a request's bytes to an answer's."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

import grpc
from grpc import aio

from graphc_runtimes.batching import answer
from graphc_runtimes.deadline import HEADER
from graphc_runtimes.desk import BusyError, Desk, Pace
from graphc_runtimes.errors import RequestError, ToldError
from graphc_runtimes.faults import stripped, tell_fault
from graphc_runtimes.lane import LONGEST
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.plane import Meter, Model
from graphc_runtimes.room import Room
from graphc_runtimes.rpc_messages import Asked, Messages
from graphc_runtimes.shown import show
from graphc_runtimes.unit import LoadedUnit

SERVICE: Final = "inference.GRPCInferenceService"

Call = aio.ServicerContext[bytes, bytes]

_BAD: Final = 500
"""From this status on it is not the request that is at fault."""
_CODES: Final[Mapping[int, grpc.StatusCode]] = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The codes of statuses of HTTP, as Google's APIs map them."""
_MOST_DETAILS: Final = 2000
"""Details travel in the trailers, and clients accept only a few kilobytes of those."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is answered for here."""

    model: Model
    name: str
    trailers: Callable[[str], Sequence[tuple[str, str]]]
    """Makes the trailing metadata of an answer, of its id."""
    context: Context
    """What log lines of this model's say."""
    pace: Pace


class RpcPlane:
    """Answers ModelInfer for the models of one server."""

    def __init__(
        self,
        desk: Desk,
        meter: Meter,
        messages: Messages,
        room: Room,
        *,
        names: Collection[str] = (),
        versions: Sequence[str] = (),
    ) -> None:
        """Take the names that models are called by, loaded or not, and the versions that each has."""
        self._desk, self._meter, self._messages, self._room = desk, meter, messages, room
        self._names, self._versions = names, versions
        self._served: dict[str, Served] = {}

    def add(self, served: Served) -> None:
        """Answer for a model from now on."""
        self._served[served.name] = served

    def install(self, server: aio.Server) -> None:
        """Take the calls of a server that has not started."""
        # Without a reader and a writer of its own gRPC hands over bytes, and takes them.
        handler = cast("Any", grpc.unary_unary_rpc_method_handler)(self._infer)
        cast("Any", server).add_registered_method_handlers(SERVICE, {"ModelInfer": handler})

    async def _infer(self, raw: bytes, call: Call) -> bytes:
        size = len(raw)
        if not self._room.take(size):
            await _abort(call, BusyError("bytes in flight"))
        try:
            return await self._infer_held(raw, call)
        finally:
            self._room.give_back(size)

    async def _infer_held(self, raw: bytes, call: Call) -> bytes:
        start = time.perf_counter()
        try:
            asked = self._messages.read(raw)
        except RequestError as error:
            await _abort(call, error)
        except Exception as error:
            await _abort(call, tell_fault(error, "the unit"))
        served, unit = await self._find(asked, call)
        try:
            found = await self._answer(served, unit, asked, len(raw), call)
        except ToldError as error:
            self._meter.count_inference(served.name, time.perf_counter() - start, failed=True)
            await _abort(call, error)
        except asyncio.CancelledError:
            raise
        # The outermost door: every error is answered in our own words.
        except BaseException as error:
            self._meter.count_inference(served.name, time.perf_counter() - start, failed=True)
            await _abort(call, tell_fault(error, "the unit"))
        self._meter.count_inference(served.name, time.perf_counter() - start, failed=False)
        return found

    async def _find(self, asked: Asked, call: Call) -> tuple[Served, LoadedUnit]:
        """Return the model and the unit that are asked, or end the call."""
        served = self._served.get(asked.model)
        if served is None and asked.model not in self._names:
            await call.abort(grpc.StatusCode.NOT_FOUND, f"model {show(asked.model)} not found")
        await check_version(asked.model, asked.version, self._versions, call)
        unit = None if served is None else served.model.unit
        if served is None or unit is None or not served.model.ready:
            await call.abort(grpc.StatusCode.UNAVAILABLE, f"model {show(asked.model)} is not ready")
        return served, unit

    async def _answer(self, served: Served, unit: LoadedUnit, asked: Asked, size: int, call: Call) -> bytes:
        headers = {str(key): str(value) for key, value in call.invocation_metadata() or ()}
        left_s = call.time_remaining() if unit.region.graph.deadline_ms is not None else None
        if left_s is not None:
            # A client that has given up needs no further nodes.
            headers.setdefault(HEADER, str((time.time() + left_s) * 1000))
        work = _Work(served, unit, asked, headers, self._messages)
        # Raw contents are views of the message; of typed ones each number is read.
        may_take_long = size > LONGEST and not asked.is_raw
        if unit.region.batch is not None:
            self._desk.take()
            try:
                done = await work.do_batched(self._desk if may_take_long else None)
            finally:
                self._desk.give_back()
        elif not may_take_long and served.pace.is_short(size):
            start = time.perf_counter()
            done = served.context.run(work.do)
            served.pace.note(size, time.perf_counter() - start)
        else:
            done = await self._in_a_thread(served, size, work.do)
            if isinstance(done, BaseException):
                try:
                    raise done
                finally:
                    # The exception has this frame, and would be held by it.
                    del done
        if trailers := served.trailers(done[0]):
            call.set_trailing_metadata(tuple(trailers))
        return done[1]

    async def _in_a_thread(
        self, served: Served, size: int, work: Callable[[], tuple[str, bytes]]
    ) -> tuple[str, bytes] | BaseException:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[tuple[str, bytes] | BaseException] = loop.create_future()

        def settle(done: "Future[tuple[str, bytes]]") -> None:
            if waiter.done() or done.cancelled():
                return
            error = done.exception()
            waiter.set_result(done.result() if error is None else stripped(error))

        context = served.context.copy()
        give_up = self._desk.start(served.pace, size, lambda: context.run(work), settle)
        try:
            return await waiter
        except asyncio.CancelledError:
            give_up()
            raise


class _Work:
    """One request on its way to an answer: its id, and its bytes."""

    __slots__ = ("_asked", "_headers", "_messages", "_served", "_unit")

    def __init__(
        self, served: Served, unit: LoadedUnit, asked: Asked, headers: Mapping[str, str], messages: Messages
    ) -> None:
        self._served, self._unit, self._asked = served, unit, asked
        self._headers, self._messages = headers, messages

    def do(self) -> tuple[str, bytes]:
        """Return the answer; raises RequestError, RunError and DeadlineError."""
        message = self._read()
        return self._write(message, self._unit.answer(message))

    async def do_batched(self, desk: Desk | None) -> tuple[str, bytes]:
        """Return the answer of a unit that may answer several requests at once; a desk has threads to read in."""
        if desk is None:
            message = self._read()
            return self._write(message, await answer(self._unit, message))
        message = await desk.run(self._read)
        tensors = await answer(self._unit, message)
        return await desk.run(lambda: self._write(message, tensors))

    def _read(self) -> Message:
        return self._unit.accept(self._asked.read(self._headers))

    def _write(self, message: Message, tensors: Sequence[WireTensor]) -> tuple[str, bytes]:
        identity, carried = message.id or "", self._unit.carry(message)
        # Raw contents do not pass the executor: between units tensors go as typed ones.
        raw = self._asked.is_raw and self._unit.region.wire == "plain"
        named = (self._served.name, self._unit.told_version or "")
        return identity, self._messages.write(named, identity, carried, tensors, raw=raw)


async def check_version(model: str, version: str, versions: Sequence[str], call: Call) -> None:
    """End a call for a version that is not among those there are."""
    if version and version not in versions:
        told = ", ".join(f"`{each}`" for each in versions) or "none"
        text = f"model {show(model)} has no version `{version[:64]}`; there are: {told}"
        await call.abort(grpc.StatusCode.NOT_FOUND, text)


async def _abort(call: Call, error: ToldError) -> NoReturn:
    await call.abort(_code_of(error.status), str(error)[:_MOST_DETAILS])


def _code_of(status: int) -> grpc.StatusCode:
    other = grpc.StatusCode.INTERNAL if status >= _BAD else grpc.StatusCode.INVALID_ARGUMENT
    return _CODES.get(status, other)
