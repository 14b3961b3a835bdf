"""Opens regular files and nothing else: a pipe would be waited for, and a device may never end."""

import io
import os
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)


class NoFileError(OSError):
    """There is something of that name, and it is no file whose content can be read."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file; raises OSError. Nothing else is read from, or waited for."""
    if "\0" in str(path):
        raise FileNotFoundError
    # To open some devices does something already.
    _refuse_others(path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _refuse_others(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_others(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "thing of another kind")
        raise NoFileError(f"a {kind}")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; raises OSError."""
    with open_regular(path) as file:
        return file.read()
