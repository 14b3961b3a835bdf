"""What a problem is: a rule that was broken, a message, and the place in the file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from graphc.records import record


class Severity(StrEnum):
    """How bad a problem is: an error rejects the input, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Span(NamedTuple):
    """A stretch of a file; lines and columns count from 1, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@record
class Rule:
    """A rule of graphc, with the code that names it for good."""

    code: str
    name: str
    summary: str
    severity: Severity


def error(code: str, name: str, summary: str) -> Rule:
    """Return a rule whose breach rejects the input."""
    return Rule(code, name, summary, Severity.ERROR)


def warning(code: str, name: str, summary: str) -> Rule:
    """Return a rule whose breach is reported and tolerated."""
    return Rule(code, name, summary, Severity.WARNING)


@record
class Diagnostic:
    """One breach of one rule; `at` is None where no place in a file is to blame.

    What is `tolerated` is only warned of, though the rule rejects elsewhere.
    """

    rule: Rule
    message: str
    at: Span | None = None
    help: str | None = None
    tolerated: bool = False

    @property
    def severity(self) -> Severity:
        """Say how bad this breach is."""
        return Severity.WARNING if self.tolerated else self.rule.severity

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order by file, position, code and message; what has no place comes first."""
        if self.at is None:
            return ("", 0, 0, self.rule.code, self.message)
        return (self.at.file, self.at.line, self.at.column, self.rule.code, self.message)


@dataclass(slots=True)
class Sink:
    """Collects diagnostics; equal ones are kept once."""

    _diagnostics: dict[Diagnostic, None] = field(default_factory=dict[Diagnostic, None])

    def report(self, diagnostic: Diagnostic) -> None:
        """Add one diagnostic."""
        self._diagnostics[diagnostic] = None

    def __iter__(self) -> Iterator[Diagnostic]:
        """Yield the diagnostics sorted by position."""
        return iter(sorted(self._diagnostics, key=lambda each: each.sort_key))

    def __len__(self) -> int:
        """Return how many diagnostics there are."""
        return len(self._diagnostics)

    @property
    def has_errors(self) -> bool:
        """Say whether any diagnostic rejects the input."""
        return any(each.severity is Severity.ERROR for each in self._diagnostics)
