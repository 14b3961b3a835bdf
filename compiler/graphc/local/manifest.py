"""What a manifest says, as far as a local run needs it: predictors, units, pods, config maps."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.local.plain import Document, as_count, as_items, as_mapping, as_text, as_texts
from graphc.local.problem import Findings

PROTOCOLS: Final = frozenset({"v2", "kfserving"})
"""The protocols that speak V2: `kfserving` is Seldon's older name for it."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it stands in the manifest."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Document, ...] = ()
    env_from: tuple[Document, ...] = ()
    mounts: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """One component spec: containers that share volumes."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...]
    volumes: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of the tree that the executor walks."""

    name: str
    implementation: str
    model_uri: str
    parameters: tuple[Document, ...]
    children: tuple["Unit", ...]

    def walk(self) -> Iterator["Unit"]:
        """Yield the unit and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Predictor:
    """One version of a graph; `document` is its part of the manifest."""

    name: str
    traffic: int
    shadow: bool
    labels: Mapping[str, str]
    graph: Unit
    pods: tuple[Pod, ...]
    document: Document


@dataclass(frozen=True, slots=True)
class Deployment:
    """One SeldonDeployment."""

    name: str
    namespace: str
    protocol: str
    transport: str
    predictors: tuple[Predictor, ...]


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A config map's entries, all as bytes."""

    name: str
    entries: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every document that a local run reads."""

    deployments: tuple[Deployment, ...]
    config_maps: Mapping[str, ConfigMap]


def read_manifest(documents: Sequence[Document], findings: Findings) -> Manifest:
    """Find the SeldonDeployments and config maps among documents."""
    config_maps = [_read_config_map(each, findings) for each in documents if each.get("kind") == "ConfigMap"]
    deployments = tuple(
        _read_deployment(each, findings) for each in documents if each.get("kind") == "SeldonDeployment"
    )
    if not deployments and not findings.problems:
        findings.refuse("there is no SeldonDeployment among the documents")
    return Manifest(deployments, {each.name: each for each in config_maps})


def choose_predictors(deployment: Deployment, name: str | None, findings: Findings) -> list[Predictor]:
    """Return the predictor of that name, or all of them; none, with the reason, where that cannot be."""
    if name is None:
        if all(each.shadow for each in deployment.predictors):
            findings.refuse(f"`{deployment.name}` has no live predictor")
        return list(deployment.predictors)
    found = [each for each in deployment.predictors if each.name == name]
    if not found:
        names = ", ".join(f"`{each.name}`" for each in deployment.predictors)
        findings.refuse(f"`{deployment.name}` has no predictor `{name}`", f"it has {names or 'none'}")
    return found


def _read_config_map(document: Document, findings: Findings) -> ConfigMap:
    name = as_text(as_mapping(document.get("metadata")).get("name"))
    entries = {key: as_text(value).encode() for key, value in as_mapping(document.get("data")).items()}
    for key, value in as_mapping(document.get("binaryData")).items():
        try:
            entries[key] = base64.b64decode(as_text(value), validate=True)
        except (binascii.Error, ValueError):
            findings.refuse(f"`{key}` in the binaryData of config map `{name}` is not base64")
    return ConfigMap(name, entries)


def _read_deployment(document: Document, findings: Findings) -> Deployment:
    metadata, spec = as_mapping(document.get("metadata")), as_mapping(document.get("spec"))
    name = as_text(metadata.get("name"))
    protocol = as_text(spec.get("protocol")) or "seldon"
    if not name:
        findings.refuse("a SeldonDeployment has no name")
    if protocol not in PROTOCOLS:
        findings.refuse(f"`{name}` speaks protocol `{protocol}`; a local run speaks v2 only")
    predictors = tuple(
        _read_predictor(as_mapping(each), findings) for each in as_items(spec.get("predictors"))
    )
    if not predictors:
        findings.refuse(f"`{name}` has no predictors")
    namespace = as_text(metadata.get("namespace")) or "default"
    return Deployment(name, namespace, protocol, as_text(spec.get("transport")) or "rest", predictors)


def _read_predictor(document: Document, findings: Findings) -> Predictor:
    name = as_text(document.get("name"))
    unit = _read_unit(as_mapping(document.get("graph")))
    if not unit.name:
        findings.refuse(f"predictor `{name}` has no graph")
    return Predictor(
        name=name,
        traffic=as_count(document.get("traffic")) or 0,
        shadow=document.get("shadow") is True,
        labels={key: as_text(value) for key, value in as_mapping(document.get("labels")).items()},
        graph=unit,
        pods=tuple(
            _read_pod(as_mapping(as_mapping(each).get("spec")))
            for each in as_items(document.get("componentSpecs"))
        ),
        document=document,
    )


def _read_unit(document: Document) -> Unit:
    return Unit(
        name=as_text(document.get("name")),
        implementation=as_text(document.get("implementation")).replace("UNKNOWN_IMPLEMENTATION", ""),
        model_uri=as_text(document.get("modelUri")),
        parameters=tuple(as_mapping(each) for each in as_items(document.get("parameters"))),
        children=tuple(_read_unit(as_mapping(each)) for each in as_items(document.get("children"))),
    )


def _read_pod(spec: Document) -> Pod:
    volumes = [as_mapping(each) for each in as_items(spec.get("volumes"))]
    return Pod(
        containers=tuple(_read_container(each) for each in as_items(spec.get("containers"))),
        init_containers=tuple(_read_container(each) for each in as_items(spec.get("initContainers"))),
        volumes={as_text(each.get("name")): each for each in volumes},
    )


def _read_container(value: object) -> Container:
    document = as_mapping(value)
    return Container(
        name=as_text(document.get("name")),
        image=as_text(document.get("image")),
        command=as_texts(document.get("command")),
        args=as_texts(document.get("args")),
        env=tuple(as_mapping(each) for each in as_items(document.get("env"))),
        env_from=tuple(as_mapping(each) for each in as_items(document.get("envFrom"))),
        mounts=tuple(as_mapping(each) for each in as_items(document.get("volumeMounts"))),
    )
