"""Sends calls to one server: kept connections, bounded in time and bytes, with the server's own words in errors."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import orjson
import urllib3
from graphc_components.servers import SERVERS, place_variable

from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.limits import read_limits
from graphc_runtimes.region import ServerNode
from graphc_runtimes.servers.dialect import Answer, Call

USUAL_S: Final = 60.0
"""How long a server may take where neither the node nor the graph says."""
_CONNECT_S: Final = 5.0
_KEPT: Final = 64
"""Connections that are kept for later calls; more are made where more calls go at once."""
_PIECE: Final = 2**16
_LONGEST: Final = 500
"""As much of what a server says of an error is passed on."""
_WORDS: Final = ("error", "message", "detail", "info", "msg", "reason", "status")
"""Where servers' JSON says what is wrong, from the first that is looked for."""


def where_is(node: ServerNode) -> str:
    """Return the URL of a node's server: a run on one machine has it elsewhere than the cluster."""
    return os.environ.get(place_variable(node.at)) or node.url


class Connection:
    """Calls one server, from any thread."""

    def __init__(
        self, node: ServerNode, find_token: Callable[[], str | None], allowed_s: float = USUAL_S
    ) -> None:
        self._title = SERVERS[node.server].title
        self._find_token = find_token
        self._allowed_s = allowed_s
        self._most = read_limits().max_body
        url = where_is(node)
        self._root = urlsplit(url).path.rstrip("/")
        timeout = urllib3.Timeout(connect=min(_CONNECT_S, allowed_s), read=allowed_s)
        self._pool = urllib3.connection_from_url(
            url, maxsize=_KEPT, block=False, timeout=timeout, retries=False
        )

    def send(self, call: Call) -> Answer:
        """Return what the server answers with success; raises ServerFaultError."""
        answer = self._exchange(call)
        if answer.status // 100 != 2:
            said = say_error(answer.body)
            told = f"({self._title}) answered {answer.status}"
            raise ServerFaultError(f"{told}: {said}" if said else told, told)
        return answer

    def _exchange(self, call: Call) -> Answer:
        until = time.monotonic() + self._allowed_s
        headers = {"Accept-Encoding": "identity", "User-Agent": "graphc", **call.headers}
        if (token := self._find_token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = self._pool.urlopen(
                "GET" if call.body is None else "POST",
                self._root + call.path,
                call.body,
                headers,
                redirect=False,
                preload_content=False,
            )
            try:
                body = self._read(response, until)
            except BaseException:
                # What is left of the answer would be taken for the next one.
                response.close()
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._fault(_say_failure(error)) from None
        names = cast("Mapping[str, str]", response.headers)
        return Answer(response.status, {name.lower(): value for name, value in names.items()}, body)

    def _fault(self, what: str) -> ServerFaultError:
        told = f"({self._title}) {what}"
        return ServerFaultError(told, told)

    def _read(self, response: urllib3.BaseHTTPResponse, until: float) -> bytes:
        pieces: list[bytes] = []
        left = self._most
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise self._fault(f"answered with more than {self._most} bytes")
            if time.monotonic() > until:
                raise self._fault("did not finish its answer in time")
        return b"".join(pieces)


def _say_failure(error: Exception) -> str:
    """Say what became of a call, without the address that it was for: clients read it."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "has a name that cannot be resolved"
        case urllib3.exceptions.SSLError():
            return "has no certificate that is trusted here"
        # It is a kind of timeout to urllib3.
        case urllib3.exceptions.NewConnectionError():
            return "refuses connections"
        case urllib3.exceptions.ConnectTimeoutError():
            return "cannot be reached in time"
        case urllib3.exceptions.TimeoutError():
            return "gave no answer in time"
        case urllib3.exceptions.ProtocolError():
            return "closed the connection before its answer was whole"
        case _:
            return "answered with something that is not HTTP"


def say_error(body: bytes) -> str:
    """Return what a server says of an error: the text of its JSON, or the line of its text that says what is wrong."""
    text = ""
    with contextlib.suppress(orjson.JSONDecodeError):
        text = _find_words(orjson.loads(body), 0)
    if not text and body.lstrip()[:1] not in (b"<", b"{", b"["):
        text = _choose_line(body.decode("utf-8", "replace"))
    cleaned = "".join(each if each.isprintable() else " " for each in text[: 2 * _LONGEST])
    return " ".join(cleaned.split())[:_LONGEST]


def _choose_line(text: str) -> str:
    """Return the first line of a text; the last one of a traceback, which MLServer answers with."""
    lines = text.strip().split("\n")
    return lines[-1 if lines[0].startswith("Traceback ") else 0]


def _find_words(value: object, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth > 4:
        return ""
    if isinstance(value, list):
        return next(
            (found for each in cast("list[object]", value) if (found := _find_words(each, depth + 1))), ""
        )
    if isinstance(value, dict):
        return _find_in_fields(cast("dict[str, object]", value), depth)
    return ""


def _find_in_fields(fields: Mapping[str, object], depth: int) -> str:
    found = next((words for name in _WORDS if (words := _find_words(fields.get(name), depth + 1))), "")
    detail = _find_words(fields.get("detail"), depth + 1)
    if detail and detail != found:
        # BentoML counts what pydantic found wrong in `error`, and says what that is in `detail`.
        found = f"{found}: {detail}"
    place = fields.get("loc")
    last = cast("list[object]", place)[-1] if isinstance(place, list) and place else None
    return f"{last}: {found}" if found and isinstance(last, str) else found
