"""Finds how a graph's objects are read: by what is among them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from graphc.cluster.bundle import is_ours, labels_of
from graphc.cluster.client import Cluster, Kind, Ref, ref_of
from graphc.cluster.problem import RefusedError
from graphc.cluster.serving import Serving
from graphc.cluster.serving_kubernetes import KubernetesServing
from graphc.cluster.serving_seldon import SeldonServing
from graphc.ir.graph import Value
from graphc.seldon.deployment import Deployment, deployment_of
from graphc.unchecked import Data

FORBIDDEN: Final = 403

SERVINGS: Final[tuple[Serving, ...]] = (SeldonServing(), KubernetesServing())


def serving_of(documents: Iterable[Mapping[str, Value]]) -> Serving | None:
    """Return how documents are read; None where none of them says what serves."""
    return serving_of_refs(map(ref_of, documents))


def serving_of_refs(refs: Iterable[Ref]) -> Serving | None:
    """Return how the objects of a graph are read, by their kinds."""
    kinds = {ref.kind for ref in refs}
    return next((each for each in SERVINGS if each.main in kinds), None)


def read_graph(documents: Iterable[Mapping[str, Value]]) -> Deployment:
    """Return what documents say of a graph's predictors: that there are none, where none of them does."""
    held: Sequence[Mapping[str, Value]] = list(documents)
    serving = serving_of(held)
    return deployment_of({}) if serving is None else serving.read(held)


def annotation_of(documents: Sequence[Data], name: str) -> str:
    """Return what a graph says of itself by an annotation, empty where it says nothing."""
    serving = serving_of(documents)
    return "" if serving is None else serving.annotation(documents, name)


def find_ours(cluster: Cluster, namespace: str, graph: str, refs: Sequence[Ref]) -> dict[Ref, Data]:
    """Return all live objects that graphc made for a graph; `refs` are those that it may have, by what is known."""
    kinds = {kind for each in order_servings(refs) for kind in each.kinds} | {ref.kind for ref in refs}
    is_known = serving_of_refs(refs) is not None
    found = (each for kind in sorted(kinds) for each in _find(cluster, kind, namespace, graph, is_known))
    return {ref_of(each): each for each in found if is_ours(each, graph)}


def _find(cluster: Cluster, kind: Kind, namespace: str, graph: str, is_known: bool) -> list[Data]:
    try:
        return cluster.find(kind, namespace, labels_of(graph))
    except RefusedError as refused:
        # Where nothing is known of a graph, it is not one of what the user may not even look at.
        if refused.code == FORBIDDEN and not is_known:
            return []
        raise


def order_servings(refs: Sequence[Ref]) -> list[Serving]:
    """Return how a graph may be read, as its remembered objects say; in every way where there are none of them."""
    known = serving_of_refs(refs)
    return list(SERVINGS) if known is None else [known]
