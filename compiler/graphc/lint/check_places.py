"""Checks fields of pods that must fit together: selectors, tolerations, variables, DNS, privileges."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import POD_CHOICE, POD_VALUE
from graphc.diagnostics.printable import quoted
from graphc.lint.parts import pod_parts
from graphc.lint.schema import Record
from graphc.lint.visit import visit
from graphc.lint.words import is_label_value, is_qualified_name, parse_quantity
from graphc.seldon.deployment import Deployment
from graphc.seldon.node import ManifestNode

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

_NODES_ONLY: Final = frozenset({"Gt", "Lt"})
_FILES_ONLY: Final = frozenset({"metadata.labels", "metadata.annotations"})


def check_places(deployment: Deployment, sink: Sink) -> None:
    """Report what Kubernetes refuses because fields of a pod do not fit together."""
    for part in pod_parts(deployment):
        for record, node in visit(part.node, part.record):
            for problem in _record(record, node):
                sink.report(problem)


def _record(record: Record, node: ManifestNode) -> Iterator[Diagnostic]:
    if field := _LABELS.get(record.name):
        yield from _labels(node.child(field))
    if check := _CHECKS.get(record.name):
        yield from check(node)


def _labels(node: ManifestNode) -> Iterator[Diagnostic]:
    for key, span in node.keys():  # noqa: SIM118 - not a dict
        if not is_qualified_name(key) or not is_label_value(node.text(key)):
            yield Diagnostic(POD_VALUE, f"{quoted(f'{key}: {node.text(key)}')} cannot be a label", span)


def _requirement(node: ManifestNode) -> Iterator[Diagnostic]:
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


def _toleration(node: ManifestNode) -> Iterator[Diagnostic]:
    operator = node.text("operator")
    if operator == "Exists" and node.text("value"):
        yield Diagnostic(POD_VALUE, "a toleration that `Exists` has no value", node.at("value"))
    if not node.text("key") and operator != "Exists":
        yield Diagnostic(POD_VALUE, "a toleration without a key must say `operator: Exists`", node.span)
    if node.has("tolerationSeconds") and node.text("effect") != "NoExecute":
        message = "only a toleration of `NoExecute` has seconds"
        yield Diagnostic(POD_VALUE, message, node.at("tolerationSeconds"))


def _privileges(node: ManifestNode) -> Iterator[Diagnostic]:
    forbids = node.has("allowPrivilegeEscalation") and not node.flag("allowPrivilegeEscalation")
    added = {each.as_text for each in node.child("capabilities").items("add")}
    if forbids and (node.flag("privileged") or "CAP_SYS_ADMIN" in added):
        message = "a container that is privileged cannot forbid to become so"
        yield Diagnostic(POD_VALUE, message, node.at("allowPrivilegeEscalation"))


def _variable(node: ManifestNode) -> Iterator[Diagnostic]:
    if node.text("value") and node.has("valueFrom"):
        message = f"the variable {quoted(node.text('name'))} has `value` and `valueFrom`"
        yield Diagnostic(POD_CHOICE, message, node.key_at("valueFrom"))
    path = node.child("valueFrom").child("fieldRef")
    if path.text("fieldPath") in _FILES_ONLY:
        message = f"a variable cannot hold all of {quoted(path.text('fieldPath'))}"
        yield Diagnostic(
            POD_VALUE, message, path.at("fieldPath"), "name one, as in `metadata.labels['team']`"
        )


def _file(node: ManifestNode) -> Iterator[Diagnostic]:
    path, resource = node.child("fieldRef"), node.find("resourceFieldRef")
    if path.text("fieldPath") and not path.text("fieldPath").startswith("metadata."):
        message = f"a file cannot hold {quoted(path.text('fieldPath'))}"
        yield Diagnostic(POD_VALUE, message, path.at("fieldPath"))
    if resource and not resource.text("containerName"):
        yield Diagnostic(POD_VALUE, "a file that tells a resource needs `containerName`", resource.span)


def _seccomp(node: ManifestNode) -> Iterator[Diagnostic]:
    if node.has("localhostProfile") != (node.text("type") == "Localhost"):
        message = "a profile of type `Localhost`, and no other, has a `localhostProfile`"
        yield Diagnostic(POD_VALUE, message, node.at("type"))


def _pod(node: ManifestNode) -> Iterator[Diagnostic]:
    if node.text("dnsPolicy") == "None" and not node.child("dnsConfig").items("nameservers"):
        message = "without a DNS policy a pod needs `dnsConfig.nameservers`"
        yield Diagnostic(POD_VALUE, message, node.at("dnsPolicy"))
    if not node.flag("hostNetwork"):
        return
    for port in (port for container in node.items("containers") for port in container.items("ports")):
        if port.number("hostPort") not in (None, 0, port.number("containerPort")):
            message = "in the host's network `hostPort` is the same as `containerPort`"
            yield Diagnostic(POD_VALUE, message, port.at("hostPort"))


def _node_selector(node: ManifestNode) -> Iterator[Diagnostic]:
    if not node.items("nodeSelectorTerms"):
        yield Diagnostic(POD_VALUE, "a node selector needs a term", node.span)
    for term in node.items("nodeSelectorTerms"):
        yield from _label_values(term)


def _label_selector(node: ManifestNode) -> Iterator[Diagnostic]:
    yield from _label_values(node)
    for each in node.items("matchExpressions"):
        if each.text("operator") in _NODES_ONLY:
            message = f"`{each.text('operator')}` compares nodes only"
            yield Diagnostic(POD_VALUE, message, each.at("operator"))


def _label_values(node: ManifestNode) -> Iterator[Diagnostic]:
    for value in (value for each in node.items("matchExpressions") for value in each.items("values")):
        if not is_label_value(value.as_text or ""):
            yield Diagnostic(
                POD_VALUE, f"{quoted(value.as_text or '')} cannot be a label's value", value.span
            )


def _scratch(node: ManifestNode) -> Iterator[Diagnostic]:
    limit = node.find("sizeLimit")
    amount = parse_quantity(limit.as_text or "") or limit.as_int if limit else None
    if limit and amount is not None and amount < 0:
        yield Diagnostic(POD_VALUE, "a volume's size cannot be negative", limit.span)


_CHECKS: Final[Mapping[str, Callable[[ManifestNode], Iterator[Diagnostic]]]] = {
    "DownwardFile": _file,
    "EmptyDir": _scratch,
    "EnvVar": _variable,
    "LabelSelector": _label_selector,
    "NodeSelector": _node_selector,
    "PodSpec": _pod,
    "SeccompProfile": _seccomp,
    "SecurityContext": _privileges,
    "SelectorRequirement": _requirement,
    "Toleration": _toleration,
}
