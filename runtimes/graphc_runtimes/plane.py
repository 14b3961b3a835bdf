"""The data plane: inference straight from a request's bytes to an answer's, counted as MLServer counts."""

import asyncio
import itertools
import os
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.batching import answer, find_batcher
from graphc_runtimes.bodies import LENGTH_HEADER, Written, write_infer
from graphc_runtimes.choose import Call
from graphc_runtimes.desk import BusyError, Desk, Pace
from graphc_runtimes.errors import RequestError, ToldError
from graphc_runtimes.exchange import Request
from graphc_runtimes.faults import tell_fault
from graphc_runtimes.lane import LONGEST, Asked, Lane
from graphc_runtimes.messages import Message, WireTensor, write_tensor
from graphc_runtimes.numerals import Text as Body
from graphc_runtimes.protocol import HotExchange
from graphc_runtimes.reading import Asked as AskedInfer
from graphc_runtimes.reading import read_infer, read_message, read_messages
from graphc_runtimes.routes import split_path
from graphc_runtimes.shown import cut_error, show
from graphc_runtimes.unit import LoadedUnit, named_version

_RETRY: Final = b"retry-after: 1\r\n"
_JSON: Final = b"content-type: application/json\r\n"
_BINARY: Final = b"content-type: application/octet-stream\r\n%b: %d\r\n"
_BUSY: Final = 503
_LEAST: Final = 500
"""Bodies of fewer bytes are not compressed, as MLServer does not."""
_LEVEL: Final = 1
_DIGITS: Final = 18
"""Of as many digits a length may be; int() takes longer the more it gets."""


class Model(Protocol):
    """A model as the data plane sees it."""

    ready: bool

    @property
    def unit(self) -> LoadedUnit | None:
        """The unit that it answers with, once it is loaded."""
        ...


class Meter(Protocol):
    """Counts requests as the server does elsewhere."""

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count a request of a path."""
        ...

    def count_inference(self, model: str, seconds: float, *, failed: bool) -> None:
        """Count a model's inference."""
        ...


class WireAnswer(NamedTuple):
    """What is sent back."""

    status: int
    head: bytes
    parts: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A path that is answered here: the model it belongs to and what it asks of it."""

    model: Model
    name: str
    verb: str
    text: str
    head: Callable[[str], bytes]
    """Makes the headers that an inference's answer has, of the answer's id."""
    context: Context
    """What log lines of this model's say."""
    pace: Pace


@dataclass(frozen=True, slots=True)
class Features:
    """What the server was told to do with answers."""

    compresses: bool = False
    root: str = ""
    """What stands before every path, for those who send it."""


class DataPlane:
    """Answers the hot paths of one server."""

    def __init__(self, desk: Desk, meter: Meter, features: Features) -> None:
        self._desk, self._meter, self._features = desk, meter, features
        self._paths: dict[bytes, tuple[Path, Lane | None]] = {}
        self._spelt: dict[tuple[str, ...], bytes] = {}
        """The same by their segments: a target may be written in several ways."""
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, path: Path) -> None:
        """Answer a path from now on."""
        unit = path.model.unit
        lane = None if unit is None or path.verb != "infer" else Lane.find(unit, path.name)
        key = path.text.encode()
        self._paths[key] = path, None if self._features.compresses else lane
        if (parts := split_path(key)) is not None:
            self._spelt[parts] = key

    def knows(self, request: Request) -> bool:
        """Say whether a request is for a model here."""
        url = request.url
        return request.method == b"POST" and (url in self._paths or self._spell(url) in self._paths)

    def _spell(self, url: bytes) -> bytes:
        """Return a path that is known here as it is kept, of whichever way a client writes it."""
        parts = split_path(url, self._features.root)
        return b"" if parts is None else self._spelt.get(parts, b"")

    def handle(self, exchange: HotExchange) -> None:
        """Answer a request: here where that is known to be short, else in a thread or a batch."""
        try:
            path, lane = (
                self._paths.get(exchange.request.url) or self._paths[self._spell(exchange.request.url)]
            )
            unit = path.model.unit
            if unit is None or not path.model.ready:
                self._respond(exchange, path, time.perf_counter(), unready(path.name))
            elif unit.region.batch is not None and path.verb != "route":
                if lane is None or lane.unit is not unit or not self._submit(lane, path, exchange):
                    self._start_task(path, exchange, Work(path, exchange, self._features))
            elif path.pace.is_short(exchange.size) and not _may_take_long(exchange):
                self._answer(path, lane, unit, exchange)
            else:
                self._start_thread(path, lane, exchange, unit)
        # The outermost door: every error is answered, and the connection goes on.
        except BaseException as error:
            answer = fail(tell_fault(error, "the unit"))
            exchange.respond(answer.status, answer.head, *answer.parts)

    def _answer(self, path: Path, lane: Lane | None, unit: LoadedUnit, exchange: HotExchange) -> None:
        """Answer a request at once."""
        start = time.perf_counter()
        found = None
        # A model that was loaded anew has another unit.
        if lane is not None and lane.unit is unit:
            found = path.context.run(_take, lane, path, exchange)
        if found is None:
            found = path.context.run(Work(path, exchange, self._features).do, unit)
        path.pace.note(exchange.size, time.perf_counter() - start)
        self._respond(exchange, path, start, found)

    def _submit(self, lane: Lane, path: Path, exchange: HotExchange) -> bool:
        """Have a request run with others; say whether it is one that goes the short way."""
        batcher, start = find_batcher(lane.unit), time.perf_counter()
        try:
            asked = _ask(lane, exchange)
        except RequestError as error:
            self._respond(exchange, path, start, fail(error))
            return True
        if batcher is None or asked is None:
            return False
        if self._desk.is_full:
            self._respond(exchange, path, start, busy())
            return True
        self._desk.take()

        def done(found: WireAnswer | None) -> None:
            self._desk.give_back()
            if found is None:
                exchange.drop()
            else:
                self._respond(exchange, path, start, found)

        path.context.run(batcher.submit, _Rider(lane, asked, path, exchange, done))
        return True

    def _start_thread(self, path: Path, lane: Lane | None, exchange: HotExchange, unit: LoadedUnit) -> None:
        """Answer a request from a thread; what goes the short way is read before, and is small."""
        start = time.perf_counter()
        if self._desk.is_full:
            self._respond(exchange, path, start, busy())
            return
        # A model that was loaded anew has another unit.
        lane = lane if lane is not None and lane.unit is unit else None
        work = Work(path, exchange, self._features)
        try:
            asked = None if lane is None else path.context.run(_ask, lane, exchange)
        except RequestError as error:
            self._respond(exchange, path, start, fail(error))
            return

        def answer() -> WireAnswer:
            return work.do(unit) if lane is None or asked is None else _run(lane, path, asked)

        def done(future: "Future[WireAnswer]") -> None:
            if not future.cancelled():
                self._respond(exchange, path, start, future.result())

        self._desk.start(path.pace, exchange.size, lambda: path.context.copy().run(_guarded, answer), done)

    def _start_task(self, path: Path, exchange: HotExchange, work: "Work") -> None:
        if self._desk.is_full:
            self._respond(exchange, path, time.perf_counter(), busy())
            return
        coroutine = self._answer_later(path, exchange, work)
        task = asyncio.get_running_loop().create_task(coroutine, context=path.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_later(self, path: Path, exchange: HotExchange, work: "Work") -> None:
        start = time.perf_counter()
        self._desk.take()
        try:
            self._respond(exchange, path, start, await _guarded_later(work.do_batched(self._desk)))
        finally:
            self._desk.give_back()

    def _respond(self, exchange: HotExchange, path: Path, start: float, found: WireAnswer) -> None:
        # Counted first: who has the answer finds it in the metrics.
        seconds = time.perf_counter() - start
        self._meter.count(path.text, found.status, seconds)
        if path.verb == "infer":
            self._meter.count_inference(path.name, seconds, failed=found.status != 200)
        exchange.respond(found.status, found.head, *found.parts)


def _guarded(work: Callable[[], WireAnswer]) -> WireAnswer:
    """Work in a thread, and answer any error raised there."""
    try:
        return work()
    except BaseException as error:
        return fail(tell_fault(error, "the unit"))


async def _guarded_later(work: Awaitable[WireAnswer]) -> WireAnswer:
    """Work in a task, and answer any error raised there but its cancellation."""
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return fail(tell_fault(error, "the unit"))


def _ask(lane: Lane, exchange: HotExchange) -> Asked | None:
    """Return what a request asks where there is a short way to its answer."""
    if exchange.size > LONGEST or not exchange.request.is_plain:
        return None
    return lane.read(exchange.body, exchange.request.mapping, make_id())


def _take(lane: Lane, path: Path, exchange: HotExchange) -> WireAnswer | None:
    """Return the answer where there is a short way to it."""
    try:
        asked = _ask(lane, exchange)
    except RequestError as error:
        return fail(error)
    return None if asked is None else _run(lane, path, asked)


def _run(lane: Lane, path: Path, asked: Asked) -> WireAnswer:
    """Return the answer to what was read for the short way."""
    try:
        return _frame(lane, path, asked, lane.run(asked))
    except ToldError as error:
        return fail(error)


def _frame(lane: Lane, path: Path, asked: Asked, outputs: bytes) -> WireAnswer:
    return WireAnswer(200, _JSON + path.head(asked.identity), (lane.frame(asked, outputs),))


class _Rider:
    """A request that goes the short way, together with others."""

    __slots__ = ("_asked", "_done", "_exchange", "_path", "kind", "rows", "writer")

    def __init__(
        self,
        lane: Lane,
        asked: Asked,
        path: Path,
        exchange: HotExchange,
        done: Callable[[WireAnswer | None], None],
    ) -> None:
        self.writer = lane
        self.rows, self.kind = lane.sort(asked)
        self._asked, self._path, self._exchange, self._done = asked, path, exchange, done

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self._exchange.is_disconnected

    def read(self) -> tuple[Mapping[str, Array], Call]:
        """Return the tensors, which were read when the request came."""
        return self._asked.tensors, self._asked.call

    def give(self, tensors: Mapping[str, Array]) -> bytes:
        """Return the JSON of the answer's tensors."""
        return self.writer.write(tensors)

    def run_alone(self) -> bytes:
        """Return the JSON of what the unit answers to this request."""
        return self.writer.run(self._asked)

    def settle(self, outcome: object) -> None:
        """Send the answer, if anybody still waits for one."""
        if isinstance(outcome, bytes):
            self._done(_guarded(lambda: _frame(self.writer, self._path, self._asked, outcome)))
        else:
            self._done(fail(outcome) if isinstance(outcome, ToldError) else None)


class Work:
    """One request on its way to an answer."""

    __slots__ = ("_asked", "_exchange", "_features", "_path")

    def __init__(self, path: Path, exchange: HotExchange, features: Features) -> None:
        self._path, self._exchange, self._features = path, exchange, features
        self._asked: AskedInfer | None = None

    def do(self, unit: LoadedUnit) -> WireAnswer:
        """Return the answer."""
        try:
            if self._path.verb == "route":
                message = unit.accept(read_message(self._body(), self._headers()))
                return self._finish(Written([orjson.dumps([unit.route(message)])]), _JSON)
            message = self.read(unit)
            return self._write(unit, message, unit.answer(message))
        except ToldError as error:
            return fail(error)

    async def do_batched(self, desk: Desk) -> WireAnswer:
        """Return the answer of a unit that may answer several requests at once."""
        unit = self._path.model.unit
        if unit is None:
            return unready(self._path.name)
        try:
            if not _may_take_long(self._exchange):
                message = self.read(unit)
                return self._write(unit, message, await answer(unit, message))
            message = await desk.run(lambda: self.read(unit))
            tensors = await answer(unit, message)
            return await desk.run(lambda: self._write(unit, message, tensors))
        except ToldError as error:
            return fail(error)

    # --- Reading -------------------------------------------------------------------------------------

    def _headers(self) -> Mapping[str, str]:
        return self._exchange.request.mapping

    def _body(self) -> Body:
        body, request = self._exchange.body, self._exchange.request
        coding = (request.header(b"content-encoding") or b"identity").lower().strip()
        return body if coding == b"identity" else self._exchange.unpack(coding)

    def read(self, unit: LoadedUnit) -> Message:
        """Return the message that the request is; raises RequestError and BusyError."""
        body = self._body()
        if self._path.verb == "aggregate":
            return unit.accept(read_messages(body, self._headers()))
        self._asked = read_infer(body, self._headers(), self._json_length(len(body)))
        message = unit.accept(self._asked.message)
        # The log has the id that the answer will have.
        return replace(message, id=make_id()) if message.id is None else message

    def _json_length(self, size: int) -> int | None:
        raw = self._exchange.request.header(LENGTH_HEADER.encode())
        if raw is None:
            return None
        if not raw.isdigit() or len(raw) > _DIGITS or int(raw) > size:
            raise RequestError(f"the header `{LENGTH_HEADER}` is not a length within the body")
        return int(raw)

    # --- Writing -------------------------------------------------------------------------------------

    def _write(self, unit: LoadedUnit, message: Message, tensors: list[WireTensor]) -> WireAnswer:
        fields: dict[str, object] = {"model_name": self._path.name} | named_version(unit)
        carried, identity = unit.carry(message), message.id
        if self._path.verb == "aggregate":
            fields |= ({} if identity is None else {"id": identity}) | (
                {"parameters": carried} if carried else {}
            )
            fields["outputs"] = [write_tensor(tensor) for tensor in tensors]
            return self._finish(Written([orjson.dumps(fields)]), _JSON)
        fields |= {"id": identity, "parameters": carried}
        written = write_infer(fields, tensors, self._asked, unit.region.unit)
        kind = (
            _JSON if written.json_length is None else _BINARY % (LENGTH_HEADER.encode(), written.json_length)
        )
        return self._finish(written, kind + self._path.head(identity or ""))

    def _finish(self, written: Written, head: bytes) -> WireAnswer:
        parts = tuple(written.parts)
        if not self._features.compresses:
            return WireAnswer(200, head, parts)
        head += b"vary: Accept-Encoding\r\n"
        coding = _choose_coding(self._exchange.request.header(b"accept-encoding") or b"")
        if coding is None or sum(map(len, parts)) < _LEAST:
            return WireAnswer(200, head, parts)
        packer = zlib.compressobj(_LEVEL, wbits=31 if coding == b"gzip" else 15)
        packed = b"".join([*(packer.compress(part) for part in parts), packer.flush()])
        return WireAnswer(200, head + b"content-encoding: %b\r\n" % coding, (packed,))


class _Ids:
    """Ids of the form that MLServer gives: a random start that no other process has, and a count behind it."""

    def __init__(self) -> None:
        # Workers that are forked would go on with the same start.
        os.register_at_fork(after_in_child=self.restart)
        self.restart()

    def restart(self) -> None:
        """Begin with another start."""
        text = f"{secrets.randbits(80):020x}"
        self._start = f"{text[:8]}-{text[8:12]}-4{text[12:15]}-a{text[15:18]}-"
        self._numbers = itertools.count(secrets.randbits(40))

    def next(self) -> str:
        """Return an id; it tells requests apart, and is no secret."""
        return f"{self._start}{next(self._numbers):012x}"


make_id: Final = _Ids().next


def _choose_coding(accepted: bytes) -> bytes | None:
    """Return the coding that a client accepts and that is known here, gzip before deflate."""
    found = {each.strip() for each in accepted.lower().split(b",")}
    # A quality of nought forbids; any other way to write a quality allows.
    names = {
        each.partition(b";")[0].strip() for each in found if not each.replace(b" ", b"").endswith(b";q=0")
    }
    return next((coding for coding in (b"gzip", b"deflate") if coding in names), None)


def _may_take_long(exchange: HotExchange) -> bool:
    """Say whether reading a body may take a while, even if others of its size did not."""
    if exchange.request.is_plain:
        return exchange.size > LONGEST
    raw = exchange.request.header(LENGTH_HEADER.encode()) or b""
    # Raw tensors are views of the body, and only the JSON before them is read.
    is_raw = exchange.request.header(b"content-encoding") is None and raw.isdigit() and len(raw) < _DIGITS
    return not is_raw or int(raw) > LONGEST


def fail(error: ToldError) -> WireAnswer:
    """Return the answer that tells of an error."""
    head = _JSON + _RETRY if error.status == _BUSY else _JSON
    return WireAnswer(error.status, head, (orjson.dumps({"error": cut_error(str(error))}),))


def unready(name: str) -> WireAnswer:
    """Return the answer of a model that is not loaded."""
    text = orjson.dumps({"error": f"model {show(name)} is not ready"})
    return WireAnswer(_BUSY, _JSON + _RETRY, (text,))


def busy() -> WireAnswer:
    """Return the answer where no more requests are taken."""
    return fail(BusyError())
