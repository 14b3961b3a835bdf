"""The reader of HTTP/1.1: every way of saying how long an answer is, however its bytes arrive."""

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
]


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
