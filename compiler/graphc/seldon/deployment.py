"""A SeldonDeployment as the operator understands it: predictors, units and pods, each with its place."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from graphc.records import record
from graphc.seldon.node import NOTHING, ManifestNode, node_of
from graphc.seldon.unit import SeldonUnit, read_unit

NO_ENGINE: Final = "seldon.io/no-engine"
SEPARATE_ENGINE: Final = "seldon.io/engine-separate-pod"
SERVICE_NAME: Final = "seldon.io/svc-name"
TFSERVING: Final = "tfserving"
"""The container that the operator adds beside a proxy for TensorFlow Serving; it gets no Service."""

PROTOCOLS: Final = ("seldon", "tensorflow", "kfserving", "v2")
V2: Final = frozenset({"v2", "kfserving"})
"""The protocols that speak V2: `kfserving` is Seldon's older name for it."""

_LONGEST: Final = 63
"""Characters of a Service's name."""


@record
class Container:
    """A container of a pod; the node has all that it says."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[ManifestNode, ...] = ()
    env_from: tuple[ManifestNode, ...] = ()
    mounts: tuple[ManifestNode, ...] = ()
    node: ManifestNode = field(default=NOTHING, compare=False, repr=False)


@record
class Pod:
    """A component spec; the operator makes a Deployment of it if it has containers."""

    index: int = 0
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: Mapping[str, ManifestNode] = field(default_factory=dict[str, ManifestNode])
    node: ManifestNode = field(default=NOTHING, compare=False, repr=False)

    @property
    def spec(self) -> ManifestNode:
        """Return the pod's own part."""
        return self.node.child("spec")


@record
class Predictor:
    """A version of the graph."""

    name: str
    graph: SeldonUnit
    pods: tuple[Pod, ...] = ()
    node: ManifestNode = field(default=NOTHING, compare=False, repr=False)
    units: tuple[SeldonUnit, ...] = field(init=False, compare=False, repr=False)
    """All units, parents first."""
    _units: Mapping[str, SeldonUnit] = field(init=False, compare=False, repr=False)
    _containers: Mapping[str, tuple[Pod, Container]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Checks ask for those of a name again and again: a search each time makes them quadratic.
        units = tuple(self.graph.walk())
        containers = {each.name: (pod, each) for pod, each in reversed(tuple(self.containers()))}
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "_units", {unit.name: unit for unit in reversed(units)})
        object.__setattr__(self, "_containers", containers)

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return the predictor's own annotations."""
        return self.node.texts("annotations")

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels of its pods."""
        return self.node.texts("labels")

    @property
    def is_shadow(self) -> bool:
        """Say whether requests are only copied to it."""
        return self.node.flag("shadow")

    @property
    def traffic(self) -> int:
        """Return its share of the requests, in percent."""
        return self.share or 0

    @property
    def share(self) -> int | None:
        """Return its share of the requests if it says one."""
        return self.node.number("traffic")

    @property
    def replicas(self) -> int | None:
        """Return how many of each of its pods there are, if it says so."""
        return self.node.number("replicas")

    @property
    def has_engine(self) -> bool:
        """Say whether the executor stands before the units."""
        return self.annotations.get(NO_ENGINE, "").lower() != "true"

    def unit(self, name: str) -> SeldonUnit | None:
        """Return the first unit of that name."""
        return self._units.get(name)

    def containers(self) -> Iterator[tuple[Pod, Container]]:
        """Yield all containers, those that start the pod aside."""
        yield from ((pod, container) for pod in self.pods for container in pod.containers)

    def place_of(self, name: str) -> tuple[Pod, Container] | None:
        """Return the first container of that name, with its pod."""
        return self._containers.get(name)

    def container(self, name: str) -> Container | None:
        """Return the first container of that name."""
        found = self.place_of(name)
        return found[1] if found else None

    def pod_of(self, unit: SeldonUnit) -> Pod | None:
        """Return the pod whose container is the unit; a prepackaged server without one joins the first."""
        found = self.place_of(unit.name)
        return found[0] if found else self.pods[0] if unit.is_server and self.pods else None


@record
class Deployment:
    """A SeldonDeployment."""

    name: str
    predictors: tuple[Predictor, ...]
    node: ManifestNode = field(default=NOTHING, compare=False, repr=False)

    @property
    def namespace(self) -> str:
        """Return its namespace, `default` where it says none."""
        return self.node.child("metadata").text("namespace") or "default"

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return the annotations of the object."""
        return self.node.child("metadata").texts("annotations")

    @property
    def transport(self) -> str:
        """Return how the executor calls units."""
        return self.spec.text("transport") or "rest"

    @property
    def spec(self) -> ManifestNode:
        """Return what is deployed."""
        return self.node.child("spec")

    @property
    def protocol(self) -> str:
        """Return the protocol of the units, by the name that the operator falls back to."""
        return self.spec.text("protocol") or "seldon"

    @property
    def speaks_v2(self) -> bool:
        """Say whether the units speak the V2 protocol."""
        return self.protocol in V2

    @property
    def by_name(self) -> Mapping[str, Predictor]:
        """Return the predictors by their names."""
        return {each.name: each for each in self.predictors}

    def replicas_of(self, predictor: Predictor, pod: Pod) -> int:
        """Return how many of a pod there are where no autoscaler decides."""
        said = (pod.node.number("replicas"), predictor.replicas, self.spec.number("replicas"))
        return next((each for each in said if each is not None), 1)

    @property
    def has_separate_engine(self) -> bool:
        """Say whether the executor has a pod of its own."""
        return self.spec.texts("annotations").get(SEPARATE_ENGINE, "").lower() == "true"

    def annotation(self, name: str) -> ManifestNode | None:
        """Return an annotation where the operator looks for it: on the spec first."""
        return self.spec.child("annotations").find(name) or self.node.child("metadata").child(
            "annotations"
        ).find(name)

    def made_name(self, *parts: str) -> str:
        """Return the name that the operator gives to something: a hash where it would be too long."""
        return made_name(self.name, *parts)


def made_name(*parts: str) -> str:
    """Return the name that the operator gives to something: a hash where it would be too long."""
    name = "-".join(parts)
    if len(name) <= _LONGEST:
        return name
    return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def read_deployment(node: ManifestNode) -> Deployment:
    """Return the typed view of a SeldonDeployment; what is of another kind than it has it counts as absent."""
    predictors = tuple(map(_predictor, node.child("spec").items("predictors")))
    metadata = node.child("metadata")
    name, prefix = metadata.text("name"), metadata.text("generateName")
    # The API server ends such a name with five characters of its own.
    return Deployment(name or (prefix and f"{prefix}xxxxx"), predictors, node)


def deployment_of(document: object) -> Deployment:
    """Return the typed view of a SeldonDeployment that came as JSON, or that graphc compiled."""
    return read_deployment(node_of(document))


def _predictor(node: ManifestNode) -> Predictor:
    pods = tuple(_pod(each, index) for index, each in enumerate(node.items("componentSpecs")))
    return Predictor(node.text("name"), read_unit(node.child("graph")), pods, node)


def _pod(node: ManifestNode, index: int) -> Pod:
    spec = node.child("spec")
    return Pod(
        index=index,
        containers=tuple(map(_container, spec.items("containers"))),
        init_containers=tuple(map(_container, spec.items("initContainers"))),
        volumes={each.text("name"): each for each in spec.items("volumes")},
        node=node,
    )


def _container(node: ManifestNode) -> Container:
    return Container(
        name=node.text("name"),
        image=node.text("image"),
        command=node.strings("command"),
        args=node.strings("args"),
        env=node.items("env"),
        env_from=node.items("envFrom"),
        mounts=node.items("volumeMounts"),
        node=node,
    )
