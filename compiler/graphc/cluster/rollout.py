"""Waits until the pods of a graph are what its objects say."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphc.cluster.bundle import Bundle
from graphc.cluster.client import Cluster
from graphc.cluster.problem import ClusterError
from graphc.cluster.serving import Progress, Serving, Sight
from graphc.cluster.trouble import Trouble, find_trouble

FIRST_POLL: Final = 0.2
LAST_POLL: Final = 2.0
"""Seconds between two looks, which grow as nothing happens."""

# A state that is taken back again within this time was nobody's last word.
SETTLE_SECONDS: Final = 5.0


class RolloutError(ClusterError):
    """A graph did not become ready."""

    def __init__(self, message: str, troubles: list[Trouble]) -> None:
        super().__init__(message)
        self.troubles = troubles


@dataclass(slots=True)
class Rollout:
    """The wait for one graph."""

    cluster: Cluster
    serving: Serving
    bundle: Bundle
    say: Callable[[str], None]
    beat: Callable[[], None]
    """Called at every look, so that others see that the change lives."""
    _said: set[str] = field(default_factory=set[str])

    def wait(self, seconds: float) -> None:
        """Return when the graph is ready; raise, saying why it is not, when it fails or the time is over."""
        name = self.bundle.name
        start = time.monotonic()
        failing: float | None = None
        pause = FIRST_POLL
        while True:
            sight = self.serving.look(self.cluster, self.bundle.namespace, name, self.bundle.refs)
            if sight is None:
                raise RolloutError(f"`{name}` was deleted meanwhile", [])
            if sight.state == "Available" and sight.progress and all(each.is_done for each in sight.progress):
                return
            troubles = trouble_of(self.cluster, self.bundle.namespace, name, self.serving, sight)
            self._report(sight.progress, troubles)
            failing = _failing_since(failing, sight.state, troubles)
            if failing is not None and time.monotonic() - failing > SETTLE_SECONDS:
                words = f": {sight.description}" if sight.description else ""
                raise RolloutError(f"`{name}` does not become ready{words}", self._unsaid(troubles))
            if time.monotonic() - start > seconds:
                raise RolloutError(_too_late(name, sight, seconds), self._unsaid(troubles))
            self.beat()
            self.cluster.sleep(pause)
            pause = min(1.3 * pause, LAST_POLL)

    def _report(self, progress: Sequence[Progress], troubles: list[Trouble]) -> None:
        for each in progress:
            taken = "" if each.is_current else f", {self.serving.unready}"
            self._once(f"{each.predictor}: {each.ready} of {each.wanted} pods ready{taken}")
        for trouble in troubles:
            self._once(f"{trouble.subject}: {trouble.reason}")

    def _unsaid(self, troubles: list[Trouble]) -> list[Trouble]:
        """Return the troubles that can be told in more words than were said while waiting."""
        return [each for each in troubles if each.log or f"{each.subject}: {each.reason}" not in self._said]

    def _once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self.say(words)


def trouble_of(cluster: Cluster, namespace: str, graph: str, serving: Serving, sight: Sight) -> list[Trouble]:
    """Return what stands in the way of a graph's pods."""
    found = [Trouble(str(ref), "is not there any more") for ref in sight.missing]
    found += find_trouble(cluster, namespace, sight.deployments, serving.list_pods)
    return [*found, *serving.list_complaints(cluster, namespace, graph)]


def _failing_since(since: float | None, state: str, troubles: list[Trouble]) -> float | None:
    if state != "Failed" and not any(each.is_final for each in troubles):
        return None
    return time.monotonic() if since is None else since


def _too_late(name: str, sight: Sight, seconds: float) -> str:
    if not sight.state:
        return (
            f"the operator said nothing about `{name}` within {seconds:g} s; is Seldon's operator running, and does it "
            "watch this namespace?"
        )
    waiting = [each for each in sight.progress if not each.is_done]
    if not waiting:
        return f"`{name}` is still `{sight.state}` after {seconds:g} s, though its pods are ready"
    counts = ", ".join(f"{each.predictor} {each.ready} of {each.wanted}" for each in waiting)
    return f"`{name}` is not ready after {seconds:g} s: pods of {counts}"
