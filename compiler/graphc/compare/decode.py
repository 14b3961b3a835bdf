"""Turn an answer's bytes into tensors, trusting nothing of them."""

import json
import zlib
from typing import Final, cast

from graphc.client.answer import read_answer, read_raw_tensor, read_tensor
from graphc.client.failure import InferError
from graphc.client.tensor import Tensor
from graphc.compare.observer import Seen

MOST_BYTES: Final = 1 << 20
"""A larger answer is not compared: reading it would hold the interpreter for longer than the live path may wait."""

Tensors = dict[str, Tensor]


class DecodeError(ValueError):
    """An answer cannot be compared; the message is the kind of its fault."""


def decode_answer(seen: Seen) -> Tensors:
    """Return an answer's tensors by name; raises DecodeError."""
    if len(seen.body) > MOST_BYTES:
        raise DecodeError("too large")
    body = _decompress(seen.body) if seen.content_encoding not in {"", "identity"} else seen.body
    try:
        tensors = _read(body, seen.header_length)
    except (InferError, UnicodeDecodeError) as error:
        raise DecodeError("unreadable") from error
    named = {each.name: each for each in tensors}
    if len(named) != len(tensors):
        raise DecodeError("unreadable")
    return named


def read_parameter(body: bytes, name: str) -> str | None:
    """Return a request parameter as text; None where the request has none of that name, or cannot be read."""
    if len(body) > MOST_BYTES:
        return None
    try:
        request = cast("object", json.loads(body))
    except (ValueError, RecursionError):
        return None
    parameters = cast("dict[str, object]", request).get("parameters") if isinstance(request, dict) else None
    value = cast("dict[str, object]", parameters).get(name) if isinstance(parameters, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _decompress(body: bytes) -> bytes:
    machine = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = machine.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise DecodeError("unreadable") from error
    if len(plain) > MOST_BYTES:
        raise DecodeError("too large")
    if not machine.eof:
        raise DecodeError("unreadable")
    return plain


def _read(body: bytes, header_length: int | None) -> tuple[Tensor, ...]:
    if header_length is None:
        return read_answer(body.decode()).tensors
    return tuple(_read_binary(body[: max(0, header_length)], body[max(0, header_length) :]))


def _read_binary(head: bytes, data: bytes) -> list[Tensor]:
    try:
        value = cast("object", json.loads(head))
    except (ValueError, RecursionError) as error:
        raise InferError("the answer is not JSON") from error
    outputs = cast("dict[str, object]", value).get("outputs") if isinstance(value, dict) else None
    if not isinstance(outputs, list):
        raise InferError("the answer is not V2")
    tensors: list[Tensor] = []
    for output in cast("list[object]", outputs):
        size = _binary_size(output)
        if size is None:
            tensors.append(read_tensor(output))
            continue
        if not 0 <= size <= len(data):
            raise InferError("the answer is cut short")
        tensors.append(read_raw_tensor(output, data[:size]))
        data = data[size:]
    return tensors


def _binary_size(output: object) -> int | None:
    parameters = cast("dict[str, object]", output).get("parameters") if isinstance(output, dict) else None
    size = (
        cast("dict[str, object]", parameters).get("binary_data_size")
        if isinstance(parameters, dict)
        else None
    )
    return size if isinstance(size, int) and not isinstance(size, bool) else None
