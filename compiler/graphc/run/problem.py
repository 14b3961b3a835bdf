"""What stands in the way of a local run, as a value."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """One obstacle in a user's words, with what to do about it where that is known."""

    message: str
    advice: str | None = None

    def __str__(self) -> str:
        """Write the problem as one line, or two with its help."""
        return self.message if self.advice is None else f"{self.message}\n  = help: {self.advice}"


@dataclass(slots=True)
class Findings:
    """Collects what stops a run and what the user should merely know; equal ones are kept once."""

    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])

    def refuse(self, message: str, advice: str | None = None) -> None:
        """Add something that stops the run."""
        if (problem := Problem(message, advice)) not in self.problems:
            self.problems.append(problem)

    def warn(self, message: str, advice: str | None = None) -> None:
        """Add something that the run tolerates."""
        if (problem := Problem(message, advice)) not in self.warnings:
            self.warnings.append(problem)
