"""What one graph puts into a cluster: its documents, in the order in which they go there."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.cluster.client import Kind, Ref, ref_of
from graphc.cluster.problem import ClusterError
from graphc.ir.graph import Value
from graphc.unchecked import Data, copy_fields, fields, text

DEPLOYMENT: Final = Kind("machinelearning.seldon.io/v1", "SeldonDeployment")
CONFIG_MAP: Final = Kind("v1", "ConfigMap")

PART_OF: Final = "app.kubernetes.io/part-of"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
SIGNATURE: Final = "graphc.dev/content-hash"

ROUTING: Final = (
    "gateway.networking.k8s.io/",
    "networking.istio.io/",
    "getambassador.io/",
    "networking.k8s.io/",
)
"""The API groups whose objects send requests to a SeldonDeployment's services, which have to be there."""

_SERVERS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


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
    def deployment(self) -> Data | None:
        """The SeldonDeployment."""
        return next((each for each in self.documents if ref_of(each).kind == DEPLOYMENT), None)

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
    return Bundle(name, namespace, tuple(sorted(placed, key=_rank)))


def _place(document: Mapping[str, Value], namespace: str) -> Data:
    placed = copy_fields(document)
    metadata = fields(placed, "metadata")
    metadata.setdefault("namespace", namespace)
    placed["metadata"] = metadata
    return placed


def _rank(document: Data) -> int:
    """Config maps are there before the pods that mount them, and services before what routes to them."""
    if ref_of(document).kind == DEPLOYMENT:
        return 1
    return 2 if is_route(ref_of(document)) else 0


def is_route(ref: Ref) -> bool:
    """Say whether an object sends requests to a graph's services."""
    return ref.kind.api_version.startswith(ROUTING)


def order_of_removal(refs: Iterable[Ref]) -> list[Ref]:
    """Order objects so that none is gone while another still needs it."""
    return sorted(refs, key=lambda ref: (0 if is_route(ref) else 1 if ref.kind == DEPLOYMENT else 2, ref))


def strip(live: Mapping[str, Value]) -> Data:
    """Return an object without what the server adds to every one, and without its status."""
    document = copy_fields(live)
    document.pop("status", None)
    metadata = fields(document, "metadata")
    for name in _SERVERS:
        metadata.pop(name, None)
    annotations = fields(metadata, "annotations")
    # What client-side apply and the operator keep for themselves.
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    document["metadata"] = metadata
    return document


def is_ours(live: Mapping[str, Value], graph: str) -> bool:
    """Say whether graphc made an object for this graph."""
    labels = fields(live, "metadata", "labels")
    return labels.get(MANAGED_BY) == "graphc" and labels.get(PART_OF) == graph


def is_content(document: Mapping[str, Value]) -> bool:
    """Say whether a document never changes: its name tells what it holds."""
    return ref_of(document).kind == CONFIG_MAP and document.get("immutable") is True


def kinds_of(refs: Sequence[Ref]) -> list[Kind]:
    """Return the kinds of objects that may belong to a graph."""
    return sorted({CONFIG_MAP, DEPLOYMENT, *(ref.kind for ref in refs)})


def name_of(document: Mapping[str, Value]) -> str:
    """Return what an object is called in a sentence."""
    return f"{text(document, 'kind')} {text(document, 'metadata', 'name')}"
