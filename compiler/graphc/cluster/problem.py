"""What can be wrong with a cluster or with what is asked of it, in words for the user."""

from collections.abc import Sequence
from dataclasses import dataclass


class ClusterError(Exception):
    """Something that the user has to know or to put right; the text is all that is shown."""


class UnreachableError(ClusterError):
    """The API server does not answer, so that it is unknown what became of a request."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One detail of a refusal: for a conflict, the manager and the field."""

    reason: str
    message: str
    field: str


class RefusedError(ClusterError):
    """The API server answered with a failure."""

    def __init__(self, message: str, code: int, reason: str, causes: Sequence[Cause]) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason, tuple(causes)

    @property
    def is_missing(self) -> bool:
        """Whether the object or its kind is not there."""
        return self.code == 404

    @property
    def is_conflict(self) -> bool:
        """Whether another writer was faster, or owns a field."""
        return self.code == 409

    @property
    def is_passing(self) -> bool:
        """Whether the server is only busy or starting, and the same request may be sent again."""
        return self.code in {429, 500, 502, 503, 504} and self.reason not in {"Invalid", "Forbidden"}
