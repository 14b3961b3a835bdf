"""Checks numbers of replicas: fixed, autoscaled, and those that a disruption must leave."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import IGNORED, SCALING
from graphc.diagnostics.printable import quoted
from graphc.lint.parts import explainer_of, running_pods
from graphc.lint.words import is_label, parse_percent, parse_quantity
from graphc.seldon.deployment import Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode

_SOURCES: Final[Mapping[str, str]] = {
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
    "External": "external",
    "ContainerResource": "containerResource",
}
_TARGETS: Final = frozenset({"Utilization", "Value", "AverageValue"})


def check_scaling(deployment: Deployment, sink: Sink) -> None:
    """Report numbers of replicas that Kubernetes refuses, or that nothing reads."""
    used: list[ManifestNode] = []
    for predictor in deployment.predictors:
        used += _used_replicas(deployment, predictor)
        for problem in _predictor(predictor):
            sink.report(problem)
    for node in _all_replicas(deployment):
        if (node.as_int or 0) < 0:
            rule = SCALING if node in used else IGNORED
            sink.report(Diagnostic(rule, f"there are no {node.as_int} replicas", node.span))


def _predictor(predictor: Predictor) -> Iterator[Diagnostic]:
    deadline = predictor.node.find("progressDeadlineSeconds")
    if deadline and (deadline.as_int or 0) <= 0:
        yield Diagnostic(SCALING, "the deadline for progress must be 1 second or more", deadline.span)
    for pod in running_pods(predictor):
        yield from _disruption(pod.node.child("pdbSpec"))
        if keda := pod.node.find("kedaSpec"):
            yield from _keda(keda)
        elif autoscaler := pod.node.find("hpaSpec"):
            yield from _autoscaler(autoscaler)


def _used_replicas(deployment: Deployment, predictor: Predictor) -> Iterator[ManifestNode]:
    general = predictor.node.find("replicas") or deployment.spec.find("replicas")
    pods = running_pods(predictor)
    found = [_own_replicas(pod) or general for pod in pods if not _is_autoscaled(pod)]
    if not predictor.pods:
        found.append(general)
    if predictor.has_engine and deployment.has_separate_engine:
        found.append(predictor.node.child("svcOrchSpec").find("replicas") or general)
    if explainer := explainer_of(predictor):
        found.append(explainer.find("replicas"))
    yield from (node for node in found if node)


def _own_replicas(pod: Pod) -> ManifestNode | None:
    return pod.node.find("replicas")


def _is_autoscaled(pod: Pod) -> bool:
    return pod.node.has("hpaSpec") or pod.node.has("kedaSpec")


def _all_replicas(deployment: Deployment) -> Iterator[ManifestNode]:
    owners = [deployment.spec]
    for predictor in deployment.predictors:
        parts = (predictor.node.child("svcOrchSpec"), predictor.node.child("explainer"))
        owners += [predictor.node, *(pod.node for pod in predictor.pods), *parts]
    yield from (node for owner in owners if (node := owner.find("replicas")))


def _autoscaler(node: ManifestNode) -> Iterator[Diagnostic]:
    low, high = node.number("minReplicas"), node.number("maxReplicas") or 0
    field = "metrics" if node.has("metrics") else "metricsv2"
    metrics = node.items(field)
    if high < 1:
        yield Diagnostic(SCALING, "the most replicas must be 1 or more", node.at("maxReplicas"))
    if low is not None and low < 1:
        yield Diagnostic(SCALING, "the fewest replicas must be 1 or more", node.at("minReplicas"))
    elif low is not None and high < low:
        message = f"the most replicas are {high}, and the fewest {low}"
        yield Diagnostic(SCALING, message, node.at("maxReplicas"))
    for metric in metrics:
        yield from _metric(metric, is_old=field == "metrics")


def _metric(metric: ManifestNode, *, is_old: bool) -> Iterator[Diagnostic]:
    kind = metric.text("type")
    # The operator reads an unknown word among the older metrics as `Object`.
    wanted = _SOURCES.get(kind, "object" if is_old else "")
    found = [name for name in _SOURCES.values() if metric.has(name)]
    if not wanted:
        yield Diagnostic(SCALING, f"{quoted(kind)} is not a metric's type", metric.at("type"))
    elif found != [wanted]:
        yield Diagnostic(SCALING, f"a metric of type {quoted(kind)} has `{wanted}` alone", metric.at("type"))
    else:
        source = metric.child(wanted)
        target = source if is_old else source.child("target")
        yield from _target(target, wanted, is_old=is_old)
        if wanted == "containerResource" and not is_label(source.text("container")):
            message = f"{quoted(source.text('container'))} cannot be a container's name"
            yield Diagnostic(SCALING, message, source.at("container"))


def _target(target: ManifestNode, source: str, *, is_old: bool) -> Iterator[Diagnostic]:
    average, value, use = _target_fields(is_old=is_old, source=source)
    if not is_old and target.text("type") not in _TARGETS:
        yield Diagnostic(SCALING, f"{quoted(target.text('type'))} is not a target's type", target.at("type"))
    for field in (average, value):
        amount = target.find(field)
        if amount and _is_not_positive(amount):
            yield Diagnostic(SCALING, f"`{field}` must be above 0", amount.span)
    share = target.number(use)
    if share is not None and share < 1:
        yield Diagnostic(SCALING, f"`{use}` must be 1 or more", target.at(use))
    choices = {"resource": (use, average), "containerResource": (use, average), "pods": (average,)}
    fields = choices.get(source, (value, average))
    found = [field for field in fields if target.has(field)]
    if not found:
        words = " or ".join(f"`{field}`" for field in fields)
        yield Diagnostic(SCALING, f"a metric needs {words}", target.span)
    elif len(found) > 1 and source != "object":
        yield Diagnostic(
            SCALING, f"a metric has only one of `{found[0]}` and `{found[1]}`", target.key_at(found[1])
        )


def _target_fields(*, is_old: bool, source: str) -> tuple[str, str, str]:
    if not is_old:
        return "averageValue", "value", "averageUtilization"
    average = "averageValue" if source == "object" else "targetAverageValue"
    return average, "targetValue", "targetAverageUtilization"


def _is_not_positive(node: ManifestNode) -> bool:
    number = node.as_int
    amount = number if number is not None else parse_quantity(node.as_text or "")
    return amount is not None and amount <= 0


def _keda(node: ManifestNode) -> Iterator[Diagnostic]:
    low, high = node.number("minReplicaCount"), node.number("maxReplicaCount")
    is_negative = (low is not None and low < 0) or (high is not None and high < 1)
    if is_negative or (low is not None and high is not None and low > high):
        message = f"KEDA cannot keep between {low or 0} and {high} replicas"
        yield Diagnostic(IGNORED, message, node.at("maxReplicaCount"))


def _disruption(node: ManifestNode) -> Iterator[Diagnostic]:
    if node.has("minAvailable") and node.has("maxUnavailable"):
        message = "a disruption budget has only one of `minAvailable` and `maxUnavailable`"
        yield Diagnostic(SCALING, message, node.key_at("maxUnavailable"))
    for field in ("minAvailable", "maxUnavailable"):
        found = node.find(field)
        if found and not _is_share(found):
            message = f"`{field}` must be 0 or more, or a percentage up to 100"
            yield Diagnostic(SCALING, message, found.span)


def _is_share(node: ManifestNode) -> bool:
    if (number := node.as_int) is not None:
        return number >= 0
    percent = parse_percent(node.as_text or "")
    return percent is not None and percent <= 100
