"""Diagnostics as text for a terminal, each with the line of the file that it is about."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from graphc.diagnostics.diagnostic import Diagnostic, Severity, Span
from graphc.diagnostics.printable import conceal_in_place, escape, printable

WIDTH: Final = 100
"""Columns of a source line that are shown; a longer one is cut around the place."""
TAB: Final = 4
"""Columns that a tab takes, wherever it stands."""
_LEAD: Final = 30
"""Columns shown before the place where the start of a line is cut off."""

_STYLES: Final = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "frame": "\x1b[1;34m", "bold": "\x1b[1m"}
_RESET: Final = "\x1b[0m"


class _Paint:
    """Puts colours around words, or leaves them alone."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._color and text else text


class _Lines:
    """The lines of files, split once and only where a diagnostic shows one."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._split: dict[str, list[str]] = {}
        self._shown: dict[tuple[str, int], str] = {}

    def find(self, at: Span) -> str | None:
        """Return the first line of a place, if its file's text is known and has it."""
        if at.file not in self._sources:
            return None
        if at.file not in self._split:
            text = self._sources[at.file].removeprefix("\ufeff")
            self._split[at.file] = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines = self._split[at.file]
        if not 1 <= at.line <= len(lines):
            return None
        # A file of one long line may have thousands of faults: the line is gone through once.
        place = (at.file, at.line)
        if place not in self._shown:
            self._shown[place] = conceal_in_place(lines[at.line - 1])
        return self._shown[place]


def render_text(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], *, color: bool) -> str:
    """Return the diagnostics as text that ends with a summary; nothing where there are none."""
    if not diagnostics:
        return ""
    paint, lines = _Paint(color=color), _Lines(sources)
    blocks = ["\n".join(_block(each, lines, paint)) for each in diagnostics]
    return "\n\n".join([*blocks, summarize(diagnostics)]) + "\n"


def render_block(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    """Return one diagnostic as text, without a summary and without colours."""
    return "\n".join(_block(diagnostic, _Lines(sources), _Paint(color=False)))


def summarize(diagnostics: Iterable[Diagnostic]) -> str:
    """Return how many errors and warnings there are, in words."""
    severities = [each.severity for each in diagnostics]
    counts = [(severities.count(each), each.value) for each in Severity]
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)


def _block(each: Diagnostic, lines: _Lines, paint: _Paint) -> list[str]:
    severity = each.severity.value
    title = paint(severity, f"{severity}[{each.rule.code}]") + paint("bold", f": {printable(each.message)}")
    margin = " " * len(str(each.at.line)) if each.at else " "
    block = [title]
    if each.at is not None:
        arrow = paint("frame", f"{margin}-->")
        block.append(f"{arrow} {printable(each.at.file)}:{each.at.line}:{each.at.column}")
        if (line := lines.find(each.at)) is not None:
            block += _excerpt(each.at, line, severity, paint)
    if each.help:
        block.append(f"{paint('frame', f'{margin} =')} {paint('bold', 'help')}: {printable(each.help)}")
    return block


def _excerpt(at: Span, line: str, severity: str, paint: _Paint) -> list[str]:
    number = str(at.line)
    empty = paint("frame", " " * len(number) + " |")
    shown, indent, width = _cut(line, *_reach(at, line))
    marked = f"{empty} {' ' * indent}{paint(severity, '^' * width)}"
    return [empty, f"{paint('frame', f'{number} |')} {shown}".rstrip(" "), marked]


def _reach(at: Span, line: str) -> tuple[int, int]:
    """Return the place on its first line as indices; at least one character, which may be past the end."""
    start = min(at.column - 1, len(line))
    end = at.end_column - 1 if at.end_line == at.line else len(line.rstrip())
    return start, max(start + 1, min(end, len(line)))


def _cut(line: str, start: int, end: int) -> tuple[str, int, int]:
    """Return what is shown of a line, the columns before the place in it, and the place's columns."""
    first = 0 if _fits(line, end) else _lead(line, start)
    shown = _take(line, first)
    lead = "…" if first else ""
    tail = "…" if first + len(shown) < len(line) else ""
    indent = sum(map(_width, shown[: start - first]))
    marked = sum(map(_width, shown[start - first : end - first]))
    return lead + "".join(shown) + tail, len(lead) + indent, max(1, marked)


def _fits(line: str, end: int) -> bool:
    return end <= WIDTH and sum(_width(_cell(each)) for each in line[:end]) <= WIDTH


def _lead(line: str, start: int) -> int:
    """Return where to start showing a line, so that its place is seen with something before it."""
    first, columns = start, 0
    while first > 0 and columns < _LEAD:
        first -= 1
        columns += _width(_cell(line[first]))
    return first


def _take(line: str, first: int) -> list[str]:
    """Return the cells of a line from there on, as many as there is room for."""
    cells: list[str] = []
    room = WIDTH
    for character in line[first : first + WIDTH]:
        cell = _cell(character)
        room -= _width(cell)
        if room < 0:
            break
        cells.append(cell)
    return cells


def _cell(character: str) -> str:
    """Return how a character is shown; a terminal must never get a control character of the user's."""
    return " " * TAB if character == "\t" else escape(character)


def _width(cell: str) -> int:
    if len(cell) != 1 or cell.isascii():
        return len(cell)
    if unicodedata.combining(cell):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1
