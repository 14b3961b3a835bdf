"""Which of a client's headers go on to the units."""

import uuid
from collections.abc import Iterable
from typing import Final

Headers = tuple[tuple[str, str], ...]

PUID: Final = "Seldon-Puid"
"""The request's own id: made up where the client sends none, sent to every unit and back."""

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# These describe the client's body; the units get the engine's.
_OF_THE_BODY: Final = frozenset(
    {"content-encoding", "content-length", "content-type", "inference-header-content-length"}
)


def forward(headers: Iterable[tuple[str, str]]) -> tuple[str, Headers]:
    """Return the request's id and the headers to send to every unit, the id among them."""
    # A value that is not UTF-8 can be read, and not written again.
    given = tuple((name, value.encode("utf-8", "replace").decode()) for name, value in headers)
    puid = next((value for name, value in given if name.lower() == PUID.lower() and value), "")
    dropped = _HOP_BY_HOP | _OF_THE_BODY | _named_by_connection(given)
    kept = tuple((name, value) for name, value in given if name.lower() not in dropped)
    if puid:
        return puid, kept
    puid = str(uuid.uuid4())
    return puid, (*(pair for pair in kept if pair[0].lower() != PUID.lower()), (PUID, puid))


def of_the_body(headers: Headers) -> Headers:
    """Return what a client's headers say of its body, its length apart."""
    return tuple(pair for pair in headers if pair[0].lower() in _OF_THE_BODY - {"content-length"})


def read_headers(head: bytes) -> Headers:
    """Return the headers of an answer's head, without those of its connection and its length."""
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    pairs = tuple(
        (name.decode("latin-1").strip(), value.decode("latin-1").strip()) for name, _, value in lines
    )
    dropped = _HOP_BY_HOP | _named_by_connection(pairs) | {"content-length", "date"}
    return tuple(pair for pair in pairs if pair[0] and pair[0].lower() not in dropped)


def _named_by_connection(headers: Headers) -> frozenset[str]:
    values = (value for name, value in headers if name.lower() == "connection")
    return frozenset(part.strip().lower() for value in values for part in value.split(","))
