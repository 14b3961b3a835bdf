"""A cluster as the compiler sees it; what a profile does not say is as on a cluster that nothing is known of."""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final, Literal

from graphc.diagnostics import Span
from graphc.gpus.pools import Pool
from graphc.ir.graph import Resources
from graphc.records import record

IngressKind = Literal["none", "istio", "ambassador", "gateway"]

SELDON_PATH: Final = "/seldon/{namespace}/{graph}"
"""Where Seldon's operator puts a deployment behind Istio and Ambassador."""


@record
class Place:
    """A name in a namespace."""

    namespace: str
    name: str


@record
class Ingress:
    """What brings requests into the cluster, and where it takes them up."""

    kind: IngressKind = "none"
    gateway: Place | None = None
    listener: str | None = None
    host: str | None = None
    grpc_host: str | None = None
    path: str = SELDON_PATH
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the operator is told of it on every SeldonDeployment."""


@record
class Image:
    """A container image."""

    name: str
    tag: str
    digest: str | None = None

    def __str__(self) -> str:
        """Write the reference; a digest wins over the tag."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


@record
class RuntimeImage:
    """What a cluster has in place of the runtime image that a graph names."""

    registry: str | None = None
    image: str | None = None
    tag: str | None = None
    digest: str | None = None
    pull_secret: str | None = None

    def locate(self, asked: Image) -> str:
        """Return the reference of the image: the cluster's, else the graph's, from the cluster's registry."""
        found = asked
        if self.image or self.tag or self.digest:
            # A digest is of one image alone: it does not outlive another name or tag.
            found = Image(self.image or asked.name, self.tag or asked.tag, self.digest)
        if self.registry and not _has_registry(found.name):
            found = replace(found, name=f"{self.registry}/{found.name}")
        return str(found)


@record
class Scaler:
    """Who sets numbers of replicas by load; `adapter` or `prometheus` tells other loads than processors' use."""

    kind: Literal["hpa", "keda"] = "hpa"
    adapter: bool = False
    prometheus: str | None = None

    @property
    def has_metrics(self) -> bool:
        """Whether more is known than the use of processors."""
        return self.adapter if self.kind == "hpa" else self.prometheus is not None


@record
class Installation:
    """Seldon Core as a cluster has it."""

    seldon: str | None = None
    """The version, up to its minor part; what holds of all that are known where it is None."""
    servers: tuple[str, ...] = ()
    """Prepackaged servers that were added to its configuration."""


@record
class Engine:
    """graphc's engine as a cluster has it, where a target runs it: what is not said is as graphc brings it."""

    image: RuntimeImage = field(default_factory=RuntimeImage)
    command: tuple[str, ...] = ()
    """What starts it, before its arguments; the image's own `graphc engine` where there is none."""
    requests: Resources = field(default_factory=lambda: Resources("500m", "512Mi"))
    memory_limit: str | None = None
    """How much memory it may have; none is set where the profile says none."""


@record
class Profile:
    """Everything that a profile says."""

    name: str = "none"
    ingress: Ingress = field(default_factory=Ingress)
    runtime: RuntimeImage = field(default_factory=RuntimeImage)
    pools: tuple[Pool, ...] | None = None
    """The nodes; None where nothing is known of them."""
    refuses_executor: bool = False
    """Whether pods with Seldon's executor are refused: it drops no capabilities, as `restricted` asks."""
    scaler: Scaler = field(default_factory=Scaler)
    installation: Installation = field(default_factory=Installation)
    target: str | None = None
    """What graphs run on there, by the name of a target."""
    target_at: Span | None = None
    engine: Engine = field(default_factory=Engine)


def _has_registry(image: str) -> bool:
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")
