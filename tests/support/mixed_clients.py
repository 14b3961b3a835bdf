"""Clients of every kind against one server at once, and what each must be told: a model of a data plane.

Good clients, bad ones, slow, dying and leaving ones take turns at random. Whatever the others do, a good request is
answered rightly, a bad one is refused in a few words, and a connection that ends says so before.
"""

import asyncio
import contextlib
import gzip
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

MOST_ERROR: Final = 4096
PATIENCE_S: Final = 60.0
"""A busy machine may take this long for anything."""
STEADY: Final = 2
"""How many good clients ask beside all others without a pause."""
IDLE_S: Final = 2.0
"""After this a server may end a kept connection on its own."""
REFUSALS: Final = frozenset({400, 404, 405, 408, 411, 413, 415, 431, 501})

# What the node of the graph does when the first number of a row is one of these.
RAISES, EXITS, RECURSES, SLEEPS = 13.0, 14.0, 15.0, 16.0

GRAPH: Final = """apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: twins}
inputs: {x: "FP32[batch, 4]"}
nodes:
  doubled: {python: "steps:double", in: {x: x}, out: {y: "FP32[batch, 4]"}}
  raised: {python: "steps:raised", in: {x: doubled}, out: {y: "FP32[batch, 4]"}}
outputs: {y: raised}
"""
STEPS: Final = f"""import sys
import time

import numpy as np


def double(x):
    first = float(x[0, 0]) if x.size else 0.0
    if first == {RAISES}:
        raise ValueError("thirteen")
    if first == {EXITS}:
        sys.exit(3)
    if first == {RECURSES}:
        return double(x)
    if first == {SLEEPS}:
        time.sleep(0.3)
    return x * np.float32(2)


def raised(x):
    return x + np.float32(1)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and whether the server says that it ends the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the connection ends behind the answer."""
        return self.headers.get("connection", "").lower() == "close"


class LostError(Exception):
    """The connection ended where an answer was due."""


class Connection:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.used = time.monotonic()

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return cls(*await asyncio.open_connection("127.0.0.1", port))
        except OSError as error:
            # Whoever tries again at once would do nothing else.
            await asyncio.sleep(0.5)
            raise LostError(f"connecting: {error}") from error

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.used = time.monotonic()
        try:
            self._writer.write(data)
            async with asyncio.timeout(PATIENCE_S):
                await self._writer.drain()
        except OSError as error:
            raise LostError(f"sending: {error}") from error

    async def read(self) -> Answer:
        """Read one answer; raises LostError."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._read()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LostError(f"reading: {error}") from error
        self.used = time.monotonic()
        return answer

    async def _read(self) -> Answer:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        if headers.get("transfer-encoding") == "chunked":
            body = bytearray()
            while size := int(await self._reader.readline(), 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readline()
            return Answer(int(lines[0].split()[1]), headers, bytes(body))
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(lines[0].split()[1]), headers, body)

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """End the connection as a process that dies does."""
        sock = cast("socket.socket", self._writer.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def request_of(rows: Sequence[Sequence[float]], **fields: Any) -> dict[str, Any]:
    """Return a request of these rows."""
    data = [number for row in rows for number in row]
    tensor = {"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": data}
    return {"inputs": [tensor | fields]}


def post(body: bytes, path: str, **headers: str) -> bytes:
    """Return a request's bytes."""
    named = {"host": "t", "content-type": "application/json", "content-length": str(len(body))}
    lines = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in (named | headers).items() if value),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def bad_bodies() -> dict[str, bytes]:
    """Return bodies that no server may answer with anything but a refusal, by what is wrong with them."""
    rows = [[1.0, 2.0, 3.0, 4.0]]
    good = json.dumps(request_of(rows)).encode()
    odd: list[Any] = [None, 3.0, True, "x", {}]
    found: dict[str, Any] = {f"data {value!r}": request_of(rows, data=value) for value in odd}
    for shape in (
        [0, 4611686018427387904, 4],
        [-1, 4],
        [True, 4],
        [1] * 100,
        [1, 4.5],
        "x",
        None,
        [10**30, 4],
        [2, 4],
    ):
        found[f"shape {shape!r}"[:60]] = request_of(rows, shape=shape)
    found |= {
        "elements": request_of(rows, data=[1, "x", None, {}]),
        "rows differ": request_of(rows, data=[[1, 2], [3]]),
        "datatype": request_of(rows, datatype="FP33"),
        "datatype none": request_of(rows, datatype=None),
        "other datatype": request_of(rows, datatype="BYTES", data=["a", "b", "c", "d"]),
        "name": request_of(rows, name="y"),
        "name none": request_of(rows, name=None),
        "twice": {"inputs": request_of(rows)["inputs"] * 2},
        "no inputs": {"inputs": []},
        "inputs none": {"inputs": None},
        "objects": {"inputs": [{}] * 2000},
        "list": [],
        "text": "x",
        "number": 3,
    }
    texts = {name: json.dumps(body).encode() for name, body in found.items()}
    return texts | {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "not UTF-8": good.replace(b'"x"', b'"\xff"'),
        "deep": b'{"inputs":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "NaN": good.replace(b"1.0", b"NaN"),
        "zeros": b"\0" * 2000,
        "blank": b" " * 200_000,
    }


BAD: Final = bad_bodies()

Outcome = str | None
"""What went wrong, if something did."""


@dataclass
class Crowd:
    """Clients of one server; `failures` says what no client should have seen."""

    port: int
    path: str
    random: random.Random
    has_executor: bool = False
    """Whether what answers is as Seldon's executor, to which raw tensors over REST are a 500."""
    counts: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    kept: list[Connection] = field(default_factory=list[Connection])

    async def run(self, seconds: float, clients: int) -> None:
        """Have so many clients act for a while, and good ones ask without a pause beside them."""
        until = time.monotonic() + seconds
        actors = [self._act(until) for _ in range(clients)]
        steady = [self._ask_steadily(until) for _ in range(STEADY)]
        await asyncio.gather(*actors, *steady)
        while self.kept:
            await self.kept.pop().close()

    async def _act(self, until: float) -> None:
        actions = (
            self.good,
            self.good_pieces,
            self.pipelined,
            self.packed,
            self.bad,
            self.bad,
            self.framing,
            self.failing,
        )
        odd = (self.slow, self.leaving, self.dying, self.asking)
        while time.monotonic() < until:
            await self._try(self.random.choice([*actions, *odd]))

    async def _try(self, action: Callable[[], Awaitable[None]]) -> None:
        name = action.__name__
        self.counts[name] += 1
        try:
            await action()
        except (AssertionError, LostError, TimeoutError, ValueError) as error:
            self.failures.append(f"{name}: {type(error).__name__} {str(error)[:300]}")

    # --- Good clients --------------------------------------------------------------------------------

    def _rows(self) -> list[list[float]]:
        count = self.random.choice([1, 1, 2, 5, 64])
        return [[float(self.random.randrange(100, 1000)) for _ in range(4)] for _ in range(count)]

    def _check(self, answer: Answer, rows: Sequence[Sequence[float]]) -> None:
        assert answer.status == 200, f"{answer.status} {answer.body[:200]!r}"
        (output,) = json.loads(answer.body)["outputs"]
        assert output["shape"] == [len(rows), 4], output["shape"]
        assert output["data"] == [number * 2 + 1 for row in rows for number in row], "other numbers"

    async def _ask_steadily(self, until: float) -> None:
        """Ask without a pause, on one connection for as long as the server keeps it."""
        connection: Connection | None = None
        while time.monotonic() < until:
            self.counts["steady"] += 1
            idle = 0.0 if connection is None else time.monotonic() - connection.used
            try:
                connection = connection or await Connection.open(self.port)
                is_kept = await self._ask_on(connection)
            except (AssertionError, LostError, TimeoutError, ValueError) as error:
                is_kept = False
                if not (isinstance(error, LostError) and idle > IDLE_S):
                    self.failures.append(f"steady: {type(error).__name__} {str(error)[:300]}")
            if connection is not None and not is_kept:
                await connection.close()
                connection = None
        if connection is not None:
            await connection.close()

    async def _ask_on(self, connection: Connection) -> bool:
        """Ask once; say whether the server keeps the connection."""
        rows = self._rows()
        await connection.send(post(json.dumps(request_of(rows)).encode(), self.path))
        answer = await connection.read()
        self._check(answer, rows)
        return not answer.closes

    async def _exchange(self, data: bytes) -> Answer:
        connection = await Connection.open(self.port)
        try:
            await connection.send(data)
            return await connection.read()
        finally:
            await connection.close()

    async def good(self) -> None:
        """Ask once."""
        rows = self._rows()
        self._check(await self._exchange(post(json.dumps(request_of(rows)).encode(), self.path)), rows)

    async def good_pieces(self) -> None:
        """Send a request in pieces, its body in chunks."""
        rows = self._rows()
        body = json.dumps(request_of(rows)).encode()
        head = post(b"", self.path, **{"content-length": "", "transfer-encoding": "chunked"})
        at = self.random.randrange(1, len(head))
        connection = await Connection.open(self.port)
        try:
            for piece in (head[:at], head[at:], b"%x\r\n%b\r\n" % (len(body), body), b"0\r\n\r\n"):
                await connection.send(piece)
                await asyncio.sleep(0.01)
            self._check(await connection.read(), rows)
        finally:
            await connection.close()

    async def pipelined(self) -> None:
        """Send several requests at once, a bad one among them; each gets its own answer, in order."""
        asked = [self._rows() for _ in range(3)]
        texts = [post(json.dumps(request_of(rows)).encode(), self.path) for rows in asked]
        texts.insert(1, post(BAD["data None"], self.path))
        connection = await Connection.open(self.port)
        try:
            await connection.send(b"".join(texts))
            for place in range(4):
                answer = await connection.read()
                if place == 1:
                    self._check_refusal(answer, "data None")
                else:
                    self._check(answer, asked[place - (place > 1)])
                if answer.closes:
                    # What was not read is asked again by a client; nothing was answered by mistake.
                    return
        finally:
            await connection.close()

    async def packed(self) -> None:
        """Send a request that is compressed."""
        rows = self._rows()
        body = gzip.compress(json.dumps(request_of(rows)).encode())
        answer = await self._exchange(post(body, self.path, **{"content-encoding": "gzip"}))
        self._check(answer, rows)

    async def asking(self) -> None:
        """Ask for health and metadata."""
        model = self.path.removesuffix("/infer")
        for path in ("/v2/health/live", "/v2/health/ready", model):
            answer = await self._exchange(f"GET {path} HTTP/1.1\r\nhost: t\r\n\r\n".encode())
            assert answer.status == 200, f"{path}: {answer.status} {answer.body[:200]!r}"

    # --- Bad clients ---------------------------------------------------------------------------------

    def _check_refusal(self, answer: Answer, what: str) -> None:
        assert answer.status in REFUSALS, f"{what}: {answer.status} {answer.body[:200]!r}"
        assert len(answer.body) < MOST_ERROR, f"{what}: {len(answer.body)} bytes"
        told = json.loads(answer.body)
        assert isinstance(told["error"], str), f"{what}: {answer.body[:200]!r}"
        assert told["error"], what

    async def bad(self) -> None:
        """Send a body that is wrong, then a good one on the same connection."""
        name = self.random.choice(sorted(BAD))
        connection = await Connection.open(self.port)
        try:
            await connection.send(post(BAD[name], self.path))
            answer = await connection.read()
            self._check_refusal(answer, name)
            if answer.closes:
                return
            await self._ask_on(connection)
        finally:
            await connection.close()

    async def framing(self) -> None:
        """Send what is no HTTP, or odd HTTP: a refusal, or an end."""
        body = b"{}"
        texts = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"POST " + self.path.encode() + b" HTTP/1.1\r\nhost: t\r\ncontent-length: -5\r\n\r\n",
            b"POST "
            + self.path.encode()
            + b" HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: t\r\n\r\n",
            post(body, self.path, **{"content-encoding": "gzip"}),
            post(body, self.path, **{"content-encoding": "br"}),
            post(body, "/nowhere"),
            post(body, "/v2/models/nobody/infer"),
        ]
        if not self.has_executor:
            texts.append(post(body, self.path, **{"inference-header-content-length": "999"}))
        connection = await Connection.open(self.port)
        try:
            with contextlib.suppress(LostError):
                await connection.send(self.random.choice(texts))
                answer = await connection.read()
                assert answer.status in REFUSALS, f"{answer.status} {answer.body[:200]!r}"
                assert len(answer.body) < MOST_ERROR
        finally:
            await connection.close()

    async def failing(self) -> None:
        """Ask for what a node fails at; the next request is served."""
        first = self.random.choice([RAISES, EXITS, RECURSES])
        body = json.dumps(request_of([[first, 1.0, 1.0, 1.0]])).encode()
        connection = await Connection.open(self.port)
        try:
            await connection.send(post(body, self.path))
            answer = await connection.read()
            assert answer.status == 500, f"{first}: {answer.status} {answer.body[:200]!r}"
            assert len(answer.body) < MOST_ERROR
            assert json.loads(answer.body)["error"]
        finally:
            await connection.close()

    # --- Clients that are slow, leave, or die --------------------------------------------------------

    async def slow(self) -> None:
        """Begin a request, and leave it so for the rest of the time, a few of them at once."""
        connection = await Connection.open(self.port)
        await connection.send(post(b"x" * 1000, self.path)[: self.random.choice([5, 60, -500])])
        self.kept.append(connection)
        if len(self.kept) > 30:
            await self.kept.pop(0).close()

    async def leaving(self) -> None:
        """Ask for what takes long, and leave."""
        connection = await Connection.open(self.port)
        await connection.send(post(json.dumps(request_of([[SLEEPS, 1, 1, 1]])).encode(), self.path))
        await asyncio.sleep(self.random.random() * 0.05)
        await connection.close()

    async def dying(self) -> None:
        """Send half of a large body, and die."""
        connection = await Connection.open(self.port)
        body = json.dumps(request_of([[1.0, 2.0, 3.0, 4.0]] * 5000)).encode()
        await connection.send(post(body, self.path)[: len(body) // 2])
        connection.reset()
