"""Tells Kubernetes' documents from graphs, and finds the SeldonDeployments among them."""

from collections.abc import Iterator
from typing import Final

from graphc.seldon.node import Node
from graphc.source.located import Fields, Items, Located

GROUP: Final = "machinelearning.seldon.io"
KIND: Final = "SeldonDeployment"


def is_manifest(document: Located) -> bool:
    """Say whether a document is an object of Kubernetes', whichever, and not a graph."""
    root = Node(document)
    kind, version = root.text("kind"), root.text("apiVersion")
    if kind in {KIND, f"{KIND}List"} or version.startswith(f"{GROUP}/"):
        return True
    is_ours = kind.casefold() == "inferencegraph" or "graphc" in version
    return bool(kind and version) and not is_ours


def find_deployments(document: Located) -> Iterator[Fields]:
    """Yield the SeldonDeployments, those in lists included; other kinds are not ours to judge."""
    for each in flatten(document):
        if isinstance(each, Fields) and _is_seldons(Node(each)):
            yield each


def flatten(document: Located) -> Iterator[Located]:
    """Yield the items of a list of Kubernetes', or the document itself where it is none."""
    items = document.find("items") if isinstance(document, Fields) else None
    if items is not None and Node(document).text("kind").endswith("List") and isinstance(items.value, Items):
        for item in items.value.items:
            yield from flatten(item)
    else:
        yield document


def _is_seldons(root: Node) -> bool:
    return root.text("kind") == KIND or root.text("apiVersion").startswith(f"{GROUP}/")
