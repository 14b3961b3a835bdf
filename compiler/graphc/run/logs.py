"""The part of a unit's log that says why it ended."""

from pathlib import Path
from typing import Final

LINES: Final = 20
MAX_BYTES: Final = 256 * 1024
_SAID: Final = "graphc: "
_TRACEBACK: Final = "Traceback (most recent call last):"


def read_tail(log: Path, start: int = 0) -> str:
    """Return the last lines since a place in the log, indented."""
    return _indent(_read(log, start)[-LINES:])


def read_cause(log: Path, start: int = 0) -> str:
    """Return what a unit says of its end since a place in the log, else its first traceback, else the last lines."""
    lines = _read(log, start)
    said = [line for line in lines if line.startswith(_SAID)]
    if said:
        return _indent(said[-1:])
    # MLServer goes on to shut down in an orderly way, with tracebacks of its own, after what really happened.
    first = next((index for index, line in enumerate(lines) if line.endswith(_TRACEBACK)), None)
    if first is None:
        return _indent(lines[-LINES:])
    ends = (index for index, line in enumerate(lines) if index > first and line[:1].strip())
    return _indent(lines[first : next(ends, len(lines)) + 1][-LINES:])


def _read(log: Path, start: int) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - MAX_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _indent(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
