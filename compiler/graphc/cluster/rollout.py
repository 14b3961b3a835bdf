"""Waits until the operator and the pods have made of a SeldonDeployment what it says."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from graphc.cluster.client import Cluster, Kind, Ref
from graphc.cluster.problem import ClusterError
from graphc.cluster.trouble import Trouble, covers, find_trouble, is_passing
from graphc.ir.graph import Value
from graphc.seldon.deployment import Deployment, Pod, Predictor, deployment_of
from graphc.unchecked import Data, fields, number, objects, text

FIRST_POLL: Final = 0.2
LAST_POLL: Final = 2.0
"""Seconds between two looks, which grow as nothing happens."""
DEPLOYMENTS: Final = Kind("apps/v1", "Deployment")

# A state that the operator takes back again within this time was not its last word.
SETTLE_SECONDS: Final = 5.0


class RolloutError(ClusterError):
    """A graph did not become ready."""

    def __init__(self, message: str, troubles: list[Trouble]) -> None:
        super().__init__(message)
        self.troubles = troubles


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a predictor is."""

    predictor: str
    ready: int
    wanted: int
    is_current: bool
    """Whether the operator has taken up what the SeldonDeployment now says."""

    @property
    def is_done(self) -> bool:
        """Whether all of its pods are there, and new."""
        return self.is_current and self.ready >= self.wanted


@dataclass(slots=True)
class Rollout:
    """The wait for one SeldonDeployment."""

    cluster: Cluster
    ref: Ref
    say: Callable[[str], None]
    beat: Callable[[], None]
    """Called at every look, so that others see that the change lives."""
    _said: set[str] = field(default_factory=set[str])

    def wait(self, seconds: float) -> None:
        """Return when the graph is ready; raise, saying why it is not, when it fails or the time is over."""
        start = time.monotonic()
        failing: float | None = None
        pause = FIRST_POLL
        while True:
            found = self.cluster.get(self.ref)
            if found is None:
                raise RolloutError(f"{self.ref} was deleted meanwhile", [])
            deployments = list_deployments(self.cluster, self.ref)
            progress = list(look(found, deployments))
            state = state_of(found)
            if state == "Available" and progress and all(each.is_done for each in progress):
                return
            troubles = find_trouble(self.cluster, self.ref, deployments)
            self._report(progress, troubles)
            failing = _failing_since(failing, state, troubles)
            if failing is not None and time.monotonic() - failing > SETTLE_SECONDS:
                description = text(found, "status", "description")
                words = f": {description}" if description else ""
                raise RolloutError(f"`{self.ref.name}` does not become ready{words}", self._unsaid(troubles))
            if time.monotonic() - start > seconds:
                raise RolloutError(_too_late(self.ref.name, state, progress, seconds), self._unsaid(troubles))
            self.beat()
            self.cluster.sleep(pause)
            pause = min(1.3 * pause, LAST_POLL)

    def _report(self, progress: list[Progress], troubles: list[Trouble]) -> None:
        for each in progress:
            taken = "" if each.is_current else ", not yet taken up by the operator"
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


def state_of(deployment: Mapping[str, Value]) -> str:
    """Return what the operator says of a SeldonDeployment; a write that another overtook is no failure."""
    state = text(deployment, "status", "state")
    overtaken = state == "Failed" and is_passing(text(deployment, "status", "description"))
    return "Creating" if overtaken else state


def _failing_since(since: float | None, state: str, troubles: list[Trouble]) -> float | None:
    if state != "Failed" and not any(each.is_final for each in troubles):
        return None
    return time.monotonic() if since is None else since


def _too_late(name: str, state: str, progress: list[Progress], seconds: float) -> str:
    if not state:
        return (
            f"the operator said nothing about `{name}` within {seconds:g} s; is Seldon's operator running, and does it "
            "watch this namespace?"
        )
    waiting = [each for each in progress if not each.is_done]
    if not waiting:
        return f"`{name}` is still `{state}` after {seconds:g} s, though its pods are ready"
    counts = ", ".join(f"{each.predictor} {each.ready} of {each.wanted}" for each in waiting)
    return f"`{name}` is not ready after {seconds:g} s: pods of {counts}"


def list_deployments(cluster: Cluster, ref: Ref) -> list[Data]:
    """Return the Deployments that the operator made of a SeldonDeployment."""
    return cluster.find(DEPLOYMENTS, ref.namespace, {"seldon-deployment-id": ref.name})


def look(deployment: Mapping[str, Value], deployments: list[Data]) -> Iterator[Progress]:
    """Yield how far each predictor is.

    The operator's own status has no generation: it may still be that of the version before.
    """
    wished = deployment_of(deployment)
    for predictor in wished.predictors:
        name = predictor.name
        own = [each for each in deployments if text(each, "metadata", "labels", "version") == name]
        wanted, ready, current = 0, 0, True
        for pod in predictor.pods:
            made = _find(pod, own)
            wanted += _wanted(wished, predictor, pod, made)
            ready += _ready(made) if made else 0
            current = current and made is not None and _is_rolled_out(made)
        yield Progress(name, ready, wanted, current)


def _find(pod: Pod, deployments: list[Data]) -> Data | None:
    """Return the Deployment whose pods are those of the specification as it now is."""
    wanted = {each.name: fields(each.node.plain) for each in pod.containers}
    for each in deployments:
        made = {text(it, "name"): it for it in objects(each, "spec", "template", "spec", "containers")}
        if wanted.keys() <= made.keys() and all(covers(made[name], it) for name, it in wanted.items()):
            return each
    return None


def _wanted(deployment: Deployment, predictor: Predictor, pod: Pod, made: Data | None) -> int:
    said = fields(pod.node.plain)
    if (fields(said, "hpaSpec") or fields(said, "kedaSpec")) and made is not None:
        # The autoscaler decides, and writes it here.
        return number(made, "spec", "replicas") or 1
    return deployment.replicas_of(predictor, pod)


def _ready(made: Data) -> int:
    updated, available = (
        number(made, "status", "updatedReplicas"),
        number(made, "status", "availableReplicas"),
    )
    return min(updated or 0, available or 0)


def _is_rolled_out(made: Data) -> bool:
    """Say whether a Deployment's controller has seen its last change, and no old pod is left."""
    seen, generation = number(made, "status", "observedGeneration"), number(made, "metadata", "generation")
    if seen is None or generation is None or seen < generation:
        return False
    updated, total = number(made, "status", "updatedReplicas") or 0, number(made, "status", "replicas") or 0
    return total <= updated
