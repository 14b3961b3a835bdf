"""The reader of HTTP/1.1: every way of saying how long an answer is, however its bytes arrive."""

import tracemalloc

import pytest
from graphc.http1 import Response, ResponseReader, WireError, write_request

WHOLE: list[tuple[bytes, int, bytes, bool]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 200\r\ncontent-length:5 \r\nX-Y: 1\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 503, b"", False),
    (b"HTTP/1.1 204 None\r\n\r\n", 204, b"", True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello", True),
    (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nhel\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        200,
        b"hel0123456789",
        True,
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n",
        200,
        b"x" * 26,
        True,
    ),
    # Of what has no body, a length says what another answer would have had.
    (b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 203 Other\r\nContent-Length: 1\r\n\r\nx", 203, b"x", True),
    (b"HTTP/1.1 305 Proxy\r\nContent-Length: 1\r\n\r\nx", 305, b"x", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        200,
        b"x",
        False,
    ),
]
CHUNKED: bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("text", "status", "body", "keeps"), WHOLE)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_answers_in_pieces(text: bytes, status: int, body: bytes, keeps: bool, step: int) -> None:
    reader = ResponseReader()
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    for _ in range(2):
        found = [reader.feed(piece) for piece in pieces]
        assert found[:-1] == [None] * (len(pieces) - 1)
        answer = found[-1]
        assert isinstance(answer, Response)
        assert (answer.status, answer.body, answer.keeps) == (status, body, keeps)
        assert reader.is_empty


def test_an_answer_of_no_length_ends_with_its_connection() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") is None
    assert reader.feed(b"lo") is None
    answer = reader.close()
    assert (answer.body, answer.keeps) == (b"hello", False)


def test_bytes_after_an_answer_end_its_connection() -> None:
    answer = ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy")
    assert answer is not None
    assert (answer.body, answer.keeps) == (b"x", False)


def test_headers_are_found_whatever_their_case() -> None:
    answer = ResponseReader().feed(b"HTTP/1.1 200 OK\r\nInference-Header: 12\r\ncontent-length: 0\r\n\r\n")
    assert answer is not None
    assert answer.header("INFERENCE-header") == "12"
    assert answer.header("other") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"SSH-2.0-OpenSSH", "the answer is not HTTP/1.1"),
        (b"HTTP/2 200\r\n\r\n", "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "several lengths"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "a chunk without a size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer encoding gzip"),
    ],
)
def test_what_is_no_answer_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        ResponseReader().feed(text)


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"]
)
def test_a_connection_that_ends_early_is_refused(text: bytes) -> None:
    reader = ResponseReader()
    reader.feed(text)
    with pytest.raises(WireError, match=r"within an answer|no answer"):
        reader.close()


def test_requests_are_written_as_given() -> None:
    head = write_request("POST", "/v2", (("Host", "h:1"), ("X-A", "b")))
    assert head == b"POST /v2 HTTP/1.1\r\nHost: h:1\r\nX-A: b\r\n\r\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb"])
def test_a_header_of_two_lines_is_refused(value: str) -> None:
    with pytest.raises(WireError, match="a header is not one line"):
        write_request("POST", "/v2", {"X-A": value})


@pytest.mark.parametrize(
    ("most", "more", "message"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ".ljust(65_536, b"a"), b"a", "not HTTP/1.1", id="head"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" * 32,
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "does not come to an end",
            id="interim answers",
        ),
        pytest.param(
            CHUNKED + b"1\r\nx\r\n" * 1057, b"1\r\nx\r\n", "too many small chunks", id="small chunks"
        ),
        pytest.param(CHUNKED + b"1;".ljust(65_536, b"a"), b"a", "a chunk without a size", id="extension"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: ".ljust(65_536, b"a"), b"a", "has no end", id="trailer"),
        pytest.param(CHUNKED + b"1\r\nx", b"yz", "longer than it says", id="chunk"),
    ],
)
def test_what_has_no_end_is_refused(most: bytes, more: bytes, message: str) -> None:
    reader = ResponseReader()
    assert reader.feed(most) is None
    with pytest.raises(WireError, match=message):
        reader.feed(more)


def test_interim_answers_are_counted_for_each_answer() -> None:
    reader = ResponseReader()
    for _ in range(2):
        text = b"HTTP/1.1 103 Early\r\n\r\n" * 32 + b"HTTP/1.1 204 None\r\n\r\n"
        assert reader.feed(text) is not None


@pytest.mark.parametrize(
    ("whole", "too_much"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        ),
        (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", CHUNKED + b"3\r\nhel\r\n3\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"HTTP/1.1 200 OK\r\n\r\nhello!"),
    ],
)
def test_a_body_is_no_larger_than_the_limit(whole: bytes, too_much: bytes) -> None:
    reader = ResponseReader(5)
    found = [reader.feed(whole[at : at + 1]) for at in range(len(whole))]
    answer = found[-1] or reader.close()
    assert answer.body == b"hello"
    with pytest.raises(WireError, match="the answer is larger than 5 bytes"):
        reader.feed(too_much)


def test_a_length_has_at_most_15_digits() -> None:
    assert ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 000000000000001\r\n\r\nx") is not None
    with pytest.raises(WireError, match="a length that cannot be"):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0000000000000001\r\n\r\nx")


def test_of_an_unknown_encoding_100_bytes_are_told() -> None:
    with pytest.raises(WireError, match=f"transfer encoding {'x' * 100}$"):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + b"x" * 150 + b"\r\n\r\n")


def test_of_an_answer_in_chunks_little_is_held_twice() -> None:
    reader, chunk = ResponseReader(), b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    reader.feed(CHUNKED)
    tracemalloc.start()
    try:
        for _ in range(128):
            assert reader.feed(chunk) is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The body's 8 MiB, and 1 MiB of what is taken apart with an eighth that the buffer keeps ready.
    assert most < (8 + 1.5) * 2**20
    answer = reader.feed(b"0\r\n\r\n")
    assert answer is not None
    assert len(answer.body) == 2**23
