"""The outermost door of every request: an unexpected error is told by an id, and logged without what a client sent."""

import logging
import secrets
import traceback
from typing import Final

_LOG: Final = logging.getLogger("graphc.engine")


def note_fault(where: str, fault: BaseException) -> str:
    """Log an unexpected error without its text, which may hold a payload; return what the client is told."""
    identity = secrets.token_hex(8)
    places = [
        f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(fault.__traceback__)
    ]
    _LOG.error(
        "%s failed: %s at %s (id %s)", where, type(fault).__name__, " < ".join(places[::-1][:12]), identity
    )
    return f"an unexpected failure; the log has it under id {identity}"
