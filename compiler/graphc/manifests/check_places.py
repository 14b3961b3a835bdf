"""Checks where pods may run and what they listen on: selectors, tolerations, ports, DNS, privileges."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import POD_CHOICE, POD_VALUE
from graphc.diagnostics.printable import quoted
from graphc.manifests.model import Deployment
from graphc.manifests.node import Node
from graphc.manifests.parts import pod_parts
from graphc.manifests.schema import Record
from graphc.manifests.visit import visit
from graphc.manifests.words import is_label_value, is_qualified_name

_LABELS: Final = {"PodSpec": "nodeSelector", "LabelSelector": "matchLabels"}
_VALUES: Final[Mapping[str, tuple[int, int | None]]] = {
    "In": (1, None),
    "NotIn": (1, None),
    "Exists": (0, 0),
    "DoesNotExist": (0, 0),
    "Gt": (1, 1),
    "Lt": (1, 1),
}
"""How many values an operator of a selector has, at least and at most."""


def check_places(deployment: Deployment, sink: Sink) -> None:
    """Report what Kubernetes refuses because fields of a pod do not fit together."""
    for part in pod_parts(deployment):
        for record, node in visit(part.node, part.record):
            for problem in _record(record, node):
                sink.report(problem)


def _record(record: Record, node: Node) -> Iterator[Diagnostic]:
    if field := _LABELS.get(record.name):
        yield from _labels(node.child(field))
    match record.name:
        case "SelectorRequirement":
            yield from _requirement(node)
        case "Toleration":
            yield from _toleration(node)
        case "EnvVar" if node.text("value") and node.has("valueFrom"):
            message = f"the variable {quoted(node.text('name'))} has `value` and `valueFrom`"
            yield Diagnostic(POD_CHOICE, message, node.key_at("valueFrom"))
        case "SecurityContext":
            yield from _privileges(node)
        case "SeccompProfile" if node.has("localhostProfile") != (node.text("type") == "Localhost"):
            message = "a profile of type `Localhost`, and no other, has a `localhostProfile`"
            yield Diagnostic(POD_VALUE, message, node.at("type"))
        case "PodSpec" if node.text("dnsPolicy") == "None" and not node.child("dnsConfig").items(
            "nameservers"
        ):
            message = "without a DNS policy a pod needs `dnsConfig.nameservers`"
            yield Diagnostic(POD_VALUE, message, node.at("dnsPolicy"))
        case "NodeSelector" if not node.items("nodeSelectorTerms"):
            yield Diagnostic(POD_VALUE, "a node selector needs a term", node.span)
        case _:
            pass


def _labels(node: Node) -> Iterator[Diagnostic]:
    for key, span in node.keys():  # noqa: SIM118 - not a dict
        if not is_qualified_name(key) or not is_label_value(node.text(key)):
            yield Diagnostic(POD_VALUE, f"{quoted(f'{key}: {node.text(key)}')} cannot be a label", span)


def _requirement(node: Node) -> Iterator[Diagnostic]:
    operator, count = node.text("operator"), len(node.items("values"))
    if operator not in _VALUES:
        known = " or ".join(f"`{each}`" for each in _VALUES)
        yield Diagnostic(
            POD_VALUE, f"{quoted(operator)} is no operator", node.at("operator"), f"write {known}"
        )
        return
    least, most = _VALUES[operator]
    if count < least or (most is not None and count > most):
        words = {0: "no values", 1: "one value" if most else "values"}[least]
        yield Diagnostic(POD_VALUE, f"`{operator}` needs {words}", node.at("values"))


def _toleration(node: Node) -> Iterator[Diagnostic]:
    operator = node.text("operator")
    if operator == "Exists" and node.text("value"):
        yield Diagnostic(POD_VALUE, "a toleration that `Exists` has no value", node.at("value"))
    if not node.text("key") and operator != "Exists":
        yield Diagnostic(POD_VALUE, "a toleration without a key must say `operator: Exists`", node.span)
    if node.has("tolerationSeconds") and node.text("effect") != "NoExecute":
        message = "only a toleration of `NoExecute` has seconds"
        yield Diagnostic(POD_VALUE, message, node.at("tolerationSeconds"))


def _privileges(node: Node) -> Iterator[Diagnostic]:
    forbids = node.has("allowPrivilegeEscalation") and not node.flag("allowPrivilegeEscalation")
    added = {each.as_text for each in node.child("capabilities").items("add")}
    if forbids and (node.flag("privileged") or "CAP_SYS_ADMIN" in added):
        message = "a container that is privileged cannot forbid to become so"
        yield Diagnostic(POD_VALUE, message, node.at("allowPrivilegeEscalation"))
