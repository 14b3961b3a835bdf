"""Checks the pods that the operator makes: containers, volumes, mounts, and a place for the executor."""

from collections.abc import Iterable, Iterator
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import (
    IGNORED,
    NO_IMAGE,
    NO_PLACE,
    NOT_IN_POD,
    POD_TWICE,
    POD_VALUE,
    UNKNOWN_VOLUME,
)
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.lint.parts import left_by_operator, running_pods
from graphc.lint.words import LABEL_LENGTH
from graphc.seldon.deployment import TFSERVING, V2, Deployment, Pod, Predictor
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit

_ENGINE: Final = "seldon-container-engine"
_PODINFO: Final = "seldon-podinfo"
_OLD_PODINFO: Final = "podinfo"
_PODINFO_PATH: Final = "/etc/podinfo"
_MODELS_PATH: Final = "/mnt/models"
_CLAIM: Final = "kfserving-pvc-source"
_REGULAR_ONLY: Final = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")


def check_pods(deployment: Deployment, sink: Sink) -> None:
    """Report pods that Kubernetes refuses as the operator makes them."""
    for predictor in deployment.predictors:
        for problem in _engine_place(deployment, predictor):
            sink.report(problem)
        for pod in running_pods(predictor):
            spec = left_by_operator(deployment, predictor, pod)
            own = _PodCheck(deployment, predictor, pod, spec)
            for problem in (*own.containers(), *own.volumes(), *own.forbidden()):
                sink.report(problem)


def _engine_place(deployment: Deployment, predictor: Predictor) -> Iterator[Diagnostic]:
    if not predictor.has_engine or deployment.has_separate_engine:
        return
    is_incomplete = any(
        unit.needs_container and not predictor.container(unit.name) for unit in predictor.units
    )
    if is_incomplete or any(_is_beside_engine(predictor, unit) for unit in predictor.units):
        return
    message = f"the first pod of {quoted(predictor.name)} holds no unit, so the executor finds no place"
    hint = "move a unit's container to the first of `componentSpecs`"
    yield Diagnostic(NO_PLACE, message, predictor.node.at("name"), hint)


def _is_beside_engine(predictor: Predictor, unit: SeldonUnit) -> bool:
    pod = predictor.pod_of(unit)
    return pod.index == 0 if pod else unit.is_server


class _PodCheck:
    """The checks of one pod."""

    def __init__(self, deployment: Deployment, predictor: Predictor, pod: Pod, spec: ManifestNode) -> None:
        self._deployment = deployment
        self._predictor = predictor
        self._spec = spec
        names = (node.text("name") for node in spec.items("containers"))
        units = (predictor.unit(name) for name in names)
        joining = (unit for unit in predictor.units if unit.is_server and not predictor.container(unit.name))
        own = [unit for unit in units if unit] + (list(joining) if pod.index == 0 else [])
        self._downloads = {unit.name: unit for unit in own if unit.node.text("modelUri")}
        self._own_initializers = {node.text("name") for node in spec.items("initContainers")}

    def containers(self) -> Iterator[Diagnostic]:
        """Report containers that share a name, or lack an image, or mount what is not there."""
        regular, starting = self._spec.items("containers"), self._spec.items("initContainers")
        yield from _repeated((*regular, *starting), "name", "container")
        for node in regular:
            if not node.text("image") and not self._is_given_image(node.text("name")):
                message = f"the container {quoted(node.text('name'))} has no image"
                yield Diagnostic(NO_IMAGE, message, node.at("image"))
            yield from _probes(node)
            if node.text("name") == _ENGINE:
                message = f"a container {quoted(_ENGINE)} takes the place of the executor"
                yield Diagnostic(IGNORED, message, node.at("name"))
        for node in starting:
            if not node.text("image"):
                message = f"the container {quoted(node.text('name'))} has no image"
                yield Diagnostic(NO_IMAGE, message, node.at("image"))
        known = {each.text("name") for each in self._spec.items("volumes")} | self._added()
        for node, may_be_unit in (*((each, True) for each in regular), *((each, False) for each in starting)):
            yield from self._mounts(node, known, is_unit=may_be_unit and self._is_unit(node))
            yield from _repeated(node.items("ports"), "name", "port")
        yield from _host_ports(regular)

    def volumes(self) -> Iterator[Diagnostic]:
        """Report volumes that share a name."""
        yield from _repeated(self._spec.items("volumes"), "name", "volume")

    def forbidden(self) -> Iterator[Diagnostic]:
        """Report fields that only other pods or containers may have."""
        for field in ("ephemeralContainers", "activeDeadlineSeconds"):
            found = self._spec.find(field)
            if found and (found.as_int is not None or self._spec.items(field)):
                message = f"a Deployment's pod cannot have `{field}`"
                yield Diagnostic(NOT_IN_POD, message, self._spec.key_at(field))
        for node in self._spec.items("initContainers"):
            # One that goes on beside the others (1.19) has all that they have.
            is_sidecar = node.text("restartPolicy") == "Always"
            for field in () if is_sidecar else _REGULAR_ONLY:
                if node.has(field):
                    message = f"a container that starts the pod cannot have `{field}`"
                    yield Diagnostic(NOT_IN_POD, message, node.key_at(field))

    def _is_unit(self, node: ManifestNode) -> bool:
        return self._predictor.unit(node.text("name")) is not None

    def _is_given_image(self, name: str) -> bool:
        unit = self._predictor.unit(name)
        is_server = unit is not None and unit.is_server
        # A server whose protocol has no image is reported as such.
        return is_server or (name == TFSERVING and self._has_proxy())

    def _has_proxy(self) -> bool:
        is_proxied = self._deployment.protocol not in {*V2, "tensorflow"}
        return is_proxied and any(
            unit.implementation == "TENSORFLOW_SERVER" for unit in self._predictor.units
        )

    def _mounts(self, node: ManifestNode, known: set[str], *, is_unit: bool) -> Iterator[Diagnostic]:
        name = node.text("name")
        added = self._added_paths(name, node) if is_unit else {}
        paths = set(added)
        for mount in node.items("volumeMounts"):
            volume, path = mount.text("name"), mount.text("mountPath")
            if is_unit and volume == _OLD_PODINFO:
                continue
            if volume not in known:
                message = f"the pod has no volume {quoted(volume)}"
                yield Diagnostic(UNKNOWN_VOLUME, message, mount.at("name"), did_you_mean(volume, known))
            if path in paths:
                owner = f": the operator mounts `{added[path]}` there" if path in added else ""
                message = f"{quoted(name)} mounts two volumes at {quoted(path)}{owner}"
                yield Diagnostic(POD_TWICE, message, mount.at("mountPath"))
            paths.add(path)

    def _added(self) -> set[str]:
        """Return the volumes that the operator adds to the pod."""
        added = {_PODINFO}
        for unit in self._downloads.values():
            for name in (unit.name, TFSERVING):
                if _cut(f"{name}-model-initializer") not in self._own_initializers:
                    added.add(_cut(f"{name}-provision-location"))
            if unit.node.text("modelUri").startswith("pvc://"):
                added.add(_CLAIM)
        return added

    def _added_paths(self, name: str, node: ManifestNode) -> dict[str, str]:
        """Return the paths that the operator mounts something at, unless the container mounts the same."""
        own = {mount.text("name") for mount in node.items("volumeMounts")}
        added = {} if _PODINFO in own else {_PODINFO_PATH: _PODINFO}
        unit = self._downloads.get(name)
        is_proxy = unit is not None and unit.implementation == "TENSORFLOW_SERVER" and self._has_proxy()
        models = _cut(f"{name}-provision-location")
        if unit and not is_proxy and models not in own:
            added[_MODELS_PATH] = models
        return added


def _cut(name: str) -> str:
    return name if len(name) <= LABEL_LENGTH else name[:LABEL_LENGTH].removesuffix("-")


def _repeated(nodes: Iterable[ManifestNode], field: str, noun: str) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for node in nodes:
        name = node.text(field)
        if name and name in seen:
            yield Diagnostic(POD_TWICE, f"two {noun}s are called {quoted(name)}", node.at(field))
        seen.add(name)


def _host_ports(containers: tuple[ManifestNode, ...]) -> Iterator[Diagnostic]:
    seen: set[tuple[str, str, int]] = set()
    for port in (port for container in containers for port in container.items("ports")):
        number = port.number("hostPort")
        own = (port.text("protocol") or "TCP", port.text("hostIP"), number or 0)
        if number and own in seen:
            yield Diagnostic(POD_TWICE, f"two containers take the host's port {number}", port.at("hostPort"))
        seen.add(own)


def _probes(node: ManifestNode) -> Iterator[Diagnostic]:
    for name in ("livenessProbe", "startupProbe"):
        probe = node.child(name)
        threshold = probe.number("successThreshold")
        if threshold is not None and threshold > 1:
            message = f"a {name} must succeed once, not {threshold} times"
            yield Diagnostic(POD_VALUE, message, probe.at("successThreshold"))
