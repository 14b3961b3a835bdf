"""Makes the request that a load repeats, and asks it once: what is not answered need not be measured."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import numpy as np

from graphc.bench.expect import compare_answers
from graphc.bench.failure import BenchError
from graphc.bench.job import Address, Closed, Job
from graphc.bench.transport import Done
from graphc.bench.worker import make_transport
from graphc.client.answer import read_error
from graphc.client.call import Call, Parameter
from graphc.client.failure import InferError
from graphc.client.infer import InferOptions, connect
from graphc.client.inputs import read_inputs
from graphc.client.rest import infer_path, write_tensor
from graphc.client.target import Target, parse_target, with_version
from graphc.client.tensor import Tensor, fit_tensor
from graphc.client.values import parse_json, tensors_of_json
from graphc.engine.binary import BINARY_TYPE, LENGTH_HEADER
from graphc.engine.raw import from_bytes, pack
from graphc.run.example import make_example

_ID: Final = "bench"
"""A server that makes up identities of its own would have no two answers alike."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the command line says of the request; `batch` rows, or as many as are given where it is None."""

    inputs: Sequence[str] = ()
    request: Path | None = None
    batch: int | None = None
    is_binary: bool = False
    model: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    timeout: float = 30.0
    expected: Path | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A target with the request it was asked, and what it answered."""

    name: str
    address: Address
    body: bytes
    rows: int
    answer: bytes
    answer_json: int | None
    """How much of the answer is JSON; all where it is None."""
    readable: tuple[bytes, int | None]
    """The answer as V2 JSON has it, to be compared with that of another target."""


def ask_target(text: str, question: Question) -> Subject:
    """Make the request for a target and have it answered; raises BenchError."""
    try:
        address, body, rows = asyncio.run(_make(text, question))
    except InferError as error:
        raise BenchError(str(error)) from error
    done = _ask_once(address, body, question.timeout)
    if done.failure:
        raise BenchError(f"{text} gives no answer: {done.failure}")
    readable = _readable(address, done)
    if not done.is_success:
        told = read_error(readable[0].decode(errors="replace")) if readable[0] else "no reason given"
        raise BenchError(f"{text} refused the request (status {done.status}): {told}")
    _check_expected(text, question, readable, rows)
    return Subject(text, address, body, rows, done.body, done.json_length, readable)


async def _make(text: str, question: Question) -> tuple[Address, bytes, int]:
    if urlsplit(text).scheme == "https":
        raise BenchError("https is not measured: name the address behind what ends TLS")
    if question.request is not None and _is_foreign(text):
        return _make_foreign(text, question)
    target = with_version(parse_target(text, question.model), question.version)
    options = InferOptions(question.inputs, {}, question.headers, question.timeout)
    async with connect(target, options) as caller:
        model = target.model or await caller.find_model()
        if question.request is not None and _is_verbatim(target, question):
            return _make_verbatim(target, model, question)
        wanted = await caller.read_inputs(model)
    parameters: Mapping[str, Parameter] = {}
    if question.request is not None:
        tensors = read_inputs([str(question.request)], wanted)
        parameters = _read_parameters(question.request)
    elif question.inputs:
        tensors = read_inputs(question.inputs, wanted)
    else:
        example = make_example(wanted)
        if example is None:
            raise BenchError("the model's inputs cannot be made up: give --input or --request")
        arrays = tensors_of_json(example)
        tensors = [fit_tensor(name, array, wanted[name]) for name, array in arrays.items()]
    tensors = [resize_rows(each, question.batch) for each in tensors]
    call = Call(model, tensors, parameters, target.version)
    rows = tensors[0].shape[0] if tensors and tensors[0].shape else 1
    return (*_write(target, call, question), rows)


def _is_foreign(text: str) -> bool:
    parts = urlsplit(text)
    steps = [step for step in parts.path.split("/") if step]
    return parts.scheme in {"http", ""} and bool(steps) and "v2" not in steps


def _is_verbatim(target: Target, question: Question) -> bool:
    return not target.grpc and question.batch is None and not question.is_binary


def _make_foreign(text: str, question: Question) -> tuple[Address, bytes, int]:
    parts = urlsplit(text)
    if question.batch is not None or question.is_binary:
        raise BenchError(
            f"`{text}` is no V2 address: its request is posted as it is, without --batch and --binary"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    body = _read(question.request)
    return _address(parts.netloc, path, _headers(question, len(body))), body, 1


def _make_verbatim(target: Target, model: str, question: Question) -> tuple[Address, bytes, int]:
    body = _read(question.request)
    fields = parse_json(body.decode(errors="replace"), f"`{question.request}`")
    if not isinstance(fields, dict):
        raise BenchError(f"`{question.request}` is no V2 request")
    request = cast("dict[str, object]", fields)
    inputs = cast("list[dict[str, object]]", request.get("inputs") or [{}])
    shape = cast("list[int]", inputs[0].get("shape") or [1])
    body = _dump({"id": _ID} | request)
    return _rest_address(target, model, question, len(body)), body, int(shape[0])


def _read(path: Path | None) -> bytes:
    assert path is not None
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error


def _read_parameters(path: Path) -> Mapping[str, Parameter]:
    fields = parse_json(_read(path).decode(errors="replace"), f"`{path}`")
    found = cast("dict[str, object]", fields).get("parameters") if isinstance(fields, dict) else None
    return cast("Mapping[str, Parameter]", found) if isinstance(found, dict) else {}


def resize_rows(tensor: Tensor, rows: int | None) -> Tensor:
    """Return a tensor with that many rows: its own, repeated or cut."""
    if rows is None or not tensor.shape:
        return tensor
    if not tensor.shape[0]:
        raise BenchError(f"input `{tensor.name}` has no rows to repeat")
    return replace(tensor, array=np.resize(tensor.array, (rows, *tensor.shape[1:])))


def _write(target: Target, call: Call, question: Question) -> tuple[Address, bytes]:
    if target.grpc:
        # gRPC is slow to import, and only its targets need it.
        from graphc.client.rpc import make_request
        from graphc.engine.proto import SERVICE

        request = make_request(call)
        request.id = _ID
        host, _, port = target.base.rpartition(":")
        pairs = tuple((name.lower(), value) for name, value in question.headers)
        return Address("grpc", host, int(port), f"/{SERVICE}/ModelInfer", pairs), request.SerializeToString()
    if question.is_binary:
        return _write_binary(target, call, question)
    fields: dict[str, object] = {"id": _ID, "inputs": [write_tensor(each) for each in call.tensors]}
    body = _dump(fields | ({"parameters": dict(call.parameters)} if call.parameters else {}))
    return _rest_address(target, call.model, question, len(body)), body


def _write_binary(target: Target, call: Call, question: Question) -> tuple[Address, bytes]:
    blobs = [_raw(each) for each in call.tensors]
    inputs = [
        {
            "name": each.name,
            "shape": each.shape,
            "datatype": each.datatype,
            "parameters": {"binary_data_size": len(blob)},
        }
        for each, blob in zip(call.tensors, blobs, strict=True)
    ]
    parameters = dict(call.parameters) | {"binary_data_output": True}
    head = _dump({"id": _ID, "inputs": inputs, "parameters": parameters})
    body = b"".join([head, *blobs])
    own = ((LENGTH_HEADER, str(len(head))),)
    return _rest_address(target, call.model, question, len(body), own, BINARY_TYPE), body


def _raw(tensor: Tensor) -> bytes:
    if tensor.datatype != "BYTES":
        return tensor.array.tobytes()
    values, content_type = from_bytes(cast("list[bytes]", tensor.array.ravel().tolist()))
    return pack("BYTES", values, content_type)


def _rest_address(
    target: Target,
    model: str,
    question: Question,
    length: int,
    own: tuple[tuple[str, str], ...] = (),
    content_type: str = "application/json",
) -> Address:
    base = urlsplit(target.base)
    path = f"{base.path}{infer_path(model, target.version)}"
    return _address(base.netloc, path, _headers(question, length, content_type) + own)


def _address(netloc: str, path: str, headers: tuple[tuple[str, str], ...]) -> Address:
    parts = urlsplit(f"http://{netloc}")
    return Address("http", parts.hostname or "", parts.port or 80, path, (("Host", netloc), *headers))


def _headers(
    question: Question, length: int, content_type: str = "application/json"
) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", content_type), ("Content-Length", str(length)), *question.headers)


def _dump(fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _ask_once(address: Address, body: bytes, timeout: float) -> Done:
    transport = make_transport(Job(address, body, Closed(1), 0, 0, timeout))
    try:
        transport.send(0)
        while True:
            for done in transport.poll(1.0):
                return done
    finally:
        transport.close()


def _readable(address: Address, done: Done) -> tuple[bytes, int | None]:
    if address.protocol != "grpc" or not done.is_success:
        return done.body, done.json_length
    from graphc.bench.grpc_answers import write_message

    return write_message(done.body), None


def _check_expected(text: str, question: Question, answer: tuple[bytes, int | None], rows: int) -> None:
    if question.expected is None:
        return
    wanted = _resize_expected(_read(question.expected), question, rows)
    if said := compare_answers(*answer, wanted, None):
        raise BenchError(f"{text} does not answer what `{question.expected}` expects: {said}")


def _resize_expected(wanted: bytes, question: Question, rows: int) -> bytes:
    """Repeat the rows of what is expected as those of the request were."""
    fields = parse_json(wanted.decode(errors="replace"), f"`{question.expected}`")
    if question.batch is None or not isinstance(fields, dict):
        return wanted
    outputs = cast("dict[str, object]", fields).get("outputs")
    for output in cast("list[dict[str, object]]", outputs) if isinstance(outputs, list) else ():
        shape = cast("list[int]", output.get("shape") or [])
        if shape and shape[0]:
            data = cast("list[object]", output["data"])
            width = len(data) // shape[0]
            output["data"] = [data[index % len(data)] for index in range(rows * width)]
            output["shape"] = [rows, *shape[1:]]
    return _dump(cast("object", fields))
