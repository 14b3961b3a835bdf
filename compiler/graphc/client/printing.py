"""Write what a server answered for people to read: whole, and harmless to the terminal."""

import json
import re
from typing import Final, cast

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MAX_MESSAGE: Final = 500


def write_json(text: str) -> str:
    """Lay JSON out in lines, with a list of plain values on one; a text that is no JSON stays as it is."""
    try:
        return _write(cast("object", json.loads(text)), "")
    except (ValueError, RecursionError):
        return "\n".join(map(clean, text.splitlines()))


def clean(text: str) -> str:
    """Return one line without anything that would steer a terminal."""
    return _CONTROL.sub("\ufffd", text.replace("\n", " ").replace("\t", " "))


def shorten(text: str) -> str:
    """Return a clean line of at most `MAX_MESSAGE` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}…"


def _write(value: object, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value).items()
        if not fields:
            return "{}"
        lines = [f"{deeper}{_scalar(key)}: {_write(each, deeper)}" for key, each in fields]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list):
        items = cast("list[object]", value)
        if any(isinstance(each, dict | list) for each in items):
            return "[\n" + ",\n".join(deeper + _write(each, deeper) for each in items) + f"\n{indent}]"
        return "[" + ", ".join(map(_scalar, items)) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    # JSON escapes what steers a terminal, but for the characters above ASCII.
    return _CONTROL.sub("\ufffd", json.dumps(value, ensure_ascii=False))
