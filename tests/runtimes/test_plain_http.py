"""Calls over http://: what is an answer and what is none, when a connection is kept, and what hostile servers get."""

import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest
from graphc_runtimes.servers.dialect import Answer
from graphc_runtimes.servers.plain_http import PlainHttp
from graphc_runtimes.servers.transport import Bounds, TransportError

HEADERS: Final = {"Content-Type": "application/json"}
MOST: Final = 100_000
HEAD: Final = 4096
SECONDS: Final = 5.0


class Peer:
    """A server of bare sockets, which does to each connection what a test says."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.act: Callable[[Peer, socket.socket], None] = lambda _peer, _link: None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listening.accept()
                self.connections += 1
                self._start(lambda link=link: self._serve(link))

    def _serve(self, link: socket.socket) -> None:
        link.settimeout(SECONDS)
        with link, contextlib.suppress(OSError):
            self.act(self, link)

    def read(self, link: socket.socket) -> bytes:
        """Return the next request's body; OSError where there is none."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = link.recv(1)
            if not piece:
                raise ConnectionResetError
            head += piece
        size = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-len")
        )
        body = b""
        while len(body) < size:
            body += link.recv(size - len(body))
        self.requests.append(head + body)
        return body

    def transport(self, seconds: float = SECONDS) -> PlainHttp:
        """Return what asks this server."""
        return PlainHttp(f"http://127.0.0.1:{self.port}", Bounds(seconds, MOST, HEAD))

    def close(self) -> None:
        """Listen no more, and wait for what was begun."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(SECONDS)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def saying(*answers: bytes) -> Callable[[Peer, socket.socket], None]:
    """Answer the requests of a connection one after the other, and close it behind the last."""

    def act(peer: Peer, link: socket.socket) -> None:
        for answer in answers:
            peer.read(link)
            link.sendall(answer)

    return act


def answer_of(body: bytes, *more: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)


def ask(transport: PlainHttp, body: bytes = b"{}") -> Answer:
    return transport.exchange("/infer", body, HEADERS)


CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        answer_of(b"hello"),
        CHUNKED + b"2\r\nhe\r\n3;of=a;kind\r\nllo\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer_of(b"hello"),
        answer_of(gzip.compress(b"hello", mtime=0), b"Content-Encoding: gzip"),
        answer_of(zlib.compress(b"hello"), b"Content-Encoding: deflate"),
        answer_of(b"hello", b"Content-Encoding: identity"),
    ],
)
@pytest.mark.parametrize("is_dripped", [False, True])
def test_an_answer_is_read_whole_however_it_is_sent(peer: Peer, said: bytes, is_dripped: bool) -> None:
    def act(peer: Peer, link: socket.socket) -> None:
        peer.read(link)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(0, len(said), 1 if is_dripped else len(said)):
            link.sendall(said[index : index + (1 if is_dripped else len(said))])

    peer.act = act
    found = ask(peer.transport())
    assert (found.status, found.body) == (200, b"hello")
    assert "link" not in found.headers
    assert "x-sum" not in found.headers


def test_a_request_says_what_it_is(peer: Peer) -> None:
    peer.act = saying(answer_of(b""))
    url = f"http://127.0.0.1:{peer.port}/a b/"
    PlainHttp(url, Bounds(SECONDS, MOST, HEAD)).exchange("/infer", b"{1}", {"Authorization": "Bearer t"})
    assert peer.requests == [
        b"POST /a%%20b/infer HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 3\r\nAuthorization: Bearer t\r\n\r\n{1}"
        % peer.port
    ]


def test_headers_of_one_name_are_one(peer: Peer) -> None:
    peer.act = saying(answer_of(b"", b"X-A: 1", b"x-a: 2", b"X-B:  b "))
    headers = ask(peer.transport()).headers
    assert headers == {"x-a": "1, 2", "x-b": "b", "content-length": "0"}


def test_an_answer_may_have_no_body(peer: Peer) -> None:
    nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
    peer.act = saying(nothing, answer_of(b"next"))
    transport = peer.transport()
    assert ask(transport) == Answer(204, {}, b"")
    assert ask(transport).body == b"next"
    assert peer.connections == 1


# --- Connections -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "is_kept"),
    [
        (answer_of(b"a"), True),
        (CHUNKED + b"1\r\na\r\n0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", False),
        (answer_of(b"a", b"Connection: close"), False),
        # Bytes behind an answer are not the next one.
        (answer_of(b"a") + answer_of(b"forged"), False),
        (answer_of(b"a") + b"more", False),
        (answer_of(b"a") + b"H", False),
    ],
)
def test_a_connection_is_kept_where_another_answer_may_follow(
    peer: Peer, first: bytes, is_kept: bool
) -> None:
    peer.act = saying(first, answer_of(b"b"))
    transport = peer.transport()
    assert ask(transport).body == b"a"
    peer.act = saying(answer_of(b"b"))
    assert ask(transport).body == b"b"
    assert peer.connections == (1 if is_kept else 2)
    assert len(peer.requests) == 2


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(peer: Peer) -> None:
    peer.act = saying(answer_of(b"a"))
    transport = peer.transport()
    for _ in range(3):
        assert ask(transport).body == b"a"
        time.sleep(0.05)
    assert (peer.connections, len(peer.requests)) == (3, 3)


def test_what_a_server_says_unasked_is_no_answer(peer: Peer) -> None:
    def act(peer: Peer, link: socket.socket) -> None:
        peer.read(link)
        link.sendall(answer_of(b"asked"))
        time.sleep(0.02)
        link.sendall(answer_of(b"unasked"))
        with contextlib.suppress(OSError):
            link.recv(1)

    peer.act = act
    transport = peer.transport()
    assert ask(transport).body == b"asked"
    time.sleep(0.1)
    assert ask(transport).body == b"asked"
    assert peer.connections == 2


def test_a_request_that_may_have_been_read_is_not_sent_again(peer: Peer) -> None:
    def act(peer: Peer, link: socket.socket) -> None:
        peer.read(link)
        link.sendall(answer_of(b"a"))
        peer.read(link)

    peer.act = act
    transport = peer.transport()
    assert ask(transport).body == b"a"
    with pytest.raises(TransportError, match="closed the connection before its answer was whole"):
        ask(transport)
    assert (peer.connections, len(peer.requests)) == (1, 2)
    assert ask(transport).body == b"a"


def test_an_answer_to_half_a_request_is_read(peer: Peer) -> None:
    def act(_peer: Peer, link: socket.socket) -> None:
        link.recv(100)
        link.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
        link.shutdown(socket.SHUT_WR)
        while link.recv(2**16):
            pass

    peer.act = act
    found = ask(peer.transport(), b" " * 2**22)
    assert (found.status, found.body) == (413, b"much")


def test_large_bodies_travel_both_ways(peer: Peer) -> None:
    def act(peer: Peer, link: socket.socket) -> None:
        for _ in range(2):
            link.sendall(answer_of(peer.read(link)))

    peer.act = act
    transport = PlainHttp(f"http://127.0.0.1:{peer.port}", Bounds(30, 2**25, HEAD))
    body: bytes = bytes(range(256)) * 2**15
    for _ in range(2):
        assert ask(transport, body).body == body
    assert peer.connections == 1


def test_many_threads_each_get_their_own_answer(peer: Peer) -> None:
    def act(peer: Peer, link: socket.socket) -> None:
        while True:
            link.sendall(answer_of(peer.read(link)))

    peer.act = act
    transport = peer.transport()
    bodies: list[bytes] = [str(index).encode() for index in range(400)]
    with ThreadPoolExecutor(8) as threads:
        found = [each.body for each in threads.map(partial(ask, transport), bodies)]
    assert found == bodies
    assert peer.connections <= 8


def test_kept_connections_are_closed_with_what_kept_them(peer: Peer) -> None:
    ended = threading.Event()

    def act(peer: Peer, link: socket.socket) -> None:
        peer.read(link)
        link.sendall(answer_of(b"a"))
        if link.recv(1) == b"":
            ended.set()

    peer.act = act
    transport = peer.transport()
    ask(transport)
    del transport
    assert ended.wait(SECONDS)


# --- What is no answer -------------------------------------------------------------------------------

NO_HTTP: Final = "answered with something that is not HTTP"
CUT: Final = "closed the connection before its answer was whole"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Le", CUT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", CUT),
        (CHUNKED + b"5\r\nhello\r\n", CUT),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", CUT),
        (b"\x00\x01 no http at all\r\n\r\n", NO_HTTP),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", NO_HTTP),
        (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", NO_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", NO_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello", NO_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello", NO_HTTP),
        (answer_of(b"hello", b"Content-Length: 4"), NO_HTTP),
        (answer_of(b"hello", b"Transfer-Encoding: chunked"), NO_HTTP),
        (answer_of(b"hello", b"X-A: a\x00b"), NO_HTTP),
        (answer_of(b"hello", b"no colon"), NO_HTTP),
        (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", NO_HTTP),
        (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", NO_HTTP),
        (CHUNKED + b"ffffffffffffffffff\r\nhello", NO_HTTP),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NO_HTTP),
        (answer_of(b"no gzip", b"Content-Encoding: gzip"), "answered with something that is not gzip"),
        (answer_of(gzip.compress(b"hello", mtime=0)[:-9], b"Content-Encoding: gzip"), CUT),
        (answer_of(b"x", b"Content-Encoding: br"), "answered in an encoding that was not asked for"),
    ],
)
def test_what_is_no_whole_answer_is_refused_and_the_next_one_read(
    peer: Peer, said: bytes, words: str
) -> None:
    peer.act = saying(said)
    transport = peer.transport()
    with pytest.raises(TransportError) as caught:
        ask(transport)
    assert str(caught.value) == words
    peer.act = saying(answer_of(b"fine"))
    assert ask(transport).body == b"fine"
    assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("start", "again", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n", "a head of more than 4096 bytes"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 100, "a head of more than 4096 bytes"),
        (b"HTTP/1.1 200 ", b"OK" * 100, "a head of more than 4096 bytes"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "a head of more than 4096 bytes"),
        (CHUNKED + b"1;", b"extension", "a head of more than 4096 bytes"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"X-A: a\r\n", "a head of more than 4096 bytes"),
        (CHUNKED + b"1\r\na\r\n0\r\nX-A: ", b"a" * 100, "a head of more than 4096 bytes"),
        (CHUNKED, b"3e8\r\n" + b"a" * 1000 + b"\r\n", "answered with more than 100000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 1000, "answered with more than 100000 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
            b"a" * 1000,
            "answered with more than 100000 bytes",
        ),
    ],
)
def test_an_answer_without_end_is_given_up(peer: Peer, start: bytes, again: bytes, words: str) -> None:
    sent = 0

    def act(peer: Peer, link: socket.socket) -> None:
        nonlocal sent
        peer.read(link)
        link.sendall(start)
        while True:
            link.sendall(again)
            sent += len(again)

    peer.act = act
    with pytest.raises(TransportError, match=words):
        ask(peer.transport(60))
    # What the sockets of both sides hold comes on top.
    assert sent < 2**24


def test_a_small_answer_that_unpacks_to_a_large_one_is_given_up(peer: Peer) -> None:
    peer.act = saying(answer_of(gzip.compress(b" " * 2**24, mtime=0), b"Content-Encoding: gzip"))
    with pytest.raises(TransportError, match="answered with more than 100000 bytes"):
        ask(peer.transport())


@pytest.mark.parametrize(
    ("start", "drop", "words"),
    [
        (b"", b"", "gave no answer in time"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a", "gave no answer in time"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a", "did not finish its answer in time"),
        (CHUNKED, b"1\r\na\r\n", "did not finish its answer in time"),
    ],
)
def test_time_is_that_of_the_whole_answer(peer: Peer, start: bytes, drop: bytes, words: str) -> None:
    ended = threading.Event()

    def act(peer: Peer, link: socket.socket) -> None:
        peer.read(link)
        link.sendall(start)
        while not ended.wait(0.02):
            link.sendall(drop)

    peer.act = act
    began = time.monotonic()
    with pytest.raises(TransportError, match=words):
        ask(peer.transport(0.3))
    assert 0.25 < time.monotonic() - began < 3
    ended.set()


def test_a_server_that_reads_nothing_is_given_up_in_time(peer: Peer) -> None:
    ended = threading.Event()

    def act(_peer: Peer, _link: socket.socket) -> None:
        ended.wait(SECONDS)

    peer.act = act
    with pytest.raises(TransportError, match="gave no answer in time"):
        ask(peer.transport(0.3), b" " * 2**25)
    ended.set()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://name.invalid:80", "has a name that cannot be resolved"),
        ("http://" + "a" * 70 + ".invalid", "has a name that cannot be resolved"),
        ("http://127.0.0.1:1", "refuses connections"),
    ],
)
def test_who_cannot_be_reached_is_told_without_the_address(url: str, words: str) -> None:
    with pytest.raises(TransportError) as caught:
        ask(PlainHttp(url, Bounds(SECONDS, MOST, HEAD)))
    assert str(caught.value) == words
