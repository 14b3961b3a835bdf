"""Connections to units: kept, given up in time, and never left with half an answer."""

import asyncio
import contextlib
import gzip
import socket
import sys
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from graphc.engine import kept_connections
from graphc.engine.acknowledged import is_silent
from graphc.engine.client import CallError, Target, UnitClient
from graphc.engine.limits import Limits
from graphc.engine.message import Answer, Message
from graphc.engine.metrics import Metrics
from graphc.seldon.unit import Endpoint, SeldonUnit

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON\r\nContent-Length: 2\r\n\r\n{}"
BOMB = gzip.compress(bytes(50_000_000))
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncGenerator[Target]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve_and_close(reader, writer)))

    served: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield Target(SeldonUnit("u", endpoint=Endpoint("127.0.0.1", port)), "u", "infer")
        finally:
            # What is served is closed before the loop is.
            await asyncio.gather(*served)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return head, await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""


def answering(*answers: bytes) -> Serve:
    """Each connection answers with these, and is closed after them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)

    return serve


async def call(target: Target, times: int = 1, timeout_s: float | None = None) -> list[Answer]:
    async with UnitClient(Metrics(), timeout_s) as client:
        return [await client.call(target, Message(b"{}"), (("X-A", "é"),)) for _ in range(times)]


def answers_of(serve: Serve, times: int = 1, timeout_s: float | None = None) -> list[Answer]:
    async def ask() -> list[Answer]:
        async with listening(serve) as target:
            return await call(target, times, timeout_s)

    return asyncio.run(ask())


def test_a_connection_is_kept() -> None:
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await answering(OK, OK, OK)(reader, writer)

    answers = answers_of(serve, 3)
    assert [each.message.body for each in answers] == [b"{}"] * 3
    assert answers[0].message.content_type == "Application/JSON"
    assert opened == [1]


def test_a_connection_that_says_close_is_not_used_again() -> None:
    close = OK.replace(b"200 OK", b"200 OK\r\nConnection: Close")
    assert len(answers_of(answering(close), 3)) == 3


def test_an_answer_may_come_in_chunks_or_end_with_the_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    assert answers_of(answering(chunked))[0].message.body == b"{}"
    assert answers_of(answering(b"HTTP/1.0 200 OK\r\n\r\n{}"))[0].message.body == b"{}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "EOF"),
        (OK[:-1], "the connection was closed within an answer"),
        (b"SSH-2.0\r\n\r\n", "the answer is not HTTP/1.1"),
    ],
)
def test_half_an_answer_is_none(answer: bytes, said: str) -> None:
    with pytest.raises(CallError, match=f'Post "http://127.0.0.1:.*/v2/models/u/infer": {said}'):
        answers_of(answering(answer))


def test_a_unit_that_does_not_answer_in_time() -> None:
    async def serve(*_: object) -> None:
        await asyncio.sleep(0.5)

    with pytest.raises(CallError, match="context deadline exceeded"):
        answers_of(serve, timeout_s=0.1)


def test_a_look_at_a_unit_is_repeated_on_a_new_connection() -> None:
    async def ask() -> Answer:
        async with listening(answering(OK)) as target, UnitClient(Metrics()) as client:
            await client.call(target, Message(b"{}"), ())
            await asyncio.sleep(0)
            return await client.call(Target(target.unit, "u", "metadata"), None, ())

    assert asyncio.run(ask()).status == 200


def test_a_redirect_is_followed_with_the_same_request() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 307 Temporary\r\nLocation: /other?a=1\r\nContent-Length: 0\r\n\r\n")
        seen.append(await read_request(reader))
        writer.write(OK)

    assert answers_of(serve)[0].message.body == b"{}"
    assert [head.split(b" HTTP")[0] for head, _ in seen] == [b"POST /v2/models/u/infer", b"POST /other?a=1"]
    assert [body for _, body in seen] == [b"{}", b"{}"]
    assert "X-A: é".encode() in seen[1][0]


def test_a_header_cannot_hold_another() -> None:
    async def ask() -> None:
        async with listening(answering(OK)) as target, UnitClient(Metrics()) as client:
            await client.call(target, Message(b"{}"), (("X-A", "b\r\nX-C: d"),))

    with pytest.raises(CallError, match="a header is not one line"):
        asyncio.run(ask())


def test_a_connection_that_was_closed_meanwhile_is_seen_before_it_is_used() -> None:
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await answering(OK)(reader, writer)

    async def ask() -> None:
        async with listening(serve) as target, UnitClient(Metrics()) as client:
            for count in range(1, 20):
                # The loop has no moment between the answer and the next request in which it could hear of the end.
                assert (await client.call(target, Message(b"{}"), ())).status == 200
                assert len(opened) == count

    asyncio.run(ask())


class _Closing(asyncio.Protocol):
    """Answers once, then closes, by force or not, once the next request is on its way or has been read."""

    def __init__(self, seen: list[bytes], *, reads: bool) -> None:
        self._seen, self._reads = seen, reads
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._seen.append(data)
        if len(self._seen) == 2 and self._reads:
            self._transport.abort()
            return
        self._transport.write(OK)


def test_a_request_that_was_read_is_not_sent_again() -> None:
    seen: list[bytes] = []

    async def ask() -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Closing(seen, reads=True), "127.0.0.1", 0
        )
        async with server, UnitClient(Metrics()) as client:
            target = Target(
                SeldonUnit("u", endpoint=Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])),
                "u",
                "infer",
            )
            await client.call(target, Message(b"{}"), ())
            with pytest.raises(CallError):
                await client.call(target, Message(b"{}"), ())
            await client.call(target, Message(b"{}"), ())

    asyncio.run(ask())
    assert len(seen) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel does not say what it acknowledged")
def test_a_request_that_nobody_read_is_sent_again() -> None:
    """The unit closes after the look at the connection and before the request arrives: the worst moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        async def ask() -> Answer:
            loop = asyncio.get_running_loop()
            server.setblocking(False)
            async with UnitClient(Metrics()) as client:
                target = Target(SeldonUnit("u", endpoint=Endpoint("127.0.0.1", port)), "u", "infer")
                first = asyncio.create_task(client.call(target, Message(b"{}"), ()))
                accepted, _ = await loop.sock_accept(server)
                await loop.sock_recv(accepted, 10_000)
                await loop.sock_sendall(accepted, OK)
                await first

                def look(connected: socket.socket) -> bool:
                    found = is_silent(connected)
                    accepted.close()
                    return found

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(kept_connections, "is_silent", look)
                    second = asyncio.create_task(client.call(target, Message(b"{}"), ()))
                    again, _ = await loop.sock_accept(server)
                assert (await loop.sock_recv(again, 10_000)).startswith(b"POST")
                await loop.sock_sendall(again, OK)
                again.close()
                return await second

        assert asyncio.run(asyncio.wait_for(ask(), 30)).status == 200


ODD = {
    "more after it": OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    "two ways of saying its length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n",
    "an error that says close": b"HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("kind", ODD)
def test_no_call_gets_what_followed_anothers_answer(kind: str) -> None:
    opened: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await read_request(reader)
        writer.write(ODD[kind])
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")

    assert [each.message.body for each in answers_of(serve, 3)] == [b"{}"] * 3
    assert len(opened) == 3


HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "garbage": (b"\x00\xff\x00", b"\x01"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "an endless line": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
    "an endless body": (b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 100_000),
    "a body that is too long": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"y"),
    "a length that cannot be": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", b"y"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"y"),
    "endless chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"400\r\n" + b"y" * 1024 + b"\r\n",
    ),
    "small chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n" * 1000),
    "one huge chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"y"),
    "a chunk that is longer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", b"yyyy"),
    "an endless trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
    "an endless foreword": (b"", b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n"),
    "a gzip bomb": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        b"",
    ),
    "bad gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", b""),
    "silence": (b"", b""),
    "a dripping head": (b"HTTP/1.1 200 OK\r\n", b"X"),
    "a dripping body": (b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"X"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_unit_costs_one_call_and_little_memory(kind: str) -> None:
    first, more = HOSTILE[kind]
    limits = Limits(max_answer=1_000_000, unit_timeout_s=1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(first)
        for _ in range(2000):
            writer.write(more)
            await writer.drain()
            if "dripping" in kind or not more:
                await asyncio.sleep(0.05)
            if reader.at_eof():
                return

    async def ask() -> None:
        async with listening(serve) as target, UnitClient(Metrics(), limits=limits) as client:
            with pytest.raises(CallError) as failed:
                await client.call(target, Message(b"{}"), ())
            assert len(str(failed.value)) < 300

    tracemalloc.start()
    asyncio.run(asyncio.wait_for(ask(), 60))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000


def test_a_call_ends_with_whoever_waits_for_it() -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        came.set()
        assert await reader.read() == b""
        gone.set()

    async def ask() -> None:
        async with listening(serve) as target, UnitClient(Metrics()) as client:
            task = asyncio.create_task(client.call(target, Message(b"{}"), ()))
            await asyncio.wait_for(came.wait(), 30)
            task.cancel()
            await asyncio.wait_for(gone.wait(), 30)

    asyncio.run(ask())


def test_connections_that_units_closed_are_not_kept() -> None:
    async def ask() -> int:
        kept = kept_connections.KeptConnections()
        async with listening(answering(OK)) as target:
            assert target.unit.endpoint is not None
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
            await asyncio.gather(
                *(kept.ask(target.unit.endpoint, head, b"{}", is_safe=False) for _ in range(20))
            )
            for _ in range(200):
                await asyncio.sleep(0.02)
                if not kept.idle:
                    break
        return kept.idle

    assert asyncio.run(ask()) == 0


def test_a_connection_is_not_kept_after_an_error_that_is_a_servers_own() -> None:
    opened: list[int] = []
    plain = b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\noh"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await answering(plain)(reader, writer)

    assert [each.status for each in answers_of(serve, 20)] == [500] * 20
    assert len(opened) == 20
