"""What one graph puts into a cluster: its documents, in the order in which they go there."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from graphc.cluster.client import Kind, Ref, ref_of
from graphc.cluster.problem import ClusterError
from graphc.engine_graph import MANAGED_BY, PART_OF
from graphc.ir.graph import Value
from graphc.unchecked import Data, copy_fields, fields, number, objects, text

DEPLOYMENT: Final = Kind("machinelearning.seldon.io/v1", "SeldonDeployment")
CONFIG_MAP: Final = Kind("v1", "ConfigMap")

WORKLOAD: Final = Kind("apps/v1", "Deployment")
SERVICE: Final = Kind("v1", "Service")
POD: Final = Kind("v1", "Pod")
AUTOSCALER: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler")
SCALED_OBJECT: Final = Kind("keda.sh/v1alpha1", "ScaledObject")
BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget")
"""What a graph consists of that runs without Seldon, beside its config maps and routes."""

SCALERS: Final = (AUTOSCALER, SCALED_OBJECT)

SIGNATURE: Final = "graphc.dev/content-hash"

ROUTING: Final = (
    "gateway.networking.k8s.io/",
    "networking.istio.io/",
    "getambassador.io/",
    "networking.k8s.io/",
)
"""The API groups whose objects send requests to a SeldonDeployment's services, which have to be there."""

_SERVERS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")

REVISION: Final = "deployment.kubernetes.io/revision"
"""What a Deployment's controller notes of it, and of the ReplicaSet that it now has."""

_NOTES: Final = ("kubectl.kubernetes.io/last-applied-configuration", REVISION)
"""Annotations that client-side apply and Kubernetes' controllers keep for themselves."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A graph's documents, each with its namespace."""

    name: str
    namespace: str
    documents: tuple[Data, ...]

    @property
    def refs(self) -> list[Ref]:
        """Which objects the documents are."""
        return [ref_of(each) for each in self.documents]

    @property
    def digest(self) -> str:
        """What tells these documents from any others."""
        return hashlib.sha256(json.dumps(self.documents, sort_keys=True).encode()).hexdigest()


def make_bundle(
    name: str, own: str | None, documents: Iterable[Mapping[str, Value]], asked: str | None, default: str
) -> Bundle:
    """Put a graph's documents into their namespace: their `own`, which `asked` must not contradict."""
    if own is not None and asked is not None and own != asked:
        raise ClusterError(f"`{name}` says `namespace: {own}`, and --namespace says `{asked}`")
    namespace = own or asked or default
    placed = [_place(each, namespace) for each in documents]
    return Bundle(name, namespace, order_documents(placed))


def order_documents(documents: Iterable[Data]) -> tuple[Data, ...]:
    """Return documents in the order in which they go into a cluster."""
    return tuple(sorted(documents, key=_rank))


def _place(document: Mapping[str, Value], namespace: str) -> Data:
    placed = copy_fields(document)
    metadata = fields(placed, "metadata")
    metadata.setdefault("namespace", namespace)
    placed["metadata"] = metadata
    return placed


def _rank(document: Data) -> int:
    """Config maps are there before the pods that mount them, and services before what routes to them."""
    ref = ref_of(document)
    if ref.kind in {DEPLOYMENT, WORKLOAD}:
        return 1
    if ref.kind in {*SCALERS, BUDGET}:
        return 2
    return 3 if is_route(ref) else 0


def is_route(ref: Ref) -> bool:
    """Say whether an object sends requests to a graph's services."""
    return ref.kind.api_version.startswith(ROUTING)


def strip(live: Mapping[str, Value]) -> Data:
    """Return an object without what the server adds to every one, and without its status."""
    document = copy_fields(live)
    document.pop("status", None)
    metadata = fields(document, "metadata")
    for name in _SERVERS:
        metadata.pop(name, None)
    annotations = fields(metadata, "annotations")
    for name in _NOTES:
        annotations.pop(name, None)
    if ref_of(live).kind == SERVICE:
        # Where a Service is in the cluster is given to it, and given anew to one that is made again.
        for name in ("clusterIP", "clusterIPs"):
            fields(document, "spec").pop(name, None)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    document["metadata"] = metadata
    return document


def labels_of(graph: str) -> dict[str, str]:
    """Return the labels of all that graphc makes for a graph."""
    return {PART_OF: graph, MANAGED_BY: "graphc"}


def find_bounds(scaler: Mapping[str, Value]) -> tuple[int | None, int | None]:
    """Return the least and the most replicas that an autoscaler or a ScaledObject says."""
    spec = fields(scaler, "spec")
    pairs = (("minReplicas", "minReplicaCount"), ("maxReplicas", "maxReplicaCount"))
    least, most = (
        next((found for name in names if (found := number(spec, name)) is not None), None) for names in pairs
    )
    return least, most


def is_ours(live: Mapping[str, Value], graph: str) -> bool:
    """Say whether graphc made an object for this graph.

    What a controller makes of such an object is the controller's, though some copy the labels.
    """
    labels = fields(live, "metadata", "labels")
    return labels_of(graph).items() <= labels.items() and find_maker(live) is None


def find_maker(live: Mapping[str, Value]) -> str | None:
    """Return the object whose controller made this one, in words; None where no controller did."""
    for owner in objects(live, "metadata", "ownerReferences"):
        if owner.get("controller") is True:
            return f"{text(owner, 'kind')} {text(owner, 'name')}"
    return None


def is_content(document: Mapping[str, Value]) -> bool:
    """Say whether a document never changes: its name tells what it holds."""
    return ref_of(document).kind == CONFIG_MAP and document.get("immutable") is True


def name_of(document: Mapping[str, Value]) -> str:
    """Return what an object is called in a sentence."""
    return f"{text(document, 'kind')} {text(document, 'metadata', 'name')}"
