"""Reading a file's text, with a diagnostic where it cannot be read."""

import re
import sys
from pathlib import Path
from typing import BinaryIO, Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.reading import NOT_UTF8, TOO_LARGE, UNREADABLE_FILE
from graphc.diagnostics.printable import quoted
from graphc.records import record

LARGEST: Final = 8 * 1024 * 1024
"""Bytes; a graph of thousands of nodes takes a tenth of it."""
STDIN: Final = "<stdin>"

_LINE_BREAK: Final = re.compile(rb"\r\n|\r|\n")


@record
class Source:
    """The text of a file, under the name that diagnostics give it."""

    file: str
    text: str

    @property
    def is_python(self) -> bool:
        """Say whether the text is a Python file's, which builds graphs."""
        return self.file.endswith(".py")


def read_source(path: str, sink: Sink) -> Source | None:
    """Return a file's text, or standard input's for `-`; None where a diagnostic says why not."""
    file = STDIN if path == "-" else path
    data = _read_stdin() if path == "-" else _read_file(path, sink)
    if data is None:
        return None
    if len(data) > LARGEST:
        message = f"{quoted(file)} has more than {LARGEST // 1024**2} MiB"
        sink.report(Diagnostic(TOO_LARGE, message, help="keep models and data in files of their own"))
        return None
    text = _decode(data, file, sink)
    return None if text is None else Source(file, text)


def _read_stdin() -> bytes:
    return _read_some(sys.stdin.buffer)


def _read_file(path: str, sink: Sink) -> bytes | None:
    try:
        with Path(path).open("rb") as stream:
            return _read_some(stream)
    except FileNotFoundError:
        problem = "does not exist"
    except IsADirectoryError:
        problem = "is a folder, not a file"
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or 'unknown reason').lower()}"
    sink.report(Diagnostic(UNREADABLE_FILE, f"{quoted(path)} {problem}"))
    return None


def _read_some(stream: BinaryIO) -> bytes:
    # One byte more than allowed tells a file that is too large, and a device that never ends does not matter.
    return stream.read(LARGEST + 1)


def _decode(data: bytes, file: str, sink: Sink) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        sink.report(_not_utf8(error.object, error.start, file))
        return None


def _not_utf8(data: bytes, start: int, file: str) -> Diagnostic:
    breaks = list(_LINE_BREAK.finditer(data, 0, start))
    before = data[breaks[-1].end() if breaks else 0 : start].decode("utf-8-sig")
    line, column = len(breaks) + 1, len(before) + 1
    return Diagnostic(
        NOT_UTF8,
        f"the byte 0x{data[start]:02x} is not UTF-8",
        at=Span(file, line, column, line, column + 1),
        help="save the file as UTF-8",
    )
