"""Checks the ports of pods: what probes ask is open, and no two containers take the same one."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import PORT_TAKEN, UNKNOWN_PORT
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.seldon.deployment import Container, Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode

_FIRST_HTTP: Final = 9000
_FIRST_GRPC: Final = 9500
_ENGINE: Final[Mapping[int, str]] = {8000: "the executor", 5001: "the executor"}
_GIVEN: Final = frozenset({"http", "grpc", "metrics"})
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def check_ports(deployment: Deployment, sink: Sink) -> None:
    """Report ports that a cluster accepts, and on which nothing will answer."""
    numbers = _numbers(deployment)
    for predictor in deployment.predictors:
        for pod in predictor.pods:
            has_engine = pod.index == 0 and predictor.has_engine and not deployment.has_separate_engine
            for problem in (
                *_taken(predictor, pod, numbers, has_engine=has_engine),
                *_probes(predictor, pod),
            ):
                sink.report(problem)


def _numbers(deployment: Deployment) -> Mapping[str, int]:
    """Return the place in the operator's count of ports by container name, over all predictors."""
    names = (one.name for predictor in deployment.predictors for _, one in predictor.containers())
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _taken(
    predictor: Predictor, pod: Pod, numbers: Mapping[str, int], *, has_engine: bool
) -> Iterator[Diagnostic]:
    owners = dict(_ENGINE) if has_engine else {}
    for container in pod.containers:
        unit = predictor.unit(container.name)
        if unit is None or unit.is_server:
            continue  # whoever brings another server knows its ports
        for port in _listens(container, numbers[container.name]):
            if port in owners:
                message = f"{quoted(container.name)} is to listen on {port}, and so is {owners[port]}"
                yield Diagnostic(PORT_TAKEN, message, container.node.at("ports"))
            else:
                owners[port] = quoted(container.name)


def _listens(container: Container, number: int) -> frozenset[int]:
    named = {port.text("name"): port.number("containerPort") for port in container.node.items("ports")}
    http = named.get("http") or _FIRST_HTTP + number
    return frozenset({http, named.get("grpc") or _FIRST_GRPC + number})


def _probes(predictor: Predictor, pod: Pod) -> Iterator[Diagnostic]:
    for container in pod.containers:
        unit = predictor.unit(container.name)
        if unit and unit.is_server:
            continue
        own = frozenset(port.text("name") for port in container.node.items("ports"))
        names = own | _GIVEN if unit else own
        for probe in map(container.node.child, _PROBES):
            for handler in map(probe.child, ("httpGet", "tcpSocket")):
                yield from _probe(container, handler, names)


def _probe(container: Container, handler: ManifestNode, names: frozenset[str]) -> Iterator[Diagnostic]:
    name = handler.text("port")
    if name and name not in names:
        message = f"{quoted(container.name)} has no port {quoted(name)} to be probed"
        yield Diagnostic(UNKNOWN_PORT, message, handler.at("port"), did_you_mean(name, names))
