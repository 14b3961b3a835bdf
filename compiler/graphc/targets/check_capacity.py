"""Checks whether a cluster has room for the pods of a graph, while a rollout has more of them too."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import CLUSTER_TOO_SMALL, ROLLOUT_PEAK
from graphc.gpus.choices import list_choices
from graphc.gpus.peak import PodAsk, fit_pods
from graphc.gpus.pools import Pool
from graphc.gpus.room import Fit
from graphc.graph import Resources
from graphc.plan import Unit
from graphc.quantities import parse_quantity
from graphc.targets.hardware import Hardware


@dataclass(frozen=True, slots=True)
class Amount:
    """Processors and bytes of memory that a container asks for."""

    cpu: float = 0
    memory: float = 0


EXECUTOR: Final = Amount(0.5, 512 * 2**20)
"""Seldon's executor, as the operator asks for it where its installation says nothing else."""


def describe_pods(
    name: str,
    units: Sequence[Unit],
    given: Resources | None,
    hardware: Hardware,
    pods: int,
    beside: Sequence[Amount] = (),
    before: Sequence[Amount] = (),
) -> PodAsk:
    """Return what pods of these units take of a node; what a unit does not ask for counts as nothing.

    `beside` are other containers of the pod, and `before` are those that have ended before any of them starts.
    """
    asked = [*(_amount(unit.region.placement.resources or given) for unit in units), *beside]
    # A pod takes what all its containers do, or one of those before them, whichever is more.
    cpu = max(sum(each.cpu for each in asked), *(each.cpu for each in before), 0)
    memory = max(sum(each.memory for each in asked), *(each.memory for each in before), 0)
    grants = tuple(hardware.grants.values())
    return PodAsk(name, pods, grants, ceil(round(cpu * 1000, 3)), ceil(round(memory, 3)))


def _amount(resources: Resources | None) -> Amount:
    cpu, memory = (resources.cpu, resources.memory) if resources else (None, None)
    return Amount(parse_quantity(cpu) if cpu else 0, parse_quantity(memory) if memory else 0)


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
        sink.report(Diagnostic(ROLLOUT_PEAK, message, at, _choose(asks)))


def _say(fit: Fit) -> str:
    return "; ".join(fit.reasons[:3])


def _choose(asks: Sequence[PodAsk]) -> str:
    return list_choices(
        whole_gpus=any(grant.first.mode == "exclusive" for ask in asks for grant in ask.grants),
        replicas=any(ask.pods > 1 for ask in asks),
        versions=len({ask.name.partition("/")[0] for ask in asks}) > 1,
    )
