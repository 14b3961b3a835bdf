"""Waits until gateways have taken up what routes now say."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from graphc.cluster.client import Cluster, Ref
from graphc.cluster.rollout import FIRST_POLL, LAST_POLL, SETTLE_SECONDS, RolloutError
from graphc.cluster.trouble import Trouble, say
from graphc.unchecked import Data, number, objects, text

GATEWAYS: Final = "gateway.networking.k8s.io/"
"""The API group whose routes say whether anybody has taken them up; Istio's say nothing."""

SILENT_SECONDS: Final = 5.0
"""After this a new route goes without an answer: no gateway may be there yet."""

_JUDGED: Final = ("Accepted", "ResolvedRefs")

Finding = Literal["accepted", "silent", "waiting", "refused"]


@dataclass(slots=True)
class RouteWait:
    """The wait for the routes of one graph."""

    cluster: Cluster
    tell: Callable[[str], None]
    beat: Callable[[], None]

    def wait(self, routes: Sequence[Ref], new: Sequence[Ref], seconds: float) -> None:
        """Return when every route is taken up; raise where one is refused, or is not taken up in time.

        A route to which no gateway ever said anything is not waited for, unless it is new.
        """
        start, pause = time.monotonic(), FIRST_POLL
        refused: float | None = None
        waiting = [ref for ref in routes if ref.kind.api_version.startswith(GATEWAYS)]
        while True:
            found = {ref: judge_route(self.cluster.get(ref) or {}) for ref in waiting}
            passed = time.monotonic() - start
            waiting = [
                ref
                for ref, (finding, _) in found.items()
                if not (finding == "accepted" or (finding == "silent" and self._is_left(ref, new, passed)))
            ]
            if not waiting:
                return
            bad = [
                Trouble(str(ref), words) for ref, (finding, words) in found.items() if finding == "refused"
            ]
            refused = (refused or time.monotonic()) if bad else None
            if refused is not None and time.monotonic() - refused > SETTLE_SECONDS:
                raise RolloutError("a gateway refuses routes", bad)
            if passed > seconds:
                names = ", ".join(map(str, waiting))
                raise RolloutError(f"no gateway has taken up {names} within {seconds:g} s", [])
            self.beat()
            self.cluster.sleep(pause)
            pause = min(1.3 * pause, LAST_POLL)

    def _is_left(self, ref: Ref, new: Sequence[Ref], passed: float) -> bool:
        if ref not in new:
            return True
        if passed > SILENT_SECONDS:
            self.tell(f"{ref}: no gateway has taken it up yet")
            return True
        return False


def judge_route(route: Data) -> tuple[Finding, str]:
    """Say what gateways say of a route of the Gateway API, and why one refuses it."""
    generation = number(route, "metadata", "generation")
    conditions = [
        each
        for parent in objects(route, "status", "parents")
        for each in objects(parent, "conditions")
        if text(each, "type") in _JUDGED
    ]
    if not conditions:
        return "silent", ""
    if any((number(each, "observedGeneration") or 0) < (generation or 0) for each in conditions):
        return "waiting", ""
    for each in conditions:
        if text(each, "status") == "False":
            reason = f"{text(each, 'reason')}: {text(each, 'message')}"
            return "refused", say(f"not {text(each, 'type')} by the gateway: {reason}")
    return "accepted", ""
