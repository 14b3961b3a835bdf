"""What a graph's check finds, and what calls raise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.diagnostics import Diagnostic
from graphc.diagnostics.render import render_one, without_passwords


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a graph; `graphc explain CODE` says why its rule exists."""

    code: str
    severity: str
    """`error`, or `warning`."""
    message: str
    file: str | None
    line: int | None
    help: str | None
    text: str
    """The problem as the command line shows it, with the line of the file."""

    def __str__(self) -> str:
        """Return the problem as the command line shows it."""
        return self.text


def make_problem(found: Diagnostic, sources: Mapping[str, str]) -> Problem:
    """Return a problem of what the compiler found."""
    found = without_passwords(found)
    return Problem(
        found.rule.code,
        str(found.severity),
        found.message,
        found.at.file if found.at else None,
        found.at.line if found.at else None,
        found.help,
        render_one(found, sources),
    )


class GraphError(Exception):
    """A graph has errors; `problems` holds all that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n\n".join(map(str, problems)))
        self.problems = tuple(problems)


class RequestFailedError(Exception):
    """A graph did not answer; `status` is what a client of the served graph would get."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
