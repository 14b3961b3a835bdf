"""Knows the Deployments of a graph that runs without Seldon: which version each is of, and what is in it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from graphc.engine_graph import COMPONENT, ENGINE, ENTRY, MANAGED_BY, PART_OF, PREDICTOR
from graphc.records import record
from graphc.seldon.node import ManifestNode

KIND: Final = "Deployment"
API_VERSION: Final = "apps/v1"


@record
class Workload:
    """A Deployment of a version of a graph."""

    name: str
    graph: str
    version: str
    is_entry: bool
    """Whether clients call its pods; otherwise the engine of its version calls them."""
    engine: str | None
    """The container that graphc's engine runs in."""
    annotations: Mapping[str, str]
    node: ManifestNode

    @property
    def template(self) -> ManifestNode:
        """Return the pods' own part."""
        return self.node.child("spec").child("template").child("spec")

    @property
    def replicas(self) -> int | None:
        """Return how many pods there are; None where something else decides."""
        return self.node.child("spec").number("replicas")


def is_workload(document: ManifestNode) -> bool:
    """Say whether a document is a Deployment that graphc made for a version of a graph."""
    labels = document.child("metadata").texts("labels")
    is_ours = labels.get(MANAGED_BY) == "graphc" and PREDICTOR in labels and PART_OF in labels
    return document.text("kind") == KIND and is_ours


def list_workloads(documents: Iterable[ManifestNode]) -> list[Workload]:
    """Return the Deployments of graphs among documents."""
    return [_read(each) for each in documents if is_workload(each)]


def group_versions(workloads: Sequence[Workload]) -> dict[str, list[Workload]]:
    """Return the Deployments of each version of one graph."""
    found: dict[str, list[Workload]] = {}
    for each in workloads:
        found.setdefault(each.version, []).append(each)
    return found


def _read(document: ManifestNode) -> Workload:
    metadata = document.child("metadata")
    labels, annotations = metadata.texts("labels"), metadata.texts("annotations")
    return Workload(
        metadata.text("name"),
        labels[PART_OF],
        labels[PREDICTOR],
        labels.get(COMPONENT) == ENTRY,
        annotations.get(ENGINE),
        annotations,
        document,
    )
