"""Sends calls to one server: kept connections, bounded in time and bytes, with the server's own words in errors."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Final, cast

import orjson
from graphc_components.servers import SERVERS, place_variable

from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.limits import read_limits
from graphc_runtimes.region import ServerNode
from graphc_runtimes.servers.dialect import Answer, Call
from graphc_runtimes.servers.plain_http import PlainHttp
from graphc_runtimes.servers.secure_http import SecureHttp
from graphc_runtimes.servers.transport import Bounds, Transport, TransportError

USUAL_S: Final = 60.0
"""How long a server may take where neither the node nor the graph says."""
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "graphc"}
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
        limits, url = read_limits(), where_is(node)
        bounds = Bounds(allowed_s, limits.max_body, limits.max_head)
        is_secure = url.lower().startswith("https:")
        self._transport: Transport = SecureHttp(url, bounds) if is_secure else PlainHttp(url, bounds)

    def send(self, call: Call) -> Answer:
        """Return what the server answers with success; raises ServerFaultError."""
        answer = self._exchange(call)
        if answer.status // 100 != 2:
            said = say_error(answer.body)
            told = f"({self._title}) answered {answer.status}"
            raise ServerFaultError(f"{told}: {said}" if said else told, told)
        return answer

    def _exchange(self, call: Call) -> Answer:
        headers = {**_HEADERS, **call.headers}
        if (token := self._find_token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            return self._transport.exchange(call.path, call.body, headers)
        except TransportError as error:
            told = f"({self._title}) {error}"
            raise ServerFaultError(told, told) from None


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
