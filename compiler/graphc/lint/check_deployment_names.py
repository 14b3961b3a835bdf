"""Checks that a file has no two SeldonDeployments of one name: the later one takes the place of the earlier."""

from collections.abc import Iterable

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import DEPLOYMENT_TWICE
from graphc.diagnostics.printable import quoted
from graphc.seldon.node import ManifestNode
from graphc.source.located import Fields


def check_deployment_names(documents: Iterable[Fields], sink: Sink) -> None:
    """Report deployments of one file and namespace that are called alike; files may be of several clusters."""
    seen: set[tuple[str, str, str, str]] = set()
    for document in documents:
        node = ManifestNode(document)
        metadata = node.child("metadata")
        name = metadata.text("name")
        key = (document.span.file, node.text("apiVersion"), metadata.text("namespace"), name)
        if name and key in seen:
            message = f"two SeldonDeployments are called {quoted(name)}"
            hint = "leave one, or give it another name: the cluster keeps the last"
            sink.report(Diagnostic(DEPLOYMENT_TWICE, message, metadata.at("name"), hint))
        seen.add(key)
