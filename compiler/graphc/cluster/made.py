"""What Seldon's operator makes of a SeldonDeployment: Deployments with their pods, and Services with their ports."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from graphc.seldon.deployment import Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode
from graphc.unchecked import Data, fields

FIRST: Final[Mapping[str, int]] = {"http": 9000, "grpc": 9500, "metrics": 6000}
"""From where the operator counts the ports that containers do not name."""

EXECUTOR: Final = {"http": 8000, "grpc": 5001}
_OWN: Final = ("replicas", "hpaSpec", "pdbSpec", "kedaSpec")

Ports = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MadePods:
    """A Deployment: whose it is, the units in it, and all that decides what its pods are."""

    predictor: str
    units: tuple[str, ...]
    place: int
    template: str
    own: str
    """The pods as the deployment itself says them."""
    said: tuple[Predictor, Pod]
    """What it is made of: two predictors of a file can have one name."""


@dataclass(frozen=True, slots=True)
class MadeService:
    """A Service, who calls what is behind it by it, and where."""

    predictor: str
    unit: str | None
    """The unit behind it; None where it is the predictor's."""
    caller: Literal["clients", "executor", "nobody"]
    """The executor calls the units beside it without a Service."""
    ports: Ports


@dataclass(frozen=True, slots=True)
class Made:
    """All of it, by name."""

    pods: Mapping[str, MadePods]
    services: Mapping[str, MadeService]


def read_made(deployment: Deployment) -> Made:
    """Return what the operator makes of a deployment, prepackaged servers and explainers aside."""
    ports = _number_ports(deployment)
    pods: dict[str, MadePods] = {}
    services: dict[str, MadeService] = {}
    for predictor in deployment.predictors:
        own = predictor.name
        for pod in predictor.pods:
            units = tuple(each.name for each in pod.containers)
            template = _template(deployment, predictor, pod, ports)
            made = MadePods(own, units, pod.index, template, _write(_without_numbers(pod)), (predictor, pod))
            pods[deployment.made_name(own, str(pod.index), *units)] = made
            caller = "executor" if pod.index and predictor.has_engine else "nobody"
            services |= {
                deployment.made_name(own, unit): MadeService(own, unit, caller, _called(ports[own, unit]))
                for unit in units
            }
        services[deployment.made_name(own)] = MadeService(own, None, "clients", _entry(predictor, ports))
    return Made(pods, services)


def _entry(predictor: Predictor, ports: Mapping[tuple[str, str], Ports]) -> Ports:
    """Return where clients call a predictor."""
    first = next((each for own, each in ports.items() if own[0] == predictor.name), None)
    if predictor.has_engine or first is None:
        return EXECUTOR
    return _called(first)


def _called(ports: Ports) -> Ports:
    return {name: ports[name] for name in EXECUTOR}


def _number_ports(deployment: Deployment) -> Mapping[tuple[str, str], Ports]:
    """Return the ports of units, by predictor and name: their own, or those that the operator counts through."""
    counted: dict[str, int] = {}
    metrics = count(FIRST["metrics"])
    found: dict[tuple[str, str], Ports] = {}
    for predictor in deployment.predictors:
        for _, container in predictor.containers():
            unit = container.name
            place = counted.setdefault(unit, len(counted))
            own = {
                each.text("name"): port
                for each in container.node.items("ports")
                if (port := each.number("containerPort")) is not None
            }
            ports = {name: own.get(name, FIRST[name] + place) for name in EXECUTOR}
            ports["metrics"] = own["metrics"] if "metrics" in own else next(metrics)
            found[predictor.name, unit] = ports
    return found


def _template(
    deployment: Deployment, predictor: Predictor, pod: Pod, ports: Mapping[tuple[str, str], Ports]
) -> str:
    """Return all that decides what the pods are; the first ones' executor is told the whole predictor."""
    annotations = [each.child("annotations").plain for each in (deployment.spec, predictor.node)]
    if pod.index or not predictor.has_engine:
        listened = [ports[predictor.name, each.name] for each in pod.containers]
        return _write([_without_numbers(pod), listened, annotations])
    told = _without(predictor.node, ("traffic", "componentSpecs")) | {"replicas": None}
    listened = [each for own, each in ports.items() if own[0] == predictor.name]
    return _write([told, [_without_numbers(each) for each in predictor.pods], listened, annotations])


def _without_numbers(pod: Pod) -> Data:
    return _without(pod.node, _OWN)


def _without(node: ManifestNode, names: Collection[str]) -> Data:
    return {name: value for name, value in fields(node.plain).items() if name not in names}


def _write(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
