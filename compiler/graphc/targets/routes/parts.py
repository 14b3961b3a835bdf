"""What the routes of all ingresses are made of."""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, Literal

from graphc.ir.graph import Value
from graphc.profiles.profile import Ingress
from graphc.records import record
from graphc.rollout.shares import PATH_HEADER, Match, Rollout

Data = dict[str, Value]

PROTOCOL: Final = "/v2"
"""Where every path of the V2 protocol begins."""

CALLS: Final = "inference.GRPCInferenceService"
"""The V2 protocol's service over gRPC."""


Calls = Literal["all", "some", "none"]
"""Which gRPC calls a predictor survives: all without Seldon's executor, some where that has models alone, else none."""

SURVIVED: Final = ("ModelInfer", "ModelMetadata", "ModelReady")
"""The methods that do not end an executor with models alone."""


@record
class Backend:
    """The Service in front of a predictor."""

    service: str
    http: int
    grpc: int


@record
class RouteParts:
    """One graph's routes before they are in the words of an ingress."""

    graph: str
    namespace: str | None
    base: str
    rollout: Rollout
    ingress: Ingress
    backends: Mapping[str, Backend]
    timeout_ms: int | None
    metadata: Callable[[str], Data]
    calls: Calls = "all"
    """Which gRPC calls all predictors survive."""
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By predictor, the names by which clients ask for it."""

    def version_prefix(self, version: str) -> str:
        """Return where the URLs of a version begin that is asked for by its name."""
        return f"{self.base}{PROTOCOL}/models/{self.graph}/versions/{version}"

    def version_target(self, version: str) -> str:
        """Return what a predictor has there: a unit knows its versions, Seldon's executor none."""
        model = f"{PROTOCOL}/models/{self.graph}"
        return f"{model}/versions/{version}" if self.calls == "all" else model

    def prefix(self, match: Match) -> str:
        """Return where the URLs of a way begin; what follows is as the predictors have it below `/v2`."""
        version = "" if match.path is None else f"/{match.path}"
        return f"{self.base}{version}{PROTOCOL}"

    def call_headers(self, match: Match) -> dict[str, str]:
        """Return the metadata of a way's gRPC calls: Seldon's for the graph, and the way's own."""
        graph = {"seldon": self.graph} | ({"namespace": self.namespace} if self.namespace else {})
        path = {} if match.path is None else {PATH_HEADER: match.path}
        return graph | path | dict(match.headers)


def write_duration(milliseconds: int) -> str:
    """Write a time as Kubernetes and Istio read it: up to five digits of a unit."""
    return f"{milliseconds}ms" if milliseconds < 100_000 else f"{-(-milliseconds // 1000)}s"
