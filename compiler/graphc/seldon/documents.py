"""Tells Kubernetes' documents from graphs, and finds the SeldonDeployments among them."""

from collections.abc import Iterator
from typing import Final

from graphc.seldon.node import ManifestNode
from graphc.source.located import Entry, Fields, Items, Located, Scalar

GROUP: Final = "machinelearning.seldon.io"
KIND: Final = "SeldonDeployment"


def is_manifest(document: Located) -> bool:
    """Say whether a document is an object of Kubernetes', whichever, and not a graph."""
    root = ManifestNode(document)
    kind, version = root.text("kind"), root.text("apiVersion")
    if kind in {KIND, f"{KIND}List"} or version.startswith(f"{GROUP}/"):
        return True
    is_ours = kind.casefold() == "inferencegraph" or "graphc" in version
    return bool(kind and version) and not is_ours


def find_deployments(document: Located) -> Iterator[Fields]:
    """Yield the SeldonDeployments, those in lists included; other kinds are not ours to judge."""
    for each in flatten(document):
        if isinstance(each, Fields) and _is_seldons(ManifestNode(each)):
            yield each


def flatten(document: Located) -> Iterator[Located]:
    """Yield the items of a list of Kubernetes', or the document itself where it is none."""
    items = document.find("items") if isinstance(document, Fields) else None
    if (
        items is not None
        and ManifestNode(document).text("kind").endswith("List")
        and isinstance(items.value, Items)
    ):
        for item in items.value.items:
            yield from flatten(_with_kind(item, ManifestNode(document)))
    else:
        yield document


def _with_kind(item: Located, whole: ManifestNode) -> Located:
    """Return an item that does not say what it is as kubectl takes it: it is what the list's kind says."""
    kind = whole.text("kind").removesuffix("List")
    if not kind or not isinstance(item, Fields) or any(map(ManifestNode(item).has, ("kind", "apiVersion"))):
        return item
    said = {"apiVersion": whole.text("apiVersion"), "kind": kind}
    own = tuple(Entry(key, item.span, Scalar(value, item.span)) for key, value in said.items())
    return Fields((*own, *(each for each in item.entries if each.key not in said)), item.span)


def _is_seldons(root: ManifestNode) -> bool:
    return root.text("kind") == KIND or root.text("apiVersion").startswith(f"{GROUP}/")
