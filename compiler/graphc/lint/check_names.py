"""Checks the names and labels of what the operator makes: Services, Deployments, their labels."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.manifests import MADE_LABEL, MADE_NAME
from graphc.diagnostics.printable import quoted
from graphc.lint.words import (
    LABEL_LENGTH,
    is_label_value,
    is_qualified_name,
    is_service_name,
    is_subdomain,
)
from graphc.seldon.deployment import SERVICE_NAME, TFSERVING, Container, Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit

_UNIT_LABEL: Final = "seldon-app-svc-"
_SERVICE_HINT: Final = "use lower-case letters, digits and `-`, and begin with a letter"
_OWNED: Final = "seldon-deployment-id"
"""The label by which a Deployment finds its pods; one of the user's own would replace it."""


def check_names(deployment: Deployment, sink: Sink) -> None:
    """Report names from which the operator would make others that Kubernetes refuses."""
    for predictor in deployment.predictors:
        for problem in (*_predictor(deployment, predictor), *_labels(deployment, predictor)):
            sink.report(problem)
        for unit in _served(predictor):
            for problem in _unit(deployment, predictor, unit):
                sink.report(problem)
        for pod in predictor.pods:
            for problem in _pod(deployment, predictor, pod):
                sink.report(problem)
    for problem in _annotations(deployment.spec):
        sink.report(problem)


def _predictor(deployment: Deployment, predictor: Predictor) -> Iterator[Diagnostic]:
    own = predictor.annotations.get(SERVICE_NAME)
    if own is not None:
        if not is_service_name(own):
            place = predictor.node.child("annotations").at(SERVICE_NAME)
            yield Diagnostic(MADE_NAME, f"{quoted(own)} cannot be a Service's name", place, _SERVICE_HINT)
        return
    made = deployment.made_name(predictor.name)
    if not is_service_name(made):
        yield _refused(made, _guilty(deployment, predictor, predictor.node.at("name")))


def _is_served(deployment: Deployment, predictor: Predictor) -> bool:
    """Say whether the predictor's own Service has a name."""
    return is_service_name(predictor.annotations.get(SERVICE_NAME, deployment.made_name(predictor.name)))


def _guilty(deployment: Deployment, predictor: Predictor, otherwise: Span) -> Span:
    """Return the place of the first of the names that make up a Service's that is wrong by itself."""
    metadata = deployment.node.child("metadata")
    if not is_service_name(deployment.name[:LABEL_LENGTH]):
        return metadata.at("name")
    if not is_service_name(f"x{predictor.name}"[:LABEL_LENGTH]):
        return predictor.node.at("name")
    return otherwise


def _refused(made: str, place: Span) -> Diagnostic:
    return Diagnostic(
        MADE_NAME, f"the Service {quoted(made)} would have a name that is none", place, _SERVICE_HINT
    )


def _served(predictor: Predictor) -> Iterator[SeldonUnit]:
    """Yield the units that get a Service: those with a container."""
    seen: set[str] = set()
    for unit in predictor.units:
        has_container = unit.is_server or predictor.container(unit.name) is not None
        if has_container and unit.name not in seen and unit.name != TFSERVING:
            yield unit
        seen.add(unit.name)


def _unit(deployment: Deployment, predictor: Predictor, unit: SeldonUnit) -> Iterator[Diagnostic]:
    made = deployment.made_name(predictor.name, unit.name)
    is_own_fault = not is_service_name(f"x-{unit.name}"[:LABEL_LENGTH])
    if not is_service_name(made) and (is_own_fault or _is_served(deployment, predictor)):
        yield _refused(made, _guilty(deployment, predictor, unit.node.at("name")))
    longest = LABEL_LENGTH - len(_UNIT_LABEL)
    if len(unit.name) > longest:
        message = f"the unit's name has {len(unit.name)} characters, and its label has room for {longest}"
        yield Diagnostic(MADE_NAME, message, unit.node.at("name"))
    elif is_service_name(made) and not is_qualified_name(_UNIT_LABEL + unit.name):
        yield Diagnostic(MADE_NAME, f"{quoted(unit.name)} cannot be part of a label", unit.node.at("name"))


def _pod(deployment: Deployment, predictor: Predictor, pod: Pod) -> Iterator[Diagnostic]:
    metadata = pod.node.child("metadata")
    own = metadata.text("name")
    made = deployment.made_name(predictor.name, str(pod.index), own or _joined(pod.containers))
    if own and pod.containers and not (is_subdomain(made) and is_label_value(made)):
        message = f"the Deployment {quoted(made)} would have a name that is none"
        yield Diagnostic(MADE_NAME, message, metadata.at("name"), _SERVICE_HINT)
    if pod.containers:
        yield from _label_values(metadata, deployment)
        yield from _annotations(metadata)


def _joined(containers: tuple[Container, ...]) -> str:
    return "-".join(container.name for container in containers)


def _labels(deployment: Deployment, predictor: Predictor) -> Iterator[Diagnostic]:
    yield from _label_values(predictor.node, deployment)
    yield from _annotations(predictor.node)
    version = predictor.name
    has_own = "version" in predictor.node.texts("labels")
    if not has_own and not is_label_value(version) and is_service_name(deployment.made_name(version)):
        message = f"{quoted(version)} cannot be the value of the label `version`"
        yield Diagnostic(MADE_LABEL, message, predictor.node.at("name"))


def _label_values(node: ManifestNode, deployment: Deployment) -> Iterator[Diagnostic]:
    owned: Mapping[str, str] = {_OWNED: deployment.made_name()}
    labels = node.child("labels")
    for key, span in labels.keys():  # noqa: SIM118 - not a dict
        value = labels.text(key)
        if not is_qualified_name(key):
            yield Diagnostic(MADE_LABEL, f"{quoted(key)} cannot be a label's name", span)
        elif not is_label_value(value):
            yield Diagnostic(MADE_LABEL, f"{quoted(value)} cannot be a label's value", labels.at(key))
        elif key in owned and value != owned[key]:
            message = f"the label `{key}` is Seldon's own, and must be {quoted(owned[key])}"
            yield Diagnostic(MADE_LABEL, message, span, "remove it")


def _annotations(node: ManifestNode) -> Iterator[Diagnostic]:
    for key, span in node.child("annotations").keys():  # noqa: SIM118 - not a dict
        if not is_qualified_name(key.lower()):
            yield Diagnostic(MADE_LABEL, f"{quoted(key)} cannot be an annotation's name", span)
