"""Says how long a pod takes to end, so that the requests that it has begun are answered."""

import math
from typing import Final

from graphc.ir.graph import Value
from graphc.records import record

SETTLE_SECONDS: Final = 10
"""How long a unit that others call goes on as before: so long Services and proxies may still send to its pod."""

FLIGHT_SECONDS: Final = 30
"""How long a request may take in a graph without a deadline."""

# A unit says itself that the deadline has passed; its answer needs this long to arrive before the call is cut.
_ANSWER_MS: Final = 500

_SPARE_SECONDS: Final = 5


@record
class Ending:
    """How the units of a pod end: they go on for a while, and then finish what they have begun."""

    linger: int
    grace: int

    @property
    def pod_seconds(self) -> int:
        """Return after how long Kubernetes may kill the pod; one that has nothing to do is gone earlier."""
        return self.linger + self.grace + _SPARE_SECONDS

    def emit_hook(self) -> dict[str, Value]:
        """Return what a container does before it is told to end."""
        return {"preStop": {"exec": {"command": ["sleep", str(self.linger)]}}}


def flight_seconds(longest_ms: float | None) -> int:
    """Return how long a request may take that has begun, where it takes so long at most."""
    return FLIGHT_SECONDS if longest_ms is None else math.ceil(longest_ms / 1000)


def end_alone(longest_ms: float | None) -> Ending:
    """Return how the units of a pod end that others call: Services may still send to it for a while."""
    return Ending(SETTLE_SECONDS, flight_seconds(longest_ms))


def longest_ms(deadline_ms: int | None) -> int | None:
    """Return how long a request takes at most, until its answer has arrived; None without a deadline."""
    return None if deadline_ms is None else deadline_ms + _ANSWER_MS
