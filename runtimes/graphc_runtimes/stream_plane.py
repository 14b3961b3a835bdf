"""Answers in parts over HTTP: server-sent events, each with a V2 answer, as MLServer's `infer_stream` has them.

A part is asked for once the client has read most of those before it, so that a slow client slows the node's server
down and nothing piles up. What goes wrong before the first part is an ordinary answer; what goes wrong later is the
last event, with an `error`. A client that leaves ends the call to the node's server at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import orjson

from graphc_runtimes.bodies import write_infer
from graphc_runtimes.desk import BusyError, Desk
from graphc_runtimes.errors import ToldError
from graphc_runtimes.exchange import Request
from graphc_runtimes.faults import tell_fault
from graphc_runtimes.plane import Features, Meter, Path, WireAnswer, Work, busy, fail, unready
from graphc_runtimes.protocol import HotExchange
from graphc_runtimes.routes import split_path
from graphc_runtimes.servers.streamed_http import Stop
from graphc_runtimes.shown import cut_error
from graphc_runtimes.streams import Stream, find_stream
from graphc_runtimes.unit import named_version

_EVENTS: Final = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
"""The last one keeps nginx from collecting what it passes on."""
_LEFT: Final = 499
"""What a request counts as whose client has left, as nginx has it."""

Parts = Generator[tuple[str, bytes]]
"""The id of a message, and the events of its answer."""


class StreamPlane:
    """Answers what asks the models of one server for parts."""

    def __init__(self, desk: Desk, meter: Meter, most: int, root: str = "") -> None:
        self._desk, self._meter, self._root = desk, meter, root
        # A stream is mostly waited for: it would keep the threads of the desk from short work.
        self._threads = ThreadPoolExecutor(most, "graphc-stream")
        self._paths: dict[tuple[str, ...], tuple[Path, Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, path: Path) -> None:
        """Answer a path from now on, if its model's unit answers in parts."""
        unit, parts = path.model.unit, split_path(path.text.encode())
        stream = None if unit is None else find_stream(unit)
        if parts is None:
            return
        if stream is None:
            self._paths.pop(parts, None)
        else:
            self._paths[parts] = path, stream

    def knows(self, request: Request) -> bool:
        """Say whether a request is for a model that answers in parts."""
        return bool(self._paths) and request.method == b"POST" and self._find(request) is not None

    def _find(self, request: Request) -> tuple[Path, Stream] | None:
        parts = split_path(request.url, self._root)
        return None if parts is None else self._paths.get(parts)

    def handle(self, exchange: HotExchange) -> None:
        """Answer a request."""
        found = self._find(exchange.request)
        assert found is not None
        path, stream = found
        start = time.perf_counter()
        if not path.model.ready:
            self._respond(exchange, path, start, unready(path.name))
            return
        try:
            self._desk.take()
        except BusyError:
            self._respond(exchange, path, start, busy())
            return
        answering = self._answer(path, stream, exchange, start)
        task = asyncio.get_running_loop().create_task(answering, context=path.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, path: Path, stream: Stream, exchange: HotExchange, start: float) -> None:
        stop = Stop()
        exchange.on_gone = stop.set
        parts = _write_parts(path, stream, Work(path, exchange, Features()), stop)
        status = _LEFT
        try:
            found = await self._take(path, parts)
            if exchange.is_disconnected:
                return
            if isinstance(found, ToldError):
                self._respond(exchange, path, start, fail(found))
                return
            exchange.begin(_EVENTS + path.head(found[0] if found else ""))
            status = await self._send(path, exchange, parts, found)
        except BaseException as error:
            # The event loop may be about to end: the thread that waits for a part must, too.
            stop.set()
            if isinstance(error, asyncio.CancelledError):
                raise
            tell_fault(error, "the unit")
            exchange.connection.abort()
        finally:
            self._desk.give_back()
            with contextlib.suppress(ValueError):
                # It may still run in its thread, where it ends by itself.
                parts.close()
            if not exchange.is_done:
                self._count(path, status, start)
                exchange.finish()

    async def _send(
        self, path: Path, exchange: HotExchange, parts: Parts, found: tuple[str, bytes] | ToldError | None
    ) -> int:
        """Send events from the first on; returns the status that the request counts as."""
        while found is not None:
            if exchange.is_disconnected:
                return _LEFT
            if isinstance(found, ToldError):
                await exchange.send(_write_event({"error": cut_error(str(found))}))
                return found.status
            await exchange.send(found[1])
            found = await self._take(path, parts)
        return 200

    async def _take(self, path: Path, parts: Parts) -> tuple[str, bytes] | ToldError | None:
        """Wait for the next event in a thread; nothing is the end."""

        def take() -> tuple[str, bytes] | ToldError | None:
            try:
                return next(parts, None)
            except ToldError as error:
                return error
            # The outermost door: whatever is raised is told.
            except BaseException as error:
                return tell_fault(error, "the unit")

        run = path.context.copy().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, take)

    def _respond(self, exchange: HotExchange, path: Path, start: float, found: WireAnswer) -> None:
        self._count(path, found.status, start)
        exchange.respond(found.status, found.head, *found.parts)

    def _count(self, path: Path, status: int, start: float) -> None:
        seconds = time.perf_counter() - start
        self._meter.count(path.text, status, seconds)
        self._meter.count_inference(path.name, seconds, failed=status != 200)


def _write_parts(path: Path, stream: Stream, work: Work, stop: Stop) -> Parts:
    """Read a request, and yield the events of its answer; raises ToldError."""
    unit = stream.unit
    message = work.read(unit)
    fields: dict[str, object] = {"model_name": path.name} | named_version(unit) | {"id": message.id}
    for tensors in stream.answer(message, stop):
        named = fields | {"parameters": unit.carry(message)}
        written = write_infer(named, tensors, None, unit.region.unit)
        yield message.id or "", b"data: %b\n\n" % bytes(written.parts[0])


def _write_event(fields: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(fields)
