"""Checks whether a cluster has room for the pods of a graph, while a rollout has more of them too."""

from collections.abc import Iterator, Sequence
from math import ceil

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import CLUSTER_TOO_SMALL, ROLLOUT_PEAK
from graphc.gpus.peak import Fit, PodAsk, fit_pods
from graphc.gpus.pools import Pool
from graphc.graph import Resources
from graphc.plan import Unit
from graphc.quantities import parse_quantity
from graphc.targets.hardware import Hardware


def describe_pods(
    name: str, units: Sequence[Unit], given: Resources | None, hardware: Hardware, pods: int
) -> PodAsk:
    """Return what pods of these units take of a node; what a unit does not ask for counts as nothing."""
    asked = [unit.region.placement.resources or given for unit in units]
    cpu = sum(parse_quantity(each.cpu) for each in asked if each and each.cpu is not None)
    memory = sum(parse_quantity(each.memory) for each in asked if each and each.memory is not None)
    grants = tuple(hardware.grants.values())
    return PodAsk(name, pods, grants, ceil(round(cpu * 1000, 3)), ceil(memory / 2**20))


def check_capacity(asks: Sequence[PodAsk], pools: Sequence[Pool], at: Span, sink: Sink) -> None:
    """Report pods that never all run, and a rollout that may wait for itself."""
    steady = fit_pods(asks, pools)
    if steady.verdict == "short":
        message = f"the cluster has not room for the graph: {'; '.join(steady.reasons[:3])}"
        sink.report(Diagnostic(CLUSTER_TOO_SMALL, message, at, "ask for less, or for fewer replicas"))
        return
    peak = fit_pods(asks, pools, "surge")
    if peak.verdict != "fits":
        surely = "has not" if peak.verdict == "short" else "may not have"
        message = (
            f"the cluster {surely} room for a rollout, which has new pods before old ones go: {_say(peak)}"
        )
        hint = "; ".join(_choices(asks))
        sink.report(Diagnostic(ROLLOUT_PEAK, message, at, hint))


def _say(fit: Fit) -> str:
    return "; ".join(fit.reasons[:3])


def _choices(asks: Sequence[PodAsk]) -> Iterator[str]:
    if any(grant.first.mode == "exclusive" for ask in asks for grant in ask.grants):
        yield "a part of a GPU would need less"
    if any(ask.pods > 1 for ask in asks):
        yield "run fewer replicas while it rolls"
    if len({ask.name.partition("/")[0] for ask in asks}) > 1:
        yield "let a shadow or canary run with `device: cpu`"
    yield "or have a spare node"
