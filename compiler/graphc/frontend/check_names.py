"""Checks that the engine and Kubernetes can use every name."""

import re
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.diagnostics.codes.limits import BAD_NAME, LONG_NAME
from graphc.spec.read import GraphSpec

# The operator writes the label `seldon-app-svc-UNIT`, whose name part Kubernetes limits to 63 characters.
MAX_UNIT: Final = 48
# The operator names a Deployment GRAPH-PREDICTOR-0-UNITS and hashes it beyond 63; a Service must fit as it is.
MAX_LABEL: Final = 63

_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_TENSOR: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*\Z")


def check_names(spec: GraphSpec, sink: Sink) -> None:
    """Report names of the graph, its nodes, units, predictors and tensors that cannot be used."""
    metadata = spec.fields.metadata
    _check_label(metadata.name, "graph", spec.at("metadata", "name"), MAX_UNIT, sink)
    if metadata.namespace is not None:
        _check_label(metadata.namespace, "namespace", spec.at("metadata", "namespace"), MAX_LABEL, sink)
    for name, node in spec.nodes.items():
        _check_label(name, "node", spec.at("nodes", name, key=True), MAX_UNIT, sink)
        if node.unit is not None:
            _check_label(node.unit, "unit", spec.at("nodes", name, "unit"), MAX_UNIT, sink)
        if name in spec.fields.inputs:
            message = f"`{name}` is both a node and a graph input"
            sink.report(Diagnostic(DUPLICATE_NAME, message, spec.at("nodes", name, key=True)))
    for name in spec.fields.predictors:
        at = spec.at("predictors", name, key=True)
        _check_label(name, "predictor", at, MAX_LABEL - 1 - len(metadata.name), sink)
    for field, names in (("inputs", spec.fields.inputs), ("outputs", spec.fields.outputs)):
        for name in names:
            _check_tensor(name, field[:-1], spec.at(field, name, key=True), sink)


def _check_label(name: str, what: str, at: Span, longest: int, sink: Sink) -> None:
    if not _DNS_1035.match(name):
        message = (
            f"the {what} name `{name}` is not lower-case letters, digits and dashes, starting with a letter"
        )
        sink.report(Diagnostic(BAD_NAME, message, at, _suggestion(name)))
    elif len(name) > longest:
        message = f"the {what} name `{name}` has {len(name)} characters, and the cluster takes {longest}"
        sink.report(Diagnostic(LONG_NAME, message, at))


def _suggestion(name: str) -> str | None:
    lowered = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"write `{lowered}`" if _DNS_1035.match(lowered) else None


def _check_tensor(name: str, what: str, at: Span, sink: Sink) -> None:
    if "." in name or not _TENSOR.match(name):
        message = f"the {what} name `{name}` is not letters, digits and underscores, starting with a letter"
        sink.report(Diagnostic(BAD_NAME, message, at))
