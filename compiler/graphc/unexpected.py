"""What becomes of an error that nobody expected: an id for whoever asked, and a line in the log under that id."""

import logging
import traceback
import uuid
from pathlib import Path
from typing import Final

_MOST_FRAMES: Final = 3


def note_unexpected(log: logging.Logger, what: str, error: BaseException) -> str:
    """Log an error by its kind and place, and return its id.

    The message is left out, of which parts may be what a client sent.
    """
    identity = uuid.uuid4().hex[:12]
    log.error("%s failed unexpectedly (id %s): %s at %s", what, identity, type(error).__name__, _place(error))
    return identity


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
