"""What a case is: a request, and what is expected of the answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphc.records import record

FIELDS: Final = ("name", "predictor", "request", "headers", "expected", "status", "error", "tolerance")
"""The fields that a case may have; all but `request` may be left out."""
TOLERANCE: Final = 1e-5
"""How far a float may be from what is expected: as a share of that, and as a number."""
OK: Final = 200

Data = Mapping[str, object]


class CaseError(Exception):
    """The file of cases, or a file that a case names, is at fault; the message is for its writer."""


@record
class Case:
    """One case, as its file has it; `number` counts from 1."""

    path: Path
    number: int
    name: str | None
    predictor: str | None
    """The version that is asked; None asks the first."""
    request: Data | str
    """A V2 request, values by input, or the name of a file that holds either, a table or an array."""
    headers: Mapping[str, str]
    expected: Data | str | None
    """A V2 answer, values by output, or the name of a file that holds either, or a table."""
    status: int
    error: str | None
    """A text that the error of the answer has to hold."""
    tolerance: float

    @property
    def title(self) -> str:
        """How reports name it."""
        return self.name or f"{self.path.name}, case {self.number}"


@record
class CaseFile:
    """The cases of a file, with the values of the file itself."""

    path: Path
    cases: tuple[Case, ...]
    values: tuple[Data, ...]


@record
class Answer:
    """What a graph answered to a case."""

    status: int
    body: Data
    seconds: float


@record
class Outcome:
    """What came of a case: its answer, and in a line each what is wrong with it."""

    case: Case
    answer: Answer
    faults: tuple[str, ...]
