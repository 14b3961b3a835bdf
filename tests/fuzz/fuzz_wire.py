"""Readers of what comes over a wire from strangers, but for a unit's own: answers, requests at a front, events."""

import io
import json
from collections.abc import Iterator
from typing import cast

from fuzz_words import check_error, v2_seeds


def check_http_answer(data: bytes) -> None:
    """Bytes of a unit are an answer, too little of one, or no HTTP; how they are cut changes nothing."""
    from graphc.http1 import ResponseReader, WireError

    def read(pieces: Iterator[bytes]) -> object:
        reader = ResponseReader()
        try:
            for piece in pieces:
                if (found := reader.feed(piece)) is not None:
                    # What follows an answer says that its connection is not to be kept, whenever it comes.
                    return found.status, found.body, found.keeps and not any(pieces)
            return "more"
        except WireError:
            return "no HTTP"

    whole = read(iter([data]))
    single = read(data[at : at + 1] for at in range(len(data)))
    # Bytes behind an answer are seen only if they come with it.
    assert whole == single or (whole == "no HTTP" and isinstance(single, tuple)), (whole, single)


def http_seeds() -> list[bytes]:
    """Return answers of every framing."""
    return [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nt: 1\r\n\r\n",
        b"HTTP/1.0 500 No\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    ]


def check_executor_json(data: bytes) -> None:
    """JSON on its way through the engine is read and written again, or refused as the executor refuses it."""
    from graphc.engine import wire_json

    accepted = wire_json.check(data)
    try:
        value = wire_json.decode(data)
    except wire_json.WireError as error:
        check_error(error)
        return
    assert accepted
    written = wire_json.encode(value)
    assert wire_json.encode(wire_json.decode(written)) == written


def check_front_request(data: bytes) -> None:
    """A request at the engine's front becomes a plain message, or an error in a few words."""
    from graphc.engine.binary import RequestError, read_request

    head, mark, rest = data.partition(b"|")
    length = head.decode("latin-1") if mark and len(head) < 30 else None
    body = rest if mark else data
    for given in (None, length):
        try:
            message, _ = read_request(body, given, "application/json")
        except RequestError as error:
            check_error(error)
            continue
        # As the executor does, it passes bytes on that are no UTF-8; units refuse them.
        assert isinstance(json.loads(message.body.decode("utf-8", "replace")), dict)


def check_grpc_message(data: bytes) -> None:
    """A gRPC request becomes V2 JSON, or an error in a few words; V2 JSON becomes a gRPC answer, or an error."""
    from google.protobuf.message import DecodeError
    from graphc.engine.binary import RequestError
    from graphc.engine.grpc_convert import AnswerError, to_json, to_model_facts, to_response
    from graphc.engine.proto import InferRequest, message_class

    for raw in (False, True):
        try:
            to_response(data, raw=raw)
        except AnswerError as error:
            check_error(error)
    try:
        to_model_facts(data)
    except AnswerError as error:
        check_error(error)
    try:
        request = message_class("ModelInferRequest").FromString(data)
    except DecodeError:
        return
    try:
        assert isinstance(json.loads(to_json(cast("InferRequest", request))), dict)
    except RequestError as error:
        check_error(error)


def grpc_seeds() -> list[bytes]:
    """Return requests with typed and with raw contents, and an answer as JSON."""
    from graphc.engine.proto import message_class

    found = list[bytes]()
    for raw in (False, True):
        request = cast("dict[str, object]", message_class("ModelInferRequest")())
        for name, datatype, contents in (("x", "FP32", "fp32_contents"), ("t", "BYTES", "bytes_contents")):
            tensor = request.inputs.add()  # pyright: ignore
            tensor.name, tensor.datatype = name, datatype  # pyright: ignore
            tensor.shape.extend([2])  # pyright: ignore
            if raw:
                request.raw_input_contents.append(b"\x01\0\0\0a\x01\0\0\0b")  # pyright: ignore
            else:
                values = [b"a", b"b"] if datatype == "BYTES" else [1.5, 2.0]
                getattr(tensor.contents, contents).extend(values)  # pyright: ignore
        found.append(request.SerializeToString())  # pyright: ignore
    return found + v2_seeds("outputs")


def check_client_answer(data: bytes) -> None:
    """An answer to a client of graphc's own is tensors, or an error in a few words."""
    from graphc.client.answer import read_answer, read_error, read_types
    from graphc.client.failure import InferError
    from graphc.client.printing import write_json
    from graphc.client.table import print_table
    from rich.console import Console

    text = data.decode("utf-8", "replace")
    check_error(read_error(text))
    write_json(text)
    try:
        answer = read_answer(text)
    except InferError as error:
        check_error(error)
        return
    print_table(answer.tensors, Console(file=io.StringIO(), width=200))
    try:
        read_types(cast("dict[str, object]", json.loads(text)).get("outputs"))
    except ValueError:
        return


def check_cloud_event(data: bytes) -> None:
    """A post to the comparing service is an event, or refused; what it holds is compared, or counted as a fault."""
    from graphc.compare.decode import DecodeError, decode_answer, read_parameter
    from graphc.compare.intake import EventError, Intake, IntakeLimits, read_event
    from graphc.compare.observer import Seen

    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(":") for line in head.decode("latin-1").splitlines())
    headers = {name.strip().title(): value.strip() for name, _, value in lines}
    found = list[Seen]()

    class Watcher:
        def observe(self, seen: Seen) -> None:
            found.append(seen)

        def close(self) -> None:
            found.clear()

    intake = Intake(Watcher(), IntakeLimits(seconds=0))
    try:
        intake.take(read_event(headers, body, shadow=False), 0.0)
    except EventError as error:
        check_error(error)
        return
    intake.expire(1.0)
    for seen in found:
        read_parameter(seen.asked, "tier")
        try:
            decode_answer(seen)
        except DecodeError as error:
            check_error(error)


def event_seeds() -> list[bytes]:
    """Return an event of each kind."""
    names = {"Ce-Requestid": "r", "Ce-Inferenceservicename": "g", "Ce-Endpoint": "main", "Ce-Namespace": "n"}
    found = list[bytes]()
    for kind, body in (("request", v2_seeds("inputs")[0]), ("response", v2_seeds("outputs")[0])):
        headers = names | {
            "Ce-Type": f"io.seldon.serving.inference.{kind}",
            "Ce-Time": "2026-01-02T03:04:05.000000006Z",
        }
        text = "\n".join(f"{name}: {value}" for name, value in headers.items())
        found.append(text.encode() + b"\n\n" + body)
    return found
