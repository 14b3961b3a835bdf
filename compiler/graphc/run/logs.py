"""Units' logs: what they say as they say it, and the part that tells why a unit ended."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

LINES: Final = 20
MAX_BYTES: Final = 256 * 1024
_SAID: Final = "graphc: "
_TRACEBACK: Final = "Traceback (most recent call last):"


_PAUSE_S: Final = 0.2
_CHUNK: Final = 1 << 20


async def follow_logs(logs: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Say each line of units' logs after its unit's title, until it is cancelled: then what is there once more."""
    places = dict.fromkeys(logs, 0)

    def look(*, at_end: bool = False) -> None:
        for title, log in logs.items():
            places[title] = _say_lines(title, log, places[title], say, at_end=at_end)

    try:
        while True:
            look()
            await asyncio.sleep(_PAUSE_S)
    finally:
        look(at_end=True)


def _say_lines(title: str, log: Path, start: int, say: Callable[[str], None], *, at_end: bool) -> int:
    """Say the whole lines since a place in a log, at the end the last one too; return the place behind them."""
    if not log.exists():
        return start
    with log.open("rb") as file:
        file.seek(start)
        while found := file.read(_CHUNK):
            # A line without an end is no reason to keep all of it.
            is_whole = at_end or (len(found) == _CHUNK and b"\n" not in found)
            said = found if is_whole else found[: found.rfind(b"\n") + 1]
            if not said:
                break
            start += len(said)
            file.seek(start)
            for line in said.decode(errors="replace").splitlines():
                say(f"{title} | {line}")
    return start


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
