"""Says how a graph is: what it serves, how many pods are ready, and what was left unfinished."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphc.cluster.client import Cluster, Ref, ref_of
from graphc.cluster.fallbacks import Fallback, describe_fallback, find_fallbacks
from graphc.cluster.find_serving import FORBIDDEN, order_servings
from graphc.cluster.ledger import list_states
from graphc.cluster.marks import is_as_marked
from graphc.cluster.problem import RefusedError
from graphc.cluster.records import State
from graphc.cluster.render import describe_pending
from graphc.cluster.rollout import trouble_of
from graphc.cluster.serving import Progress, Serving, Sight
from graphc.cluster.traffic import shadows_of, traffic_of
from graphc.cluster.trouble import Trouble, describe
from graphc.ir.graph import Value
from graphc.unchecked import Data


@dataclass(frozen=True, slots=True)
class Status:
    """How a graph is."""

    state: State
    serving: str
    """What the operator says, or in its words how Deployments are; `absent` where there is nothing."""
    traffic: dict[str, int]
    shadows: tuple[str, ...]
    progress: tuple[Progress, ...]
    troubles: tuple[Trouble, ...]
    fallbacks: tuple[Fallback, ...]
    """Units that go without the GPU that they prefer, or in part, which is well: the CPU will do."""
    is_drifted: bool
    """Whether somebody else changed what serves since."""

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
    for serving in order_servings(state.refs):
        sight = serving.look(cluster, state.namespace, state.graph, _expected(state, serving))
        if sight is not None:
            return _describe(cluster, state, serving, sight)
    return Status(state, "absent", {}, (), (), (), (), False)


def _expected(state: State, serving: Serving) -> list[Ref]:
    """Return the objects that were there when the last change was done."""
    return [ref for ref in state.refs if ref.kind == serving.main and str(ref) in state.generations]


def _describe(cluster: Cluster, state: State, serving: Serving, sight: Sight) -> Status:
    return Status(
        state,
        sight.state or "unknown to the operator",
        traffic_of(sight.live),
        tuple(shadows_of(sight.live)),
        sight.progress,
        tuple(trouble_of(cluster, state.namespace, state.graph, serving, sight)),
        tuple(find_fallbacks(cluster, state.namespace, serving, sight.deployments)),
        state.pending is None and _is_drifted(cluster, state, serving, sight),
    )


def _is_drifted(cluster: Cluster, state: State, serving: Serving, sight: Sight) -> bool:
    """Say whether something of what serves is not as graphc left it."""
    live: dict[Ref, Data | None] = {ref_of(each): each for each in sight.live}
    live |= dict.fromkeys(sight.missing)
    for ref in state.refs:
        if ref.kind != serving.main and serving.tells(ref) and str(ref) in state.generations:
            try:
                live[ref] = cluster.get(ref)
            except RefusedError as refused:
                # Who may not look at routes can be told of the rest.
                if refused.code != FORBIDDEN:
                    raise
    return any(
        str(ref) in state.generations and (each is None or not is_as_marked(each, state.generations))
        for ref, each in live.items()
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
