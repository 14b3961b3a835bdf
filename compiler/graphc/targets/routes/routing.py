"""What is asked of a cluster's ingress for one graph, and who shares the requests: Seldon's operator or our routes."""

from collections.abc import Mapping

from graphc.diagnostics import Span
from graphc.profiles.profile import Ingress
from graphc.records import record
from graphc.rollout.shares import Match, Rollout
from graphc.targets.routes.parts import Backend, Calls


@record
class Routed:
    """A predictor as routes see it: where it listens, how many pods take requests, where it stands in the file."""

    backend: Backend
    pods: int | None
    deadline_ms: int | None
    at: Span
    versions: tuple[str, ...] = ()
    """The names by which clients ask for it."""
    calls: Calls = "all"
    """Which gRPC calls it survives: all without the executor, some with models alone, else none."""


@record
class Routing:
    """What is asked of a cluster's ingress for one graph."""

    graph: str
    namespace: str | None
    rollout: Rollout
    ingress: Ingress
    predictors: Mapping[str, Routed]
    at: Span
    sticky_at: Span
    has_operator: bool = True
    """Whether Seldon's operator shares requests where nothing else does."""

    @property
    def is_ours(self) -> bool:
        """Say whether routes of our own share the requests; the operator knows nothing of the Gateway API."""
        if not self.has_operator:
            return self.ingress.kind in {"gateway", "istio"} or len(self.predictors) > 1
        return self.ingress.kind == "gateway" or not self.rollout.is_plain


def traffic_of(rollout: Rollout) -> Mapping[str, int]:
    """Return what the predictors' own `traffic` says, which has to sum to 100 whoever shares the requests."""
    if rollout.is_plain:
        mirrored = {each.predictor: each.percent for each in rollout.mirrors}
        return mirrored | {share.predictor: share.weight for share in rollout.ways[0].shares}
    plain = next((way for way in rollout.ways if way.match == Match()), rollout.ways[0])
    everyone = {share.predictor: 0 for way in rollout.ways for share in way.shares}
    shadows = {each.predictor: 0 for each in rollout.mirrors}
    return everyone | shadows | {share.predictor: share.weight for share in plain.shares}
