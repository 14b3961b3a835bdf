"""Say what a run does: a live line on a terminal, plain lines elsewhere; everything to standard error."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from graphc.diagnostics.printable import printable


class RunConsole:
    """Where a run reports to."""

    def __init__(self) -> None:
        plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
        self._console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
        self._live = not plain

    def say(self, line: str) -> None:
        """Write one line, or several; what would command the terminal is shown as an escape."""
        self._console.print(Text(_shown(line)))

    @contextmanager
    def waiting(self, what: str) -> Generator[None]:
        """Show that something takes its time."""
        if not self._live:
            self.say(what)
            yield
            return
        with self._console.status(escape(_shown(what))):
            yield

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table: ruled on a terminal, columns of text elsewhere."""
        if not self._live:
            self.say(_align([headers, *rows]))
            return
        table = Table(*headers, highlight=False)
        for row in rows:
            table.add_row(*(escape(_shown(cell)) for cell in row))
        self._console.print(table)


def _shown(text: str) -> str:
    # Units' logs have tabs.
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
