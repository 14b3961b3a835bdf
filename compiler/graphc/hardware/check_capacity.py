"""Checks whether a cluster has room for the pods of a graph, while a rollout has more of them too."""

from collections.abc import Sequence

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.gpus import CLUSTER_TOO_SMALL, ROLLOUT_PEAK
from graphc.gpus.choices import list_choices
from graphc.gpus.pools import Pool
from graphc.gpus.room import Fit
from graphc.hardware.peak import PodAsk, fit_pods


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
