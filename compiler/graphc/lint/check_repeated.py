"""Checks names that lists of a pod give twice: taken so far, and refused by one of the CRDs of Seldon Core 1.19."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import GIVEN_TWICE
from graphc.diagnostics.printable import quoted
from graphc.lint.parts import pod_parts
from graphc.lint.visit import visit
from graphc.profiles.profile import Installation
from graphc.seldon.deployment import Deployment
from graphc.seldon.node import ManifestNode

_NAMED: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Container": {"env": ("name", "the variable")},
    "PodSpec": {"imagePullSecrets": ("name", "the pull secret"), "hostAliases": ("ip", "the host alias")},
}
_FIRST: Final = "1.18"
"""No CRD of this version refuses them."""


def check_repeated(deployment: Deployment, installation: Installation, sink: Sink) -> None:
    """Report names that are given twice, where that is not known to be taken."""
    if installation.seldon == _FIRST:
        return
    for part in pod_parts(deployment):
        for record, node in visit(part.node, part.record):
            for field, (key, noun) in _NAMED.get(record.name, {}).items():
                for problem in _repeated(node, field, key, noun):
                    sink.report(problem)


def _repeated(node: ManifestNode, field: str, key: str, noun: str) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for item in node.items(field):
        name = item.text(key)
        if name and name in seen:
            hint = "leave one: Seldon Core 1.19, as its kustomize files install it, refuses both"
            yield Diagnostic(GIVEN_TWICE, f"{noun} {quoted(name)} is given twice", item.at(key), hint)
        seen.add(name)
