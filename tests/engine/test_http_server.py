"""The front's HTTP server: what a stranger may take of time, room and connections, and how requests are framed."""

import asyncio
import gzip
import json
import resource
import socket
import zlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from graphc.engine.bodies import ChunkedBody
from graphc.engine.connection import Response
from graphc.engine.heads import Head, HeadError, read_head
from graphc.engine.http_server import HttpServer
from graphc.engine.limits import LimitError, Limits, Room, find_memory, read_limits
from graphc.engine.unpacking import TooLargeError, UnpackError, unpack

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
PATIENT = Limits(head_timeout_s=30, read_timeout_s=30, idle_timeout_s=30)
HASTY = replace(PATIENT, head_timeout_s=1, read_timeout_s=1, idle_timeout_s=1)


@dataclass
class Echo:
    """Answers with the body; `hold` keeps answers back, `left` counts requests that were given up."""

    hold: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0
    left: int = 0
    size: int = 0

    def refuse(self, head: Head) -> Response | None:
        return Response(404, b"nowhere") if head.path == "/nowhere" else None

    async def answer(self, head: Head, body: bytes) -> Response:
        self.began += 1
        if head.path == "/hold":
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.left += 1
                raise
        return self.refuse(head) or Response(200, body * (self.size or 1), (("X-Path", head.path),))


@dataclass
class Served:
    server: HttpServer
    echo: Echo
    room: Room
    port: int

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        reader, writer = await self.open(sent)
        try:
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(limits: Limits = PATIENT) -> AsyncGenerator[Served]:
    echo, room = Echo(), Room(limits.in_flight)
    server = HttpServer(echo, limits, room)
    port = await server.start("127.0.0.1", 0)
    try:
        yield Served(server, echo, room, port)
    finally:
        await server.stop(0.1)
        assert room.taken == 0


def run(test: Callable[[Served], Coroutine[Any, Any, None]], limits: Limits = PATIENT) -> None:
    async def main() -> None:
        async with serving(limits) as served:
            await asyncio.wait_for(test(served), 60)

    asyncio.run(main())


async def until(said: Callable[[], bool]) -> None:
    for _ in range(1000):
        if said():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def sized(body: bytes, path: bytes = b"/", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (path, more, len(body), body)


CLOSE = b"Connection: close\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
@pytest.mark.parametrize("text", [sized(b"abcde", more=CLOSE), HEAD + CLOSE + CHUNKS])
def test_requests_come_in_pieces(text: bytes, step: int) -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open()
        for start in range(0, len(text), step):
            writer.write(text[start : start + step])
            await asyncio.sleep(0)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nabcde")
        writer.close()

    run(test)


def test_requests_follow_one_another_on_a_connection() -> None:
    async def test(served: Served) -> None:
        many = b"".join(sized(b"%d" % each) for each in range(200)) + sized(b"end", more=CLOSE)
        answers = (await served.ask(many)).split(b"HTTP/1.1 200 OK")[1:]
        assert [each.rpartition(b"\r\n\r\n")[2] for each in answers] == [
            *(b"%d" % each for each in range(200)),
            b"end",
        ]

    run(test)


UNCLEAR = [
    (b"SSH-2.0-x\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    (HEAD + b"Content-Length: +1\r\n\r\nx", 400),
    (HEAD + b"Content-Length: 1, 1\r\n\r\nx", 400),
    (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\nx", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", 400),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"T: r\r\n" * 2000, 431),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000, 400),
    (HEAD + b"Expect: wonders\r\n\r\n", 417),
    (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431),
    (HEAD + b"X: " + b"y" * 70_000, 431),
    (HEAD + b"Content-Length: 99999999999\r\n\r\n", 413),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n", 413),
    (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n", 404),
]


@pytest.mark.parametrize(("text", "status"), UNCLEAR)
def test_what_is_unclear_or_too_large_is_refused_and_closed(text: bytes, status: int) -> None:
    async def test(served: Served) -> None:
        answer = await served.ask(text)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b"Connection: close" in head
        assert body == b"nowhere" or [*json.loads(body)] == ["error"]
        assert not served.echo.began
        assert b" 200 " in await served.ask(sized(b"x", more=CLOSE))

    run(test)


def test_a_client_may_ask_before_it_sends() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.open(
            HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ab")
        assert (await reader.read()).endswith(b"\r\n\r\nab")
        writer.close()

    run(test)


def test_heads_of_old_clients_and_of_proxies() -> None:
    async def test(served: Served) -> None:
        assert (await served.ask(b"GET /a HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\nX-Path: /a\r\n")
        text = b"\r\nGET http://a:1/b?c=d HTTP/1.1\r\nHost: a\r\nConnection: X, close\r\n\r\n"
        assert b"X-Path: /b\r\n" in await served.ask(text)
        head = await served.ask(b"HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert head.endswith(b"\r\n\r\n")

    run(test)


SLOW: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "part of a head": (HEAD, b""),
    "part of a body": (HEAD + b"Content-Length: 1000\r\n\r\n{", b""),
    "dripping head": (HEAD, b"X: a\r\n"),
    "dripping body": (HEAD + b"Content-Length: 100000\r\n\r\n{", b" "),
    "dripping chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "idle": (sized(b"x"), b""),
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_are_given_up(kind: str) -> None:
    first, drip = SLOW[kind]

    async def test(served: Served) -> None:
        reader, writer = await served.open(first)
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(drip)
            await asyncio.wait([reading], timeout=0.2)
        said = b"" if reading.exception() else reading.result()
        expected = {"silent": b"", "idle": b"HTTP/1.1 200"}.get(kind, b"HTTP/1.1 408")
        assert said[:12] == expected
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    run(test, HASTY)


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def test(served: Served) -> None:
        served.echo.size = 64
        _, writer = await served.open()
        transport: Any = writer.transport
        transport.pause_reading()
        writer.write(sized(b"x" * 2**20))
        await until(lambda: served.echo.began == 1)
        await until(lambda: not served.server.open_connections)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    run(test, HASTY)


def test_a_slow_but_steady_client_is_answered() -> None:
    async def test(served: Served) -> None:
        body = b"x" * 20_000
        reader, writer = await served.open(
            HEAD + CLOSE + b"Content-Length: 20000\r\n\r\n",
        )
        for start in range(0, len(body), 1000):
            writer.write(body[start : start + 1000])
            await asyncio.sleep(0.15)
        assert (await reader.read()).endswith(body)
        writer.close()

    run(test, HASTY)


def test_bytes_in_flight_are_bounded_in_total_and_released() -> None:
    async def test(served: Served) -> None:
        holding = [await served.open(sized(b"x" * 1000, b"/hold", CLOSE)) for _ in range(3)]
        await until(lambda: served.echo.began == 3)
        for text in (sized(b"x" * 1000), HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000):
            refused = await served.ask(text)
            assert b"HTTP/1.1 503 " in refused
            assert b"Retry-After: 1" in refused
        assert b" 200 " in await served.ask(sized(b"x" * 100, more=CLOSE))
        assert b" 413 " in await served.ask(sized(b"x" * 4000))
        served.echo.hold.set()
        for reader, writer in holding:
            assert b" 200 " in await reader.read()
            writer.close()
        await until(lambda: served.room.taken == 0)
        assert b" 200 " in await served.ask(sized(b"x" * 1000, more=CLOSE))

    run(test, replace(PATIENT, in_flight=3500))


def test_a_client_that_leaves_ends_its_request() -> None:
    async def test(served: Served) -> None:
        _, writer = await served.open(sized(b"x", b"/hold"))
        await until(lambda: served.echo.began == 1)
        writer.close()
        await until(lambda: served.echo.left == 1)
        assert served.room.taken == 0

    run(test)


def test_connections_are_bounded_and_those_that_ask_are_served() -> None:
    async def test(served: Served) -> None:
        silent = [await served.open() for _ in range(50)]
        for _ in range(20):
            assert b" 200 " in await served.ask(sized(b"x", more=CLOSE))
        assert len(served.server.open_connections) <= 8
        holding = [await served.open(sized(b"x", b"/hold", CLOSE)) for _ in range(8)]
        await until(lambda: served.echo.began == 28)
        waiting = asyncio.create_task(served.ask(sized(b"y", more=CLOSE)))
        await asyncio.sleep(0.1)
        assert served.echo.began == 28
        served.echo.hold.set()
        assert (await waiting).endswith(b"\r\n\r\ny")
        for _, writer in [*silent, *holding]:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    run(test, replace(PATIENT, connections=8))


def test_who_drips_makes_room_for_who_asks() -> None:
    async def test(served: Served) -> None:
        dripping = [await served.open(HEAD + b"Content-Length: 1000000\r\n\r\n{") for _ in range(24)]
        for _ in range(5):
            assert (await served.ask(sized(b"x", more=CLOSE))).endswith(b"\r\n\r\nx")
        for _, writer in dripping:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    run(test, replace(PATIENT, connections=8, least_rate=1000))


def test_without_descriptors_accepting_waits_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        kept = resource.getrlimit(resource.RLIMIT_NOFILE)
        clients = [socket.socket() for _ in range(30)]
        for each in clients:
            each.setblocking(False)
        with socket.socket() as free:
            last = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 5, kept[1]))
        try:
            for each in clients:
                with suppress(BlockingIOError):
                    each.connect(("127.0.0.1", served.port))
            await asyncio.sleep(2)
            assert [each.levelname for each in caplog.records] == ["WARNING"]
            assert "too many open files" in caplog.text
            clients[-1].setblocking(True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, kept)
        for each in clients[:-1]:
            each.close()
        clients[-1].sendall(sized(b"x", more=CLOSE))
        clients[-1].setblocking(False)
        loop = asyncio.get_running_loop()
        assert b" 200 " in await loop.sock_recv(clients[-1], 100)
        clients[-1].close()

    run(test)


def test_the_end_waits_for_requests_in_flight_and_takes_no_new_ones() -> None:
    async def test(served: Served) -> None:
        idle = await served.open(sized(b"x"))
        await idle[0].readuntil(b"x")
        reader, writer = await served.open(sized(b"y", b"/hold"))
        await until(lambda: served.echo.began == 2)
        stopping = asyncio.create_task(served.server.stop(30))
        assert (await idle[0].read()) == b""
        with pytest.raises(ConnectionRefusedError):
            await served.open()
        assert not stopping.done()
        served.echo.hold.set()
        answer = await reader.read()
        assert b"Connection: close" in answer
        assert answer.endswith(b"\r\n\r\ny")
        await stopping
        for each in (writer, idle[1]):
            each.close()

    run(test)


def test_the_end_answers_once_more_who_asked_a_moment_ago() -> None:
    """It may be asking just now: a request that meets a closed connection is lost to a client that does not retry."""

    async def test(served: Served) -> None:
        reader, writer = await served.open(sized(b"x"))
        await reader.readuntil(b"x")
        stopping = asyncio.create_task(served.server.stop(30))
        await until(lambda: served.server.is_ending)
        await asyncio.sleep(0.1)
        writer.write(sized(b"y"))
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b"Connection: close" in answer
        assert answer.endswith(b"\r\n\r\ny")
        await asyncio.wait_for(stopping, 10)
        writer.close()

    run(test)


def test_the_end_has_an_end() -> None:
    async def test(served: Served) -> None:
        _, writer = await served.open(sized(b"y", b"/hold"))
        await until(lambda: served.echo.began == 1)
        await served.server.stop(0.2)
        assert served.echo.left == 1
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    run(test)


def test_a_body_in_small_chunks_is_cheap_to_refuse() -> None:
    body = ChunkedBody(2**30)
    with pytest.raises(HeadError, match="too small"):
        body.feed(b"1\r\nx\r\n" * 100_000)
    assert body.size < 5000


def test_a_head_that_was_read_before_is_the_same() -> None:
    text = HEAD + b"X-A: \xc3\xa9\r\nContent-Length: 3"
    head = read_head(text)
    assert (head.method, head.path, head.length, head.keeps) == ("POST", "/", 3, True)
    assert head.header("x-a") == "é"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_bodies(encoding: str) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if encoding == "gzip" else zlib.compress
    assert unpack(pack(b"abc" * 1000), encoding, 10_000) == b"abc" * 1000
    with pytest.raises(TooLargeError):
        unpack(pack(b"abc" * 1000), encoding, 2_000)
    with pytest.raises(TooLargeError):
        unpack(pack(bytes(2**26)), encoding, 2**30)
    for bad in (b"", b"abc", pack(b"abc")[:-2], pack(b"abc") + b"more"):
        if bad:
            with pytest.raises(UnpackError):
                unpack(bad, encoding, 2**30)


def test_several_members_of_gzip_and_raw_deflate() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 10) == b"ab"
    assert unpack(zlib.compress(b"abc", wbits=-15), "deflate", 10) == b"abc"


def test_limits_come_from_the_environment(tmp_path: Path) -> None:
    limits = read_limits({"GRAPHC_MAX_BODY_BYTES": "5", "GRAPHC_UNIT_TIMEOUT_S": "7"})
    assert (limits.max_body, limits.unit_timeout_s) == (5, 7)
    for text in ("0", "-1", "x", "1.5", "9" * 30):
        with pytest.raises(LimitError, match="GRAPHC_MAX_HEAD_BYTES"):
            read_limits({"GRAPHC_MAX_HEAD_BYTES": text})
    (tmp_path / "max").write_text("1048576\n")
    assert find_memory((tmp_path / "absent", tmp_path / "max")) == 2**20
    (tmp_path / "max").write_text("max\n")
    assert find_memory((tmp_path / "max",)) > 2**20
