"""Connections to units: kept, given up in time, and never left with half an answer."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from graphc.engine.client import CallError, Target, UnitClient
from graphc.engine.message import Answer, Message
from graphc.engine.metrics import Metrics
from graphc.engine.tree import Endpoint, Unit

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON\r\nContent-Length: 2\r\n\r\n{}"
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
            yield Target(Unit("u", endpoint=Endpoint("127.0.0.1", port)), "u", "infer")
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
