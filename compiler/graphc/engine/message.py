"""The messages between units: passed as bytes, re-encoded where `outputs` become `inputs`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from graphc.engine.heads import Pairs
from graphc.engine.limits import MAX_ANSWER
from graphc.engine.unpacking import TooLargeError, UnpackError, unpack
from graphc.engine.wire_json import WireError, check, decode, encode, escape_html
from graphc.source.located import Plain

JSON_TYPE: Final = "application/json"
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """How a client asked what a unit is asked in the same way: the method, the path, and the headers of the body."""

    method: str
    path: str
    headers: Pairs


@dataclass(slots=True, eq=False)
class Message:
    """A body with its headers; remembers its chained form, which parallel children all ask for."""

    body: bytes
    content_type: str = JSON_TYPE
    content_encoding: str = ""
    asked: Asked | None = None
    """Where the only unit of a graph is asked what the client asked, in the client's own way."""
    _chained: "Message | None" = field(default=None, repr=False)

    def chained(self) -> "Message":
        """Return the message as the next unit's request; raises WireError."""
        if self._chained is None:
            self._chained = _chain(self)
        return self._chained

    @property
    def is_request(self) -> bool:
        """Whether it is known to hold `inputs`."""
        return self._chained is self

    def known_request(self) -> "Message":
        """Return the message; the caller knows that it holds `inputs`."""
        self._chained = self
        return self


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with its message."""

    status: int
    message: Message
    headers: Pairs | None = None
    """The headers of the unit that alone has answered: the client gets them as they are."""

    def for_client(self) -> "Answer":
        """Return the answer as the executor writes it: escaped for HTML unless it is compressed.

        An error that is no JSON object, or a long one, is a server's own words: they stay here.
        """
        if self.headers is not None and (self.status < 400 or _is_told(self.message)):
            return self
        if self.status >= 400 and not _is_told(self.message):
            return v2_error(
                f"a unit answered with status {self.status} and no error that can be passed on", self.status
            )
        if self.message.content_encoding:
            return self
        return Answer(self.status, Message(escape_html(self.message.body), self.message.content_type))


MAX_ERROR: Final = 4096
"""The bytes that an error may have."""
_MAX_TEXT: Final = 1000


def _is_told(message: Message) -> bool:
    if message.content_encoding or len(message.body) > MAX_ERROR:
        return False
    try:
        return isinstance(decode(message.body), dict)
    except WireError:
        return False


def executor_error(info: str, status: int = 500) -> Answer:
    """Return the answer that the executor gives where it fails itself."""
    body: Plain = {"status": {"code": 500.0, "info": _shorten(info), "status": "FAILURE"}}
    return Answer(status, Message(encode(body)))


def v2_error(text: str, status: int) -> Answer:
    """Return an error in the form of the V2 protocol."""
    return Answer(status, Message(encode({"error": _shorten(text)})))


def _shorten(text: str) -> str:
    # What stands in it of a client's or a unit's may be long.
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def combine(messages: Sequence[Message]) -> Message:
    """Return the array of the messages that a combiner gets; raises WireError."""
    # A compressed message is not JSON either: the executor decompresses for chaining only.
    if not all(check(message.body) for message in messages):
        raise WireError("Data is not JSON")
    return Message(b"[" + b",".join(each.body for each in messages) + b"]", messages[0].content_type)


def read_route(message: Message) -> int:
    """Read a router's answer: an array of integers, or a Seldon message that holds one; raises WireError."""
    value = decode(message.body)
    if isinstance(value, dict):
        return _route_of_seldon_message(value)
    if not isinstance(value, list):
        raise WireError(f"json: cannot unmarshal {_kind(value)} into Go value of type []int")
    routes = [_route(item) for item in _with_number_texts(message.body)]
    if not routes:
        raise WireError("the router answered an empty list")
    return routes[0]


def decompress(message: Message) -> bytes:
    """Return the body as it was before compression; raises WireError."""
    if message.content_encoding != "gzip":
        return message.body
    return gunzip(message.body)


def gunzip(data: bytes, limit: int = MAX_ANSWER) -> bytes:
    """Decompress gzip; raises WireError."""
    try:
        return unpack(data, "gzip", limit)
    except TooLargeError as error:
        raise WireError(f"gzip: {error}") from error
    except UnpackError as error:
        raise WireError("gzip: invalid header") from error


def _chain(message: Message) -> Message:
    value = decode(decompress(message))
    if not isinstance(value, dict):
        raise WireError("the message is not a JSON object, so it cannot be chained to the next unit")
    if "inputs" in value:
        return message
    if "outputs" not in value:
        raise WireError("Failed to convert kfserving response so it could be chained to new input")
    value["inputs"] = value.pop("outputs")
    return Message(encode(value), message.content_type).known_request()


class _NumberText(str):
    """A number as it was written: the executor takes `1` for a route and refuses `1.0`."""

    __slots__ = ()


def _with_number_texts(body: bytes) -> list[Plain]:
    text = body.decode("utf-8", "replace")
    values: list[Plain] = json.loads(text, parse_int=_NumberText, parse_float=_NumberText)
    return values


def _route(value: Plain) -> int:
    if value is None:
        return 0
    kind = _kind(value)
    if isinstance(value, _NumberText):
        if _INTEGER.match(value) and abs(int(value)) < 2**63:
            return int(value)
        kind = f"number {value}"
    raise WireError(f"json: cannot unmarshal {kind} into Go value of type int")


def _route_of_seldon_message(value: dict[str, Plain]) -> int:
    data = value.get("data")
    if isinstance(data, dict):
        rows = data.get("ndarray")
        tensor = data.get("tensor")
        rows = tensor.get("values") if rows is None and isinstance(tensor, dict) else rows
        first = rows[0] if isinstance(rows, list) and rows else None
        first = first[0] if isinstance(first, list) and first else first
        if isinstance(first, float):
            return int(first)
    raise WireError("json: cannot unmarshal object into Go value of type []int")


def _kind(value: Plain) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case float() | int():
            return "number"
        case list():
            return "array"
        case None:
            return "null"
        case dict():
            return "object"
