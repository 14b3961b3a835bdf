"""What a server says of an error, in whatever form, as a line for whoever asked."""

import contextlib
from collections.abc import Mapping
from typing import Final, cast

import orjson

_LONGEST: Final = 500
"""As much of what a server says of an error is passed on."""
_WORDS: Final = ("error", "message", "detail", "info", "msg", "reason", "status")
"""Where servers' JSON says what is wrong, from the first that is looked for."""


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
