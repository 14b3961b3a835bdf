"""The time by which a request has to be answered: stamped by the first unit, kept by all."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from graphc_runtimes.errors import DeadlineError, RequestError
from graphc_runtimes.messages import Message

PARAMETER: Final = "graphc_deadline_ms"
"""The parameter of a message that holds the deadline, in milliseconds since 1970."""
HEADER: Final = "x-graphc-deadline-ms"
"""The header in which a client may ask for an earlier one."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a request is given up, in milliseconds since 1970, and the limit in words that gave it."""

    at_ms: float
    limit: str

    @property
    def left_s(self) -> float:
        """The seconds that are left."""
        return (self.at_ms - _now_ms()) / 1000

    def check(self, node: str) -> None:
        """Raise DeadlineError if a node would start too late."""
        if self.left_s <= 0:
            raise self.passed(node)

    def passed(self, node: str) -> DeadlineError:
        """Return the error of a request that got no further than a node."""
        return DeadlineError(f"{self.limit} passed before node `{node}`")


class Deadlines:
    """The deadlines of requests that run together: one that has passed gives up its own request only."""

    def __init__(self, members: Sequence[Deadline]) -> None:
        self._members = members
        self.passed_by: dict[int, DeadlineError] = {}
        """The errors of the requests that are too late, by their places."""

    @property
    def left_s(self) -> float:
        """The seconds that are left to the last of them."""
        return self._last.left_s

    def check(self, node: str) -> None:
        """Note which deadlines passed before a node, and raise DeadlineError if none is left."""
        for place, member in enumerate(self._members):
            if place not in self.passed_by and member.left_s <= 0:
                self.passed_by[place] = member.passed(node)
        if len(self.passed_by) == len(self._members):
            raise self.passed_by[0]

    def passed(self, node: str) -> DeadlineError:
        """Return the error of all when none got further than a node."""
        return self._last.passed(node)

    @property
    def _last(self) -> Deadline:
        return max(self._members, key=lambda member: member.at_ms)


Limit = Deadline | Deadlines


def stamp(message: Message, deadline_ms: int | None) -> Message:
    """Return the message with its deadline, the earliest of all that are asked for; raises RequestError.

    A graph without a deadline does not look. A later unit finds the first one's stamp, which is earlier than
    its own would be.
    """
    if deadline_ms is None:
        return message
    asked = [given for given in (_of_header(message), _of_parameter(message)) if given is not None]
    at_ms = int(min([_now_ms() + deadline_ms, *asked]))
    return replace(message, parameters=dict(message.parameters) | {PARAMETER: at_ms})


def read_deadline(message: Message, deadline_ms: int | None) -> Deadline | None:
    """Return the deadline of a stamped message; None where the graph has none."""
    at_ms = None if deadline_ms is None else _of_parameter(message)
    if at_ms is None or deadline_ms is None:
        return None
    asked = _of_header(message)
    is_clients = asked is not None and asked <= at_ms
    return Deadline(at_ms, "the client's deadline" if is_clients else f"deadline of {_show(deadline_ms)}")


def _of_header(message: Message) -> float | None:
    given = next((value for name, value in message.headers.items() if name.lower() == HEADER), None)
    return None if given is None else _milliseconds(given, "header `X-Graphc-Deadline-Ms`")


def _of_parameter(message: Message) -> float | None:
    given = message.parameters.get(PARAMETER)
    return None if given is None else _milliseconds(given, f"parameter `{PARAMETER}`")


def _milliseconds(given: object, where: str) -> float:
    try:
        found = float(given) if isinstance(given, str | int | float) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise RequestError(f"the {where} is not a time in milliseconds since 1970")
    return found


def _now_ms() -> float:
    return time.time() * 1000


def _show(milliseconds: int) -> str:
    is_short = milliseconds < 1000 or milliseconds % 100
    return f"{milliseconds}ms" if is_short else f"{milliseconds / 1000:g}s"
