"""Applies a graph's documents, and leaves to what scales a Deployment the number of its replicas."""

from collections.abc import Mapping, Sequence
from typing import Final

from graphc.cluster.bundle import SCALERS, WORKLOAD, find_bounds
from graphc.cluster.client import MANAGER, Cluster, Ref, ref_of
from graphc.ir.graph import Value
from graphc.unchecked import Data, fields, number, objects, text

REPLICAS: Final = "spec.replicas"


def complete(document: Data, live: Mapping[str, Value] | None, documents: Sequence[Data]) -> Data:
    """Return a document as it is to be applied over what is live.

    A Deployment that something scales says nothing of its replicas. To leave out what graphc applied before would make
    it one replica: until the scaler has set another number, graphc says the live one. A new Deployment begins with the
    least that its scaler allows.
    """
    if ref_of(document).kind != WORKLOAD or "replicas" in fields(document, "spec"):
        return document
    name = text(document, "metadata", "name")
    if live is None:
        least = (find_bounds(each)[0] for each in documents if _scales(each, name))
        replicas = next(least, None)
    else:
        replicas = number(live, "spec", "replicas") if _is_said(live) else None
    if replicas is None:
        return document
    return {**document, "spec": {**fields(document, "spec"), "replicas": replicas}}


def find_freed(document: Data, others: Mapping[Ref, Data]) -> list[Ref]:
    """Return what scaled a Deployment that now says its replicas itself, among a graph's other objects."""
    if ref_of(document).kind != WORKLOAD or "replicas" not in fields(document, "spec"):
        return []
    name = text(document, "metadata", "name")
    return [ref for ref, each in others.items() if _scales(each, name)]


def leave_replicas(documents: Sequence[Data]) -> list[Data]:
    """Return live objects as documents: the replicas of what is scaled are whatever they are."""
    return [
        {**each, "spec": {name: value for name, value in fields(each, "spec").items() if name != "replicas"}}
        if ref_of(each).kind == WORKLOAD
        and any(_scales(other, text(each, "metadata", "name")) for other in documents)
        else each
        for each in documents
    ]


def _scales(document: Mapping[str, Value], name: str) -> bool:
    return ref_of(document).kind in SCALERS and text(document, "spec", "scaleTargetRef", "name") == name


def _is_said(live: Mapping[str, Value]) -> bool:
    """Say whether graphc applied the number of replicas, and nobody set another since."""
    return any(
        text(each, "manager") == MANAGER
        and text(each, "operation") == "Apply"
        and "f:replicas" in fields(each, "fieldsV1", "f:spec")
        for each in objects(live, "metadata", "managedFields")
    )


def put(
    cluster: Cluster,
    document: Data,
    documents: Sequence[Data],
    *,
    live: Mapping[str, Value] | None,
    force: bool,
    dry_run: bool = False,
    manager: str = MANAGER,
) -> Data:
    """Apply a document of several over what is live, and return what came, or would come, of it."""
    return cluster.apply(complete(document, live, documents), force=force, dry_run=dry_run, manager=manager)
