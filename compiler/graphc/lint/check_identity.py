"""Checks what a manifest says it is, and the names that the API server reads first."""

from collections.abc import Iterator
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import MANIFEST_KIND, MANIFEST_NAME
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import nearest
from graphc.lint.words import is_label, is_label_value, is_qualified_name, is_subdomain
from graphc.seldon.documents import GROUP, KIND
from graphc.seldon.node import ManifestNode

VERSIONS: Final = ("v1", "v1alpha2", "v1alpha3")


def check_identity(root: ManifestNode, sink: Sink) -> None:
    """Report a kind or version that Seldon has not, and names that no object can have."""
    for problem in (*_kind(root), *_names(root.child("metadata"))):
        sink.report(problem)


def _kind(root: ManifestNode) -> Iterator[Diagnostic]:
    known = [f"{GROUP}/{version}" for version in VERSIONS]
    version, kind = root.text("apiVersion"), root.text("kind")
    if version not in known:
        message = (
            f"{quoted(version)} is no version of Seldon's" if version else "the manifest has no `apiVersion`"
        )
        yield Diagnostic(
            MANIFEST_KIND, message, root.at("apiVersion"), f"write `{nearest(version, known) or known[0]}`"
        )
    if kind != KIND:
        message = f"{quoted(kind)} is no kind of Seldon's" if kind else "the manifest has no `kind`"
        yield Diagnostic(MANIFEST_KIND, message, root.at("kind"), f"write `{KIND}`")


def _names(metadata: ManifestNode) -> Iterator[Diagnostic]:
    name, prefix, namespace = map(metadata.text, ("name", "generateName", "namespace"))
    if not name and not prefix:
        yield Diagnostic(MANIFEST_NAME, "the manifest has no name", metadata.span, "add `metadata.name`")
    elif not is_subdomain(name or f"{prefix}x"):
        message = f"{quoted(name or prefix)} cannot be an object's name"
        hint = "use lower-case letters, digits, `-` and `.`, 253 characters at most"
        yield Diagnostic(MANIFEST_NAME, message, metadata.at("name" if name else "generateName"), hint)
    if namespace and not is_label(namespace):
        message = f"{quoted(namespace)} cannot be a namespace's name"
        hint = "use lower-case letters, digits and `-`, 63 characters at most"
        yield Diagnostic(MANIFEST_NAME, message, metadata.at("namespace"), hint)
    for key, span in metadata.child("labels").keys():  # noqa: SIM118 - not a dict
        value = metadata.child("labels").text(key)
        if not is_qualified_name(key) or not is_label_value(value):
            yield Diagnostic(MANIFEST_NAME, f"{quoted(f'{key}: {value}')} cannot be a label", span)
    for key, span in metadata.child("annotations").keys():  # noqa: SIM118 - not a dict
        if not is_qualified_name(key.lower()):
            yield Diagnostic(MANIFEST_NAME, f"{quoted(key)} cannot be an annotation's name", span)
