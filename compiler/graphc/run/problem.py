"""What stands in the way of a local run, as a value."""

from dataclasses import dataclass, field

from graphc.diagnostics.printable import printable, quoted


@dataclass(frozen=True, slots=True)
class Problem:
    """One obstacle in a user's words, with what to do about it where that is known."""

    message: str
    advice: str | None = None

    def __str__(self) -> str:
        """Write the problem as one line, or two with its help."""
        message = printable(self.message)
        return message if self.advice is None else f"{message}\n  = help: {printable(self.advice)}"


@dataclass(slots=True)
class Findings:
    """Collects what stops a run and what the user should merely know; equal ones are kept once."""

    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])
    _seen: set[tuple[str, Problem]] = field(
        default_factory=set[tuple[str, Problem]], compare=False, repr=False
    )

    def refuse(self, message: str, advice: str | None = None) -> None:
        """Add something that stops the run."""
        self._add("problem", self.problems, Problem(message, advice))

    def warn(self, message: str, advice: str | None = None) -> None:
        """Add something that the run tolerates."""
        self._add("warning", self.warnings, Problem(message, advice))

    def _add(self, kind: str, found: list[Problem], problem: Problem) -> None:
        if (kind, problem) not in self._seen:
            self._seen.add((kind, problem))
            found.append(problem)


def say_failure(failure: OSError | ValueError) -> str:
    """Say in the system's words why something could not be done, with the file that it was done to."""
    if not isinstance(failure, OSError):
        return str(failure)
    reason = say_reason(failure)
    return f"{reason}: {quoted(failure.filename)}" if isinstance(failure.filename, str) else reason


def say_reason(failure: OSError) -> str:
    """Say in the system's words why something could not be done."""
    return (failure.strerror or str(failure)).lower()
