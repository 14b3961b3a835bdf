"""Shows a wait that may take long: on a terminal in one line that changes, elsewhere in a line now and then."""

import shutil
import sys
import time
from dataclasses import dataclass
from typing import Final

import click

LINE_SECONDS: Final = 15.0
"""How often a wait writes a line where no terminal shows its progress."""

_CLEAR: Final = "\r\x1b[2K"


@dataclass(slots=True)
class WaitingLine:
    """One wait, shown on standard error."""

    _last: float | None = None
    _is_open: bool = False

    def show(self, words: str) -> None:
        """Show how it stands."""
        if sys.stderr.isatty():
            width = max(20, shutil.get_terminal_size().columns - 1)
            click.echo(
                _CLEAR + (words if len(words) <= width else words[: width - 1] + "…"), nl=False, err=True
            )
            self._is_open = True
        elif self._last is None or time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            click.echo(words, err=True)

    def done(self) -> None:
        """Take the line away."""
        if self._is_open:
            click.echo(_CLEAR, nl=False, err=True)
        self._last, self._is_open = None, False
