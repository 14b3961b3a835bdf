"""The fields of a cluster profile; each part of a cluster has a model of its own."""

import re
from typing import Annotated, Final, Literal

from graphc.gpus.pools import MOST_PODS, Effect
from graphc.profiles.profile import SELDON_PATH
from graphc.spec.declare import AfterValidator, BeforeValidator, Field, Spec, model_validator
from graphc.spec.fields import Anything, Digest, ImageName, Positive
from graphc.spec.scalars import Memory, Quantity, ServiceUrl

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\Z")
_PLACE: Final = re.compile(rf"{_LABEL}/{_LABEL}(\.{_LABEL})*\Z")
_REGISTRY: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._:]*(/[a-z0-9][-a-z0-9._]*)*\Z")
_SERVER: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}\Z")
_PATH: Final = re.compile(r"(/([-A-Za-z0-9._~]|\{namespace\}|\{graph\})+)*/?\Z")


def _read_host(value: str) -> str:
    if not _HOST.match(value) or len(value) > 253:
        raise ValueError(f"`{value}` is not a host name, such as `models.example.com`")
    return value


def _read_place(value: str) -> str:
    if not _PLACE.match(value):
        raise ValueError(f"`{value}` is not a namespace and a name, such as `ingress/public`")
    return value


def _read_path(value: str) -> str:
    if not value.startswith("/") or not _PATH.match(value):
        raise ValueError(
            f"`{value}` is not a path; it begins with `/`, and may hold `{{namespace}}` and `{{graph}}`"
        )
    return value.rstrip("/")


def _read_registry(value: str) -> str:
    if not _REGISTRY.match(value):
        raise ValueError(f"`{value}` is not a registry, such as `registry.example.com/team`")
    return value


def _read_server(value: str) -> str:
    if not _SERVER.match(value):
        raise ValueError(f"`{value}` is not a server, such as `LIGHTGBM_SERVER`")
    return value


def _read_version(value: object) -> object:
    # Unquoted it is a number.
    return str(value) if isinstance(value, float) else value


SeldonVersion = Annotated[Literal["1.18", "1.19"], BeforeValidator(_read_version)]
ServerName = Annotated[str, AfterValidator(_read_server)]
Host = Annotated[str, AfterValidator(_read_host)]
PlaceText = Annotated[str, AfterValidator(_read_place)]
PathText = Annotated[str, AfterValidator(_read_path)]


class ProfileMetadata(Spec):
    """The name of the profile."""

    name: str


class NoIngress(Spec):
    """Nothing is known of what brings requests into the cluster."""

    kind: Literal["none"]


class IstioIngress(Spec):
    """Istio, which Seldon's operator drives; graphc writes the routes that the operator does not."""

    kind: Literal["istio"]
    gateway: PlaceText = Field("istio-system/seldon-gateway", description="Istio's Gateway: namespace/name")
    host: Host | None = Field(None, description="the host of the routes; any where absent")
    path: PathText = Field(
        SELDON_PATH, description="where a graph is found; `{namespace}` and `{graph}` are replaced"
    )


class AmbassadorIngress(Spec):
    """Ambassador (Emissary), which Seldon's operator drives."""

    kind: Literal["ambassador"]
    id: str | None = Field(None, description="the ambassador_id of the installation to use")


class GatewayIngress(Spec):
    """Any implementation of the Gateway API."""

    kind: Literal["gateway"]
    gateway: PlaceText = Field(description="the Gateway: namespace/name")
    listener: str | None = Field(None, description="the listener's name; all where absent")
    host: Host | None = Field(None, description="the host of the HTTP routes; the listener's where absent")
    grpc_host: Host | None = Field(
        None,
        description="the host of the gRPC routes, which cannot share one with HTTP routes; none where absent",
    )
    path: PathText = Field(
        SELDON_PATH, description="where a graph is found; `{namespace}` and `{graph}` are replaced"
    )


INGRESS_KINDS: Final[dict[str, type[NoIngress | IstioIngress | AmbassadorIngress | GatewayIngress]]] = {
    "none": NoIngress,
    "istio": IstioIngress,
    "ambassador": AmbassadorIngress,
    "gateway": GatewayIngress,
}
"""What the field `kind` makes of an ingress, and what it then may say."""

AnyIngress = NoIngress | IstioIngress | AmbassadorIngress | GatewayIngress


class ClusterRuntime(Spec):
    """The runtime image as this cluster has it; wins over what a graph says."""

    registry: Annotated[str, AfterValidator(_read_registry)] | None = Field(
        None, description="where images are pulled from whose names hold no registry"
    )
    image: ImageName | None = Field(None, description="its name, registry included")
    tag: str | None = Field(None, description="its tag")
    digest: Digest | None = Field(None, description="its digest, sha256:...; wins over the tag")
    pull_secret: str | None = Field(None, description="the Secret that pulls it, if the graph names none")


class ClusterEngine(Spec):
    """graphc's engine, which walks the units of a graph on the target `kubernetes`."""

    image: ImageName | None = Field(None, description="its name, registry included")
    tag: str | None = Field(None, description="its tag")
    digest: Digest | None = Field(None, description="its digest, sha256:...; wins over the tag")
    command: list[str] = Field(
        default_factory=list[str], description="what starts it; `[graphc, engine]` where absent"
    )
    cpu: Quantity | None = Field(None, description="processors that it asks for; 500m where absent")
    memory: Memory | None = Field(
        None, description="memory that it may have; it asks for 512Mi, and has no limit, where absent"
    )


class AutoscalingSpec(Spec):
    """Who sets numbers of replicas by load, and where the load is known."""

    kind: Literal["hpa", "keda"] = Field("hpa", description="which fields of Seldon's are written")
    adapter: bool = Field(
        False, description="hpa: whether the Prometheus adapter has graphc's rules (k8s/autoscaling/hpa)"
    )
    prometheus: ServiceUrl | None = Field(None, description="keda: the Prometheus that it asks")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "AutoscalingSpec":
        if self.kind == "hpa" and self.prometheus is not None:
            raise ValueError("an autoscaler of Kubernetes' own asks the adapter, not `prometheus`")
        if self.kind == "keda" and self.adapter:
            raise ValueError("KEDA asks `prometheus`, not the adapter")
        return self


class TaintSpec(Spec):
    """What keeps pods away that do not tolerate it."""

    key: str
    value: str | None = None
    effect: Effect = "NoSchedule"


class MigSpec(Spec):
    """How MIG parts each device."""

    strategy: Literal["single", "mixed"] = Field("mixed", description="how the device plugin calls slices")
    slices: dict[str, Positive] = Field(description="profiles such as 1g.10gb, each with its count")


class GpusSpec(Spec):
    """The GPUs of each node of a pool."""

    product: str = Field(
        description="such as A100-40GB; `memory` is needed for one that graphc does not know"
    )
    count: Positive = Field(1, description="devices of a node")
    memory: Memory | None = Field(None, description="of each device, where it is not the product's")
    sharing: Literal["exclusive", "mig", "mps", "time-slicing"] = Field(
        "exclusive", description="how a device is parted"
    )
    replicas: Positive | None = Field(None, description="parts of a device under MPS and time-slicing")
    renamed: bool = Field(True, description="whether such parts are called nvidia.com/gpu.shared")
    mig: MigSpec | None = None


class PoolSpec(Spec):
    """Nodes that are alike; processors and memory are those that pods may have of each."""

    name: str
    nodes: Positive = Field(1, description="how many there are, or may become")
    cpu: Quantity = Field(description="allocatable processors of a node")
    memory: Memory = Field(description="allocatable memory of a node")
    pods: Positive = Field(MOST_PODS, description="pods that a node takes")
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="what tells its nodes from others"
    )
    taints: list[TaintSpec] = Field(default_factory=list[TaintSpec])
    runtime_class: str | None = Field(None, description="the RuntimeClass that its GPUs need")
    gpus: GpusSpec | None = None


class ClusterProfile(Spec):
    """A profile's document, but for its ingress, which is read kind by kind."""

    apiVersion: Literal["graphc/v1"]  # noqa: N815 (Kubernetes' spelling)
    kind: Literal["ClusterProfile"]
    metadata: ProfileMetadata
    ingress: dict[str, Anything] = Field(default_factory=dict, description="what brings requests in")
    runtime: ClusterRuntime = Field(default_factory=lambda: ClusterRuntime.model_validate({}))
    engine: ClusterEngine = Field(default_factory=lambda: ClusterEngine.model_validate({}))
    pod_security: Literal["privileged", "baseline", "restricted"] = Field(
        "privileged", description="the pod security standard that graphs' namespaces enforce"
    )
    executor_policy: bool = Field(
        False, description="whether k8s/executor-security lets Seldon's executor into such namespaces"
    )
    target: str | None = Field(
        None, description="what graphs run on, where `--target` does not say so; `seldon` where absent"
    )
    seldon: SeldonVersion | None = Field(
        None, description="the version of Seldon Core; what holds of all versions where absent"
    )
    servers: list[ServerName] = Field(
        default_factory=list[str], description="prepackaged servers that the installation added"
    )
    autoscaling: AutoscalingSpec = Field(default_factory=lambda: AutoscalingSpec.model_validate({}))
    pools: list[PoolSpec] | None = Field(None, description="the nodes; nothing is known of them where absent")
