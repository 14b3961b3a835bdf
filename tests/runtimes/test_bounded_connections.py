"""Time and room of a unit's connections: what is slow, idle or too much ends, and says so; what is good is answered."""

import gc
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes import plane
from graphc_runtimes.reading import Asked, read_infer
from graphc_runtimes.room import Room
from plane_sockets import INFER, Client, Running, ask_json, ask_raw, post

Json = dict[str, Any]
Serve = Callable[..., Running]

LIMIT_S: Final = 30
HEAD: Final = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n"


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, as long as no sound machine takes."""
    ends = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < ends, "it never held"
        time.sleep(0.02)


def is_ended(client: Client) -> bool:
    """Say whether the server has ended a connection, whatever it said before."""
    client.socket.setblocking(False)
    try:
        while client.socket.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


# --- Time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        ("", ""),
        (HEAD, ""),
        (HEAD, "x: y\r\n"),
        (HEAD + "Content-Length: 1000\r\n\r\n{", ""),
        (HEAD + "Content-Length: 100000\r\n\r\n{", " "),
        (HEAD + "Content-Length: 1000000\r\n\r\n{", " "),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", ""),
    ],
)
def test_a_client_that_does_not_come_to_the_point_is_given_up(
    serve: Serve, double: Json, begin: str, drip: str
) -> None:
    client = serve(double, limits={"patience_s": 1, "least_rate": 2000}).connect()
    client.send(begin.encode())

    def dripped() -> bool:
        try:
            client.socket.setblocking(True)
            client.send(drip.encode())
        except OSError:
            return True
        return is_ended(client)

    wait_until(dripped)


def test_a_body_that_keeps_the_pace_is_waited_for(serve: Serve, double: Json) -> None:
    client = serve(double, limits={"patience_s": 1, "least_rate": 10}).connect()
    body = ask_json(1, 2)
    client.send(post(body)[: -len(body)])
    for at in range(0, len(body), 20):
        client.send(body[at : at + 20])
        time.sleep(0.4)
    assert client.read().status == 200


def test_a_slow_client_is_told_before_the_connection_ends(serve: Serve, double: Json) -> None:
    client = serve(double, limits={"patience_s": 1}).connect()
    client.send((HEAD + "Content-Length: 1000\r\n\r\n{").encode())
    answer = client.read()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert client.is_closed()


def test_an_idle_connection_ends(serve: Serve, double: Json) -> None:
    client = serve(double, limits={"idle_s": 1}).connect()
    assert client.ask(ask_json(1, 2)).status == 200
    wait_until(lambda: is_ended(client))


def test_an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_slowly_is_not(
    serve: Serve, double: Json
) -> None:
    running = serve(double, limits={"patience_s": 1, "least_rate": 1000})
    values = np.zeros(2_000_000, np.float32)
    body, length = ask_raw(values.reshape(-1, 2), binary_data_output=True)
    raw = post(body, inference_header_content_length=length)
    unread, slow = running.connect(), running.connect()
    for each in (unread, slow):
        each.send(raw)
    read = 0
    while read < values.nbytes:
        piece = slow.socket.recv(2**20)
        assert piece, "the server gave a client up that reads"
        read += len(piece)
        time.sleep(0.2)
    wait_until(lambda: len(running.settings.open.all()) == 1)


# --- Room ----------------------------------------------------------------------------------------------


def test_bytes_in_flight_are_limited_in_total(serve: Serve, double: Json) -> None:
    running = serve(double, limits={"room": Room(300_000)})
    holding, refused = running.connect(), running.connect()
    holding.send((HEAD + "Content-Length: 250000\r\n\r\n").encode() + b" " * 249_000)
    wait_until(lambda: running.settings.room.taken >= 240_000)
    refused.send((HEAD + "Content-Length: 100000\r\n\r\n").encode() + b" " * 90_000)
    answer = refused.read()
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert "bytes in flight" in answer.json["error"]
    # What is small finds room, and what was held is given back.
    assert running.connect().ask(ask_json(1, 2)).status == 200
    holding.close()
    wait_until(lambda: running.settings.room.taken == 0)
    assert running.connect().ask(ask_json(*range(20_000))).status == 200
    wait_until(lambda: running.settings.room.taken == 0)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_what_a_compressed_body_becomes_is_limited(
    serve: Serve, double: Json, pack: Callable[[bytes], bytes]
) -> None:
    coding = "gzip" if pack is gzip.compress else "deflate"
    running = serve(double, limits={"max_body": 2**20, "room": Room(2**21)})
    client = running.connect()
    sound = ask_json(1, 2) + b" " * 500_000
    assert client.ask(pack(sound), content_encoding=coding).status == 200
    answer = client.ask(pack(b" " * 2**26), content_encoding=coding)
    assert (answer.status, answer.json) == (
        400,
        {"error": "the compressed body is larger than 1048576 bytes when it is unpacked"},
    )
    wait_until(lambda: running.settings.room.taken == 0)
    running.settings.room.take(2**21 - 200_000)
    answer = client.ask(pack(sound), content_encoding=coding)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    running.settings.room.give_back(2**21 - 200_000)
    for bad in (pack(sound)[:-9], pack(sound)[:20], b"x" * 100):
        assert client.ask(bad, content_encoding=coding).status == 400
    wait_until(lambda: running.settings.room.taken == 0)
    assert client.ask(ask_json(1, 2)).status == 200


def test_several_members_are_one_body(serve: Serve, double: Json) -> None:
    body = ask_json(1, 2)
    packed = gzip.compress(body[:10]) + gzip.compress(body[10:])
    assert serve(double).connect().ask(packed, content_encoding="gzip").status == 200


def find_large() -> Iterator[object]:
    """Return what lies in memory in one large piece, bodies and arrays."""
    for each in cast("list[object]", gc.get_objects()):
        if isinstance(each, bytes | bytearray | memoryview):
            size = len(cast("bytes", each))
        else:
            size = cast("Array", each).nbytes if isinstance(each, np.ndarray) else 0
        if size > 500_000:
            yield cast("object", each)


def test_a_body_is_let_go_of_once_it_is_answered(serve: Serve, double: Json) -> None:
    running = serve(double)
    clients = [running.connect() for _ in range(4)]
    sound = ask_json(*range(200_000))
    bad = (sound.replace(b'"FP32"', b'"FP3"'), sound[:-2], sound.replace(b"[100000, 2]", b"[9, 2]"))
    known = {id(each) for each in (sound, *bad)}

    def is_gone() -> bool:
        return not [each for each in find_large() if id(each) not in known]

    # The collector of cycles has no part in it.
    gc.disable()
    try:
        for client in clients:
            for body, status in ((sound, 200), *((each, 400) for each in bad)):
                assert client.ask(body).status == status
                wait_until(is_gone)
    finally:
        gc.enable()


# --- Refusals ------------------------------------------------------------------------------------------

REFUSED: Final = [
    b"{",
    b"[]",
    b'{"inputs":[{}]}',
    ask_json(1, 2).replace(b"[1, 2]}", b"null}"),
    ask_json(1, 2).replace(b"[1, 2]}", b"true}"),
    ask_json(1, 2).replace(b'"shape": [1, 2]', b'"shape": [0, 4611686018427387904, 4]'),
    b"\xff" * 1000,
    b'{"inputs":[' + b"{}," * 30_000 + b"{}]}",
    ask_json(1, 2, parameters={"a": json.loads("[" * 90 + "]" * 90)}),
]


@pytest.mark.parametrize("verb", ["infer", "aggregate", "route"])
def test_a_refused_body_leaves_the_connection_to_good_ones(serve: Serve, double: Json, verb: str) -> None:
    client = serve(double).connect()
    for body in REFUSED:
        for kind in ("application/json", "application/octet-stream", "text/plain"):
            answer = client.ask(body, f"/v2/models/graph/{verb}", content_type=kind)
            assert answer.status == 400
            assert answer.headers["content-type"] == "application/json"
            assert (list(answer.json), len(answer.body) < 4096) == (["error"], True)
        assert client.ask(ask_json(1, 2)).status == 200


def test_a_client_that_is_refused_in_the_midst_of_its_body_sees_the_answer(
    serve: Serve, double: Json
) -> None:
    client = serve(double, limits={"max_body": 100_000}).connect()
    sent = threading.Thread(target=client.send, args=(post(b" " * 5_000_000),))
    sent.start()
    answer = client.read()
    sent.join(LIMIT_S)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.json == {"error": "the body is larger than 100000 bytes"}


def test_a_refusal_comes_after_the_answers_before_it(serve: Serve, slow: Json) -> None:
    client = serve(slow, limits={"max_body": 1000}).connect()
    client.send(
        post(ask_json(77, 0)) + post(ask_json(1, 2)) + (HEAD + "Content-Length: 2000\r\n\r\n").encode()
    )
    assert [client.read().status for _ in range(3)] == [200, 200, 413]
    assert client.is_closed()


@pytest.mark.parametrize("length", ["9" * 18, "9" * 4000, "9" * 9000, "-1", "1, 1"])
def test_a_length_of_any_number_of_digits_is_refused(serve: Serve, double: Json, length: str) -> None:
    running = serve(double)
    client = running.connect()
    client.send((HEAD + f"Content-Length: {length}\r\n\r\n").encode())
    assert client.read().status in (400, 413)
    client = running.connect()
    assert client.ask(ask_json(1, 2), inference_header_content_length=length).status == 400
    large = ask_json(*range(40_000))
    assert client.ask(large, inference_header_content_length=length).status == 400


@pytest.mark.parametrize("more", [{}, {"batch": {"max_size": 8}}])
def test_what_may_take_long_is_never_read_on_the_event_loop(
    serve: Serve, double: Json, monkeypatch: pytest.MonkeyPatch, more: Json
) -> None:
    readers: list[str] = []

    def note(*given: Any) -> Asked:
        readers.append(threading.current_thread().name)
        return read_infer(*given)

    monkeypatch.setattr(plane, "read_infer", note)
    client = serve(double | more).connect()
    large = ask_json(*range(20_000))
    raw, length = ask_raw(np.zeros((50_000, 2), np.float32))
    # By now requests of these sizes are known to be short.
    for _ in range(20):
        assert client.ask(raw, inference_header_content_length=length).status == 200
    readers.clear()
    for body, headers in (
        (large, {}),
        (large.replace(b'"FP32"', b'"FP3"'), {}),
        (b'{"inputs":[' + b"{}," * 100_000 + b"{}]}", {}),
        (b" " * len(raw), {}),
        (b" " * len(raw), {"inference_header_content_length": str(len(raw) - 1)}),
        (gzip.compress(ask_json(1, 2)), {"content_encoding": "gzip"}),
    ):
        for _ in range(3):
            client.ask(body, **headers)
    assert len(readers) == 18
    assert all(name.startswith("graphc") for name in readers)


# --- Connections ---------------------------------------------------------------------------------------


def test_connections_are_limited_and_whoever_only_waits_makes_room(serve: Serve, double: Json) -> None:
    running = serve(double, limits={"connections": 20, "least_rate": 1024})
    begun = ["", HEAD, HEAD + "Content-Length: 1000\r\n\r\n{", HEAD + "Transfer-Encoding: chunked\r\n\r\n"]
    waiting = [running.connect() for _ in range(20)]
    for place, client in enumerate(waiting):
        client.send(begun[place % 4].encode())
    wait_until(lambda: len(running.settings.open.all()) == 20)

    def is_answered() -> bool:
        client = running.connect()
        try:
            return client.ask(ask_json(1, 2)).status == 200
        except (OSError, AssertionError):
            return False
        finally:
            client.close()

    wait_until(is_answered)
    good = running.connect()
    for _ in range(5):
        assert good.ask(ask_json(1, 2)).status == 200


def test_one_more_connection_than_may_be_is_told_so(serve: Serve, slow: Json) -> None:
    running = serve(slow, limits={"connections": 2})
    busy = [running.connect() for _ in range(2)]
    for client in busy:
        client.send(post(ask_json(77, 0)))
    wait_until(lambda: len(running.settings.open.all()) == 2)
    more = running.connect()
    answer = more.read()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert [client.read().status for client in busy] == [200, 200]
    wait_until(lambda: len(running.settings.open.all()) <= 2)
    assert busy[0].ask(ask_json(1, 2)).status == 200


def test_a_socket_that_is_reset_is_forgotten(serve: Serve, double: Json) -> None:
    running = serve(double)
    client = running.connect()
    client.send((HEAD + "Content-Length: 900000\r\n\r\n").encode() + b" " * 500_000)
    wait_until(lambda: running.settings.room.taken >= 400_000)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    wait_until(lambda: running.settings.room.taken == 0 and not running.settings.open.all())


# --- The end -------------------------------------------------------------------------------------------


def test_a_server_that_ends_answers_once_more_who_asked_a_moment_ago(serve: Serve, double: Json) -> None:
    """It may be asking just now: a request that meets a closed connection is lost to a client that does not retry."""
    running = serve(double)
    client, silent = running.connect(), running.connect()
    for each in (client, silent):
        assert "connection" not in each.ask(ask_json(1, 2)).headers
    running.end()
    wait_until(lambda: _refuses(running.port))
    answer = client.ask(ask_json(1, 2))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert client.is_closed()
    # Who asks no more holds up nothing.
    wait_until(lambda: is_ended(silent))


@pytest.mark.parametrize("part", ["the head", "the body"])
def test_a_server_that_ends_answers_a_request_that_came_in_part(
    serve: Serve, double: Json, part: str
) -> None:
    running = serve(double)
    client = running.connect()
    request = post(ask_json(1, 2))
    cut = 20 if part == "the head" else len(request) - 5
    client.send(request[:cut])
    running.end()
    wait_until(lambda: _refuses(running.port))
    # Longer than a connection stays that asks for nothing.
    time.sleep(1.5)
    client.send(request[cut:])
    answer = client.read()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert client.is_closed()


def _refuses(port: int) -> bool:
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) != 0
