"""The targets of requests, as the segments of their paths."""

import urllib.parse
from typing import Final

import httptools

_LONGEST: Final = 2048


def split_path(url: bytes, root: str = "") -> tuple[str, ...] | None:
    """Return the decoded segments of a target's path, below a root; None for a target that is no path.

    An encoded slash stays within its segment. A slash at the end is passed over.
    """
    if len(url) > _LONGEST:
        return None
    try:
        raw = httptools.parse_url(url).path or b""
        text = raw.decode("ascii")
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        return None
    if root and text.startswith(root):
        text = text[len(root) :]
    if not text.startswith("/"):
        return None
    parts = text[1:].split("/")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    return tuple(urllib.parse.unquote(part, errors="replace") for part in parts)
