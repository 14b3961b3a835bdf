"""The seam between a front that mirrors requests and what compares the answers.

A front calls `observe` once for each answer it got, live or shadow, in any order. The call keeps references and
returns: nothing is decoded, nothing waits, nothing is raised.
"""

from dataclasses import dataclass
from typing import Protocol

NO_ANSWER = 0
"""The status of a call that brought no answer: a time-out, a refused or a dropped connection."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One predictor's answer to one request, as a front got it."""

    request: str
    """The id that all predictors' answers to one request share: the value of `Seldon-Puid`."""
    predictor: str
    shadow: bool
    status: int
    """The HTTP status, or `NO_ANSWER`."""
    seconds: float
    """From the call until the whole answer had come; NaN where that is not known."""
    body: bytes = b""
    """The answer as it came: JSON, or JSON and raw tensors behind it."""
    header_length: int | None = None
    """`Inference-Header-Content-Length`, where raw tensors follow the JSON."""
    content_encoding: str = ""
    asked: bytes = b""
    """The request's JSON, which segments are read from; needed of the live answer only."""
    mirrored: tuple[str, ...] | None = None
    """Of a live answer, the shadows that get a copy of the request: `()` for none, None where that is not known.

    An answer that nothing will be compared with still counts for its predictor's errors and latency.
    """


class Observer(Protocol):
    """What a front tells of answers; may be called from any thread."""

    def observe(self, seen: Seen) -> None:
        """Take note of an answer, in constant time; never waits and never raises."""
        ...

    def close(self) -> None:
        """Finish what is still to be compared, within seconds, and store it."""
        ...
