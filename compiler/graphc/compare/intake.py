"""Make answers of what Seldon's engines log: a request and a response, each an event of its own, in any order."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from graphc.compare.observer import NO_ANSWER, Observer, Seen
from graphc.compare.room import Room, no_limit

REQUEST: Final = "io.seldon.serving.inference.request"
RESPONSE: Final = "io.seldon.serving.inference.response"
MOST_ID: Final = 256


class EventError(ValueError):
    """A post is no event that answers are made of; the message says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One logged message; `at` is when it was logged, in seconds."""

    namespace: str
    graph: str
    predictor: str
    request: str
    is_response: bool
    shadow: bool
    at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What waits for its other half: at most so many events and bytes, and no longer than this."""

    events: int = 8192
    bytes: int = 64 << 20
    seconds: float = 60.0


def read_event(headers: Mapping[str, str], body: bytes, *, shadow: bool) -> Event:
    """Read a CloudEvent in HTTP's binary form, as Seldon's executor posts it; raises EventError."""
    type_ = headers.get("Ce-Type", "")
    if type_ not in {REQUEST, RESPONSE}:
        raise EventError("`Ce-Type` is neither an inference request nor a response")
    found = {
        name: headers.get(f"Ce-{name}", "") for name in ("Requestid", "Inferenceservicename", "Endpoint")
    }
    for name, value in found.items():
        if not value or len(value) > MOST_ID:
            raise EventError(f"`Ce-{name}` is missing or too long")
    namespace = headers.get("Ce-Namespace", "")[:MOST_ID]
    return Event(
        namespace,
        found["Inferenceservicename"],
        found["Endpoint"],
        found["Requestid"],
        type_ == RESPONSE,
        shadow,
        _read_time(headers.get("Ce-Time", "")),
        body,
    )


class Intake:
    """Joins the requests and responses of one graph, and shows what comes of it to an observer.

    The engine logs no response where a request failed: a request that stays alone is an answer that never came. The
    time between both events is as good as the engine's log queue is short.
    """

    def __init__(self, observer: Observer, limits: IntakeLimits, *, room: Room = no_limit) -> None:
        self._observer, self._limits, self._room = observer, limits, room
        self._waiting: OrderedDict[tuple[str, str], tuple[Event, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many events wait for their other half."""
        return len(self._waiting)

    def take(self, event: Event, now: float) -> None:
        """Take an event; what it completes goes to the observer."""
        key = event.predictor, event.request
        waiting = self._waiting.get(key)
        if waiting and waiting[0].is_response != event.is_response:
            self._drop(key)
            asked, answered = (waiting[0], event) if event.is_response else (event, waiting[0])
            self._observer.observe(_answer(asked, answered))
        elif waiting is None:
            self._waiting[key] = event, now
            self._bytes += len(event.body)
        self.expire(now)

    def expire(self, now: float) -> None:
        """Give up what has waited too long, and the oldest where too much waits."""
        limits = self._limits
        most = min(limits.bytes, self._room())
        while self._waiting:
            key, (event, since) = next(iter(self._waiting.items()))
            late = since + limits.seconds < now
            if not late and len(self._waiting) <= limits.events and self._bytes <= most:
                return
            self._drop(key)
            self._observer.observe(_half(event))

    def _drop(self, key: tuple[str, str]) -> None:
        self._bytes -= len(self._waiting.pop(key)[0].body)


def _answer(asked: Event, answered: Event) -> Seen:
    seconds = answered.at - asked.at
    known = seconds if seconds >= 0 else math.nan
    return Seen(
        asked.request,
        asked.predictor,
        asked.shadow,
        200,
        known,
        answered.body,
        asked=asked.body,
        mirrored=None,
    )


def _half(event: Event) -> Seen:
    """Return a response whose request was lost, or the failure of a request that had no response."""
    status, body = (200, event.body) if event.is_response else (NO_ANSWER, b"")
    asked = b"" if event.is_response else event.body
    return Seen(
        event.request, event.predictor, event.shadow, status, math.nan, body, asked=asked, mirrored=None
    )


def _read_time(text: str) -> float:
    try:
        # Go writes nanoseconds, and Python reads only the first six digits.
        head, point, rest = text.partition(".")
        digits = rest.rstrip("Zz")[:6]
        moment = datetime.fromisoformat(
            head.rstrip("Zz") + (f".{digits:0<6}" if point and digits.isdigit() else "")
        )
    except ValueError:
        return math.nan
    try:
        return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=UTC).timestamp()
    except (OverflowError, OSError, ValueError):
        return math.nan
