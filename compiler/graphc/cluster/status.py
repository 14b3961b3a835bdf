"""Says how a graph is: what it serves, how many pods are ready, and what was left unfinished."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphc.cluster.bundle import DEPLOYMENT
from graphc.cluster.client import Cluster, Ref
from graphc.cluster.fallbacks import Fallback, describe_fallback, find_fallbacks
from graphc.cluster.ledger import list_states
from graphc.cluster.planning import traffic_of
from graphc.cluster.records import State
from graphc.cluster.render import describe_pending
from graphc.cluster.rollout import Progress, list_deployments, look, state_of
from graphc.cluster.traffic import shadows_of
from graphc.cluster.trouble import Trouble, describe, find_trouble
from graphc.ir.graph import Value
from graphc.unchecked import Data, number


@dataclass(frozen=True, slots=True)
class Status:
    """How a graph is."""

    state: State
    serving: str
    """What the operator says; `absent` where there is no SeldonDeployment."""
    traffic: dict[str, int]
    shadows: tuple[str, ...]
    progress: tuple[Progress, ...]
    troubles: tuple[Trouble, ...]
    fallbacks: tuple[Fallback, ...]
    """Units that go without the GPU that they prefer, or in part, which is well: the CPU will do."""
    is_drifted: bool
    """Whether somebody else changed the SeldonDeployment since."""

    @property
    def is_well(self) -> bool:
        """Whether it serves, whole."""
        return (
            self.serving == "Available"
            and self.state.pending is None
            and all(each.is_done for each in self.progress)
        )


def find_status(cluster: Cluster, state: State) -> Status:
    """Look at a graph."""
    ref = Ref(DEPLOYMENT, state.namespace, state.graph)
    live = cluster.get(ref)
    if live is None:
        return Status(state, "absent", {}, (), (), (), (), False)
    deployments = list_deployments(cluster, ref)
    progress = tuple(look(live, deployments))
    known = state.generations.get(str(ref))
    return Status(
        state,
        state_of(live) or "unknown to the operator",
        traffic_of([live]),
        tuple(shadows_of([live])),
        progress,
        tuple(find_trouble(cluster, ref, deployments)),
        tuple(find_fallbacks(cluster, ref, deployments)),
        known is not None and known != number(live, "metadata", "generation") and state.pending is None,
    )


def find_statuses(cluster: Cluster, namespace: str) -> list[Status]:
    """Look at all graphs of a namespace that graphc changed."""
    return [find_status(cluster, state) for state in list_states(cluster, namespace)]


def write_status(status: Status) -> str:
    """Return a graph's status as text."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Status) -> Iterator[str]:
    state = status.state
    revision = f"revision {state.current}" if state.current is not None else "no revision of graphc's"
    yield f"{state.graph} ({state.namespace}): {status.serving}, {revision}"
    for each in status.progress:
        share = "shadow" if each.predictor in status.shadows else f"{status.traffic.get(each.predictor, 0)} %"
        taken = "" if each.is_current else ", not yet as the file says"
        yield f"  {each.predictor}: {share}, {each.ready} of {each.wanted} pods ready{taken}"
    for fallback in status.fallbacks:
        yield from (f"  {line}" for line in describe_fallback(fallback))
    if status.is_drifted:
        yield "  somebody else changed it since; `graphc plan` shows what"
    if state.promotion is not None:
        done = "promoted" if state.promotion.is_done else "is being promoted"
        yield f"  `{state.promotion.target}` {done}; the file still has to say so"
    if state.pending is not None:
        yield f"  {describe_pending(state.pending)}"
        yield f"  `graphc apply` completes it, `graphc rollback {state.graph}` takes it back"
    for trouble in status.troubles:
        yield from (f"  {line}" for line in describe(trouble))


def status_as_data(status: Status) -> Data:
    """Return a graph's status as plain data."""
    state, pending = status.state, status.state.pending
    predictors: list[Value] = [
        {
            "name": each.predictor,
            "traffic": status.traffic.get(each.predictor),
            "shadow": each.predictor in status.shadows,
            "ready": each.ready,
            "wanted": each.wanted,
            "current": each.is_current,
        }
        for each in status.progress
    ]
    return {
        "graph": state.graph,
        "namespace": state.namespace,
        "state": status.serving,
        "well": status.is_well,
        "revision": state.current,
        "predictors": predictors,
        "fallbacks": [
            {
                "predictor": each.predictor,
                "unit": each.unit,
                "pods": each.pods,
                "on_cpu": each.on_cpu,
                "unread": each.unread,
                "reason": each.reason,
                "models": list(each.models),
                "operators": list(each.operators),
            }
            for each in status.fallbacks
        ],
        "drifted": status.is_drifted,
        "unfinished": describe_pending(pending) if pending else None,
        "troubles": [
            {"subject": it.subject, "reason": it.reason, "log": list(it.log)} for it in status.troubles
        ],
    }
