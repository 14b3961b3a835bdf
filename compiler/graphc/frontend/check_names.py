"""Checks that the engine and Kubernetes can use every name."""

import re
from typing import Final

from graphc_components.servers import VARIABLES

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.diagnostics.codes.limits import BAD_NAME, LONG_NAME
from graphc.diagnostics.printable import quoted
from graphc.ir.limits import LABEL, Limits
from graphc.server_start import server_container
from graphc.spec.fields import AnyNode, Cascade, Model, Python, Resources, Router, Server
from graphc.spec.read_spec import GraphSpec
from graphc.spec.scalars import SHORT

MAX_OBJECT: Final = 253

_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
# A dot parts a node from its tensor; a colon stands in the names of tensors that graphc makes itself.
_TENSOR: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
_KEY: Final = re.compile(r"(?!\.\Z|\.\.)[-._a-zA-Z0-9]+\Z")
_OBJECT: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL_KEY: Final = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?\Z")

_OWN_VARIABLES: Final = frozenset(
    {
        "GRAPHC_ARTIFACTS",
        "GRAPHC_GRACE_S",
        "GRAPHC_REGION",
        "GRAPHC_REGION_FILE",
        "GRAPHC_VERSIONS",
        "GRAPHC_WORKERS",
        "MLSERVER_GRPC_PORT",
        "MLSERVER_GZIP_ENABLED",
        "MLSERVER_HTTP_PORT",
        "MLSERVER_METRICS_DIR",
        "MLSERVER_METRICS_PORT",
        "MLSERVER_MODEL_IMPLEMENTATION",
        "MLSERVER_MODEL_NAME",
        "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION",
        "MLSERVER_PARALLEL_WORKERS",
    }
)
"""Variables of a unit that graphc sets."""


def check_names(spec: GraphSpec, limits: Limits, sink: Sink) -> None:
    """Report names of the graph, its parts and what it refers to that cannot be used."""
    metadata = spec.fields.metadata
    _check_label(metadata.name, "graph", spec.at("metadata", "name"), limits.unit_name, sink)
    if metadata.namespace is not None:
        _check_label(metadata.namespace, "namespace", spec.at("metadata", "namespace"), LABEL, sink)
    for name, node in spec.nodes.items():
        _check_label(name, "node", spec.at("nodes", name, key=True), limits.unit_name, sink)
        if node.unit is not None:
            _check_label(node.unit, "unit", spec.at("nodes", name, "unit"), limits.unit_name, sink)
        if name in spec.fields.inputs:
            message = f"`{name}` is both a node and a graph input"
            sink.report(Diagnostic(DUPLICATE_NAME, message, spec.at("nodes", name, key=True)))
        _check_tensors_of(spec, name, node, sink)
        _check_variables(spec, name, node, limits, sink)
    for name, unit in spec.fields.placement.units.items():
        _check_label(unit, "unit", spec.at("placement", name), limits.unit_name, sink)
    for name in spec.fields.predictors:
        at = spec.at("predictors", name, key=True)
        # A Service is called GRAPH-PREDICTOR, and has to be a label.
        _check_label(name, "predictor", at, LABEL - 1 - len(metadata.name), sink)
    for field, names in (("inputs", spec.fields.inputs), ("outputs", spec.fields.outputs)):
        for name in names:
            _check_tensor(name, field[:-1], spec.at(field, name, key=True), sink)
    _check_objects(spec, sink)
    _check_servers(spec, limits, sink)
    _check_labels(spec, sink)


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
    if not _TENSOR.match(name):
        message = (
            f"the {what} name {quoted(name)} is not letters, digits, `_` and `-`, starting with a letter"
        )
        sink.report(Diagnostic(BAD_NAME, message, at))


def _check_tensors_of(spec: GraphSpec, name: str, node: AnyNode, sink: Sink) -> None:
    """Check the tensors that the file itself names; a model's are called as the model has them."""
    if isinstance(node, Python):
        for output in node.out:
            _check_tensor(output, "output", spec.at("nodes", name, "out", output, key=True), sink)
    field = "branches" if isinstance(node, Router) else "cascade"
    ways = node.branches if isinstance(node, Router) else node.cascade if isinstance(node, Cascade) else []
    for index, way in enumerate(ways):
        for output in way.take:
            if output != SHORT:
                at = spec.at("nodes", name, field, index, "take", output, key=True)
                _check_tensor(output, "output", at, sink)


def _check_variables(spec: GraphSpec, name: str, node: AnyNode, limits: Limits, sink: Sink) -> None:
    own = _OWN_VARIABLES | limits.variables
    setter = "graphc" if limits.operator is None else f"graphc or by {limits.operator}"
    for variable, value in node.env.items():
        at = spec.at("nodes", name, "env", variable, key=True)
        hardware = _hardware_variables(node.resources or spec.fields.resources)
        if variable in own | hardware or variable.startswith(VARIABLES):
            message = f"the variable `{variable}` is set by {setter}"
            sink.report(Diagnostic(BAD_NAME, message, at, "choose another name"))
        elif not _VARIABLE.match(variable):
            message = f"{quoted(variable)} is not the name of an environment variable"
            sink.report(Diagnostic(BAD_NAME, message, at))
        _check_object(value.secret, "Secret", spec.at("nodes", name, "env", variable, "secret"), sink)
        _check_key(value.key, "Secret", spec.at("nodes", name, "env", variable, "key"), sink)


_GPU_VARIABLES: Final = frozenset(
    {
        "GRAPHC_DEVICE",
        "GRAPHC_GPUS",
        "GRAPHC_GPU_MEMORY_MIB",
        "GRAPHC_TENSORRT_CACHE",
        "GRAPHC_TENSORRT_FP16",
    }
)


def _hardware_variables(resources: Resources | None) -> set[str]:
    """Return the variables that tell the runtime what its container gets."""
    if resources is None:
        return set()
    asks_gpu = resources.gpu is not None and resources.gpu.amount
    return ({"GRAPHC_THREADS"} if resources.cpu else set[str]()) | (
        _GPU_VARIABLES if asks_gpu else set[str]()
    )


def _check_objects(spec: GraphSpec, sink: Sink) -> None:
    fields = spec.fields
    _check_object(fields.service_account, "service account", spec.at("service_account"), sink)
    _check_object(fields.runtime.pull_secret, "Secret", spec.at("runtime", "pull_secret"), sink)
    for name, node in spec.nodes.items():
        if isinstance(node, Server) and node.token is not None:
            _check_object(node.token.secret, "Secret", spec.at("nodes", name, "token", "secret"), sink)
        if isinstance(node, Model):
            _check_object(node.credentials, "Secret", spec.at("nodes", name, "credentials"), sink)


def _check_servers(spec: GraphSpec, limits: Limits, sink: Sink) -> None:
    names = {*spec.nodes, *spec.fields.placement.units.values()}
    names |= {node.unit for node in spec.nodes.values() if node.unit is not None}
    for name, server in spec.fields.servers.items():
        at = spec.at("servers", name, key=True)
        _check_label(name, "server", at, limits.unit_name - len(server_container("")), sink)
        if server_container(name) in names:
            message = f"the container of the server `{name}` has the name of a node or unit, `{server_container(name)}`"
            sink.report(Diagnostic(DUPLICATE_NAME, message, at))
        if server.token is not None:
            _check_object(server.token.secret, "Secret", spec.at("servers", name, "token", "secret"), sink)
            _check_key(server.token.key, "Secret", spec.at("servers", name, "token", "key"), sink)
        if server.ca is not None:
            called, field, kind = server.ca.place
            _check_object(called, kind, spec.at("servers", name, "ca", field), sink)
            _check_key(server.ca.key, kind, spec.at("servers", name, "ca", "key"), sink)
        for variable, value in server.env.items():
            path = ("servers", name, "env", variable)
            if not _VARIABLE.match(variable):
                message = f"{quoted(variable)} is not the name of an environment variable"
                sink.report(Diagnostic(BAD_NAME, message, spec.at(*path, key=True)))
            _check_object(value.secret, "Secret", spec.at(*path, "secret"), sink)
            _check_key(value.key, "Secret", spec.at(*path, "key"), sink)


def _check_object(name: str | None, what: str, at: Span, sink: Sink) -> None:
    if name is not None and not (_OBJECT.match(name) and len(name) <= MAX_OBJECT):
        message = f"{quoted(name)} cannot be the name of a {what}"
        sink.report(Diagnostic(BAD_NAME, message, at, "use lower-case letters, digits, `-` and `.`"))


def _check_key(key: str | None, what: str, at: Span, sink: Sink) -> None:
    if key is not None and not (_KEY.match(key) and len(key) <= MAX_OBJECT):
        message = f"{quoted(key)} cannot be a key of a {what}"
        sink.report(Diagnostic(BAD_NAME, message, at, "use letters, digits, `-`, `_` and `.`"))


def _check_labels(spec: GraphSpec, sink: Sink) -> None:
    metadata = spec.fields.metadata
    for key, value in metadata.labels.items():
        if not _LABEL_VALUE.match(value):
            message = f"{quoted(value)} cannot be a label's value"
            hint = "use up to 63 letters, digits, `-`, `_` and `.`; an annotation takes any text"
            sink.report(Diagnostic(BAD_NAME, message, spec.at("metadata", "labels", key), hint))
    for field in ("labels", "annotations"):
        for key in metadata.labels if field == "labels" else metadata.annotations:
            if not _LABEL_KEY.match(key):
                message = f"{quoted(key)} cannot be the key of {'a label' if field == 'labels' else 'an annotation'}"
                sink.report(Diagnostic(BAD_NAME, message, spec.at("metadata", field, key, key=True)))
