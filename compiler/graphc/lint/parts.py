"""The parts of a manifest that end up in pods, and what the operator fills in there."""

from collections.abc import Iterator
from typing import Final

from graphc.records import record
from graphc.seldon.deployment import Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit
from graphc.source.located import Entry, Fields, Items, Located, Scalar

HANDLERS: Final = frozenset({"exec", "httpGet", "tcpSocket", "grpc"})
_PROBES: Final = frozenset({"livenessProbe", "readinessProbe"})


@record
class PodPart:
    """A pod's spec, a container, or an environment of a container, by the record that it is."""

    node: ManifestNode
    record: str
    is_explainer: bool = False

    def fills(self, record: str, field: str) -> bool:
        """Say whether the operator fills in a field that is missing here."""
        return self.is_explainer and (record, field) == ("Container", "name")


def pod_parts(deployment: Deployment) -> Iterator[PodPart]:
    """Yield everything that the operator puts into pods as it stands."""
    for predictor in deployment.predictors:
        for pod in running_pods(predictor):
            yield PodPart(left_by_operator(deployment, predictor, pod), "PodSpec")
        explainer = explainer_of(predictor)
        if explainer and (container := explainer.find("containerSpec")):
            yield PodPart(container, "Container", is_explainer=True)
        if predictor.has_engine:
            yield from _orchestrator(predictor)


def running_pods(predictor: Predictor) -> Iterator[Pod]:
    """Yield the component specs that the operator makes Deployments of."""
    joins = any(unit.is_server and predictor.container(unit.name) is None for unit in predictor.units)
    for pod in predictor.pods:
        if pod.containers or (joins and pod.index == 0):
            yield pod


def explainer_of(predictor: Predictor) -> ManifestNode | None:
    """Return the explainer, if the operator makes one: without a type it does not."""
    explainer = predictor.node.find("explainer")
    return explainer if explainer and explainer.text("type") else None


def _orchestrator(predictor: Predictor) -> Iterator[PodPart]:
    orchestrator = predictor.node.child("svcOrchSpec")
    for variable in orchestrator.items("env"):
        yield PodPart(variable, "EnvVar")
    if resources := orchestrator.find("resources"):
        yield PodPart(resources, "ResourceRequirements")


def left_by_operator(deployment: Deployment, predictor: Predictor, pod: Pod) -> ManifestNode:
    """Return a pod's spec without what the operator replaces in the containers of prepackaged servers."""
    spec = pod.spec
    if not isinstance(spec.value, Fields):
        return spec
    entries = (_replaced(entry, deployment, predictor) for entry in spec.value.entries)
    return ManifestNode(Fields(tuple(entries), spec.span))


def _replaced(entry: Entry, deployment: Deployment, predictor: Predictor) -> Entry:
    if entry.key != "containers" or not isinstance(entry.value, Items):
        return entry
    items = tuple(_container(item, deployment, predictor) for item in entry.value.items)
    return Entry(entry.key, entry.key_span, Items(items, entry.value.span))


def _container(item: Located, deployment: Deployment, predictor: Predictor) -> Located:
    unit = predictor.unit(ManifestNode(item).text("name"))
    if unit is None or not unit.is_server or not deployment.speaks_v2 or not isinstance(item, Fields):
        return item
    entries = (entry for entry in item.entries if entry.key != "ports")
    return Fields(tuple(_probe(entry, unit) for entry in entries), item.span)


def _probe(entry: Entry, unit: SeldonUnit) -> Entry:
    is_mlserver = unit.implementation not in {"TRITON_SERVER", "TENSORFLOW_SERVER"}
    if entry.key not in _PROBES or not is_mlserver or not isinstance(entry.value, Fields):
        return entry
    span = entry.value.span
    own = tuple(each for each in entry.value.entries if each.key not in HANDLERS)
    handler = Entry("httpGet", span, Fields((Entry("port", span, Scalar("http", span)),), span))
    return Entry(entry.key, entry.key_span, Fields((*own, handler), span))
