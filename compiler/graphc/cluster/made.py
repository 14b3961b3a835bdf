"""What Seldon's operator makes of a SeldonDeployment: Deployments with their pods, and Services with their ports."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from graphc.graph import Value
from graphc.unchecked import Data, fields, number, objects, text

FIRST: Final[Mapping[str, int]] = {"http": 9000, "grpc": 9500, "metrics": 6000}
"""From where the operator counts the ports that containers do not name."""

EXECUTOR: Final = {"http": 8000, "grpc": 5001}
_LONGEST: Final = 63
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


def read_made(deployment: Data) -> Made:
    """Return what the operator makes of a deployment, prepackaged servers and explainers aside."""
    name = text(deployment, "metadata", "name")
    ports = _number_ports(deployment)
    pods: dict[str, MadePods] = {}
    services: dict[str, MadeService] = {}
    for predictor in objects(deployment, "spec", "predictors"):
        own = text(predictor, "name")
        for place, spec in enumerate(objects(predictor, "componentSpecs")):
            units = tuple(text(each, "name") for each in objects(spec, "spec", "containers"))
            template = _template(deployment, predictor, place, ports)
            made = MadePods(own, units, place, template, _write(_without_numbers(spec)))
            pods[_name(name, own, str(place), *units)] = made
            caller = "executor" if place and has_executor(predictor) else "nobody"
            services |= {
                _name(name, own, unit): MadeService(own, unit, caller, _called(ports[own, unit]))
                for unit in units
            }
        services[_name(name, own)] = MadeService(own, None, "clients", _entry(predictor, ports))
    return Made(pods, services)


def has_executor(predictor: Data) -> bool:
    """Say whether the executor stands before a predictor's units."""
    return text(predictor, "annotations", "seldon.io/no-engine").lower() != "true"


def _entry(predictor: Data, ports: Mapping[tuple[str, str], Ports]) -> Ports:
    """Return where clients call a predictor."""
    first = next((each for own, each in ports.items() if own[0] == text(predictor, "name")), None)
    if has_executor(predictor) or first is None:
        return EXECUTOR
    return _called(first)


def _called(ports: Ports) -> Ports:
    return {name: ports[name] for name in EXECUTOR}


def _number_ports(deployment: Data) -> Mapping[tuple[str, str], Ports]:
    """Return the ports of units, by predictor and name: their own, or those that the operator counts through."""
    counted: dict[str, int] = {}
    metrics = count(FIRST["metrics"])
    found: dict[tuple[str, str], Ports] = {}
    for predictor in objects(deployment, "spec", "predictors"):
        for container in _containers(predictor):
            unit = text(container, "name")
            place = counted.setdefault(unit, len(counted))
            own = {
                text(each, "name"): port
                for each in objects(container, "ports")
                if (port := number(each, "containerPort")) is not None
            }
            ports = {name: own.get(name, FIRST[name] + place) for name in EXECUTOR}
            ports["metrics"] = own["metrics"] if "metrics" in own else next(metrics)
            found[text(predictor, "name"), unit] = ports
    return found


def _containers(predictor: Data) -> Iterator[Data]:
    for spec in objects(predictor, "componentSpecs"):
        yield from objects(spec, "spec", "containers")


def _template(deployment: Data, predictor: Data, place: int, ports: Mapping[tuple[str, str], Ports]) -> str:
    """Return all that decides what the pods are; the first ones' executor is told the whole predictor."""
    specs = [dict(each) for each in objects(predictor, "componentSpecs")]
    annotations: list[Value] = [fields(deployment, "spec", "annotations"), fields(predictor, "annotations")]
    if place or not has_executor(predictor):
        listened = [ports[text(predictor, "name"), text(each, "name")] for each in _units_of(specs[place])]
        return _write([_without_numbers(specs[place]), listened, annotations])
    told = {name: value for name, value in predictor.items() if name not in {"traffic", "componentSpecs"}}
    told |= {"replicas": None}
    listened = [each for own, each in ports.items() if own[0] == text(predictor, "name")]
    return _write([told, [_without_numbers(each) for each in specs], listened, annotations])


def _units_of(spec: Data) -> Iterator[Data]:
    return objects(spec, "spec", "containers")


def _without_numbers(spec: Data) -> Data:
    return {name: value for name, value in spec.items() if name not in _OWN}


def _write(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=dict)


def _name(*parts: str) -> str:
    """Return the name that the operator gives: a hash where it would be too long."""
    name = "-".join(parts)
    if len(name) <= _LONGEST:
        return name
    return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"
