"""A SeldonDeployment as the operator understands it: predictors, units and pods, each with its place."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from graphc.manifests.node import Node
from graphc.manifests.words import LABEL_LENGTH
from graphc.profiles.profile import Installation

SHARED: Final = "UNKNOWN_IMPLEMENTATION"
BUILT_IN: Final = frozenset(
    {"", SHARED, "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER"}
)
"""What needs no server of its own; any other implementation names a prepackaged server."""

ABTEST: Final = "RANDOM_ABTEST"
NO_ENGINE: Final = "seldon.io/no-engine"
SEPARATE_ENGINE: Final = "seldon.io/engine-separate-pod"
SERVICE_NAME: Final = "seldon.io/svc-name"
TFSERVING: Final = "tfserving"
"""The container that the operator adds beside a proxy for TensorFlow Serving; it gets no Service."""

UNKNOWN: Final = Installation()

PROTOCOLS: Final = ("seldon", "tensorflow", "kfserving", "v2")
V2: Final = frozenset({"v2", "kfserving"})


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the tree, with the type and methods that the operator's defaults give it."""

    node: Node
    name: str
    implementation: str
    children: tuple["Unit", ...]

    @property
    def is_server(self) -> bool:
        """Say whether the unit is a prepackaged server."""
        return self.implementation not in BUILT_IN

    @property
    def needs_container(self) -> bool:
        """Say whether admission asks for a container of the unit's name."""
        return self.implementation == SHARED

    @property
    def type(self) -> str | None:
        """Return the type by which the executor calls the unit."""
        if self.is_server:
            return "MODEL"
        says_nothing = not any(map(self.node.has, ("type", "methods", "implementation")))
        return "MODEL" if says_nothing else self.node.text("type") or None

    @property
    def methods(self) -> frozenset[str]:
        """Return the methods that the unit says it has."""
        return frozenset(each.as_text or "" for each in self.node.items("methods"))

    @property
    def routes(self) -> bool:
        """Say whether the unit is asked for a route."""
        return self.type == "ROUTER" or "ROUTE" in self.methods or self.implementation == ABTEST

    @property
    def combines(self) -> bool:
        """Say whether the unit is given all answers of its children."""
        return self.type == "COMBINER" or "AGGREGATE" in self.methods

    @property
    def transforms(self) -> bool:
        """Say whether the unit is called as something else than a model."""
        return self.type in {"TRANSFORMER", "OUTPUT_TRANSFORMER"} or bool(
            {"TRANSFORM_INPUT", "TRANSFORM_OUTPUT"} & self.methods
        )

    @property
    def is_called(self) -> bool:
        """Say whether anything makes the executor call the unit, or decide for it."""
        return self.type == "MODEL" or self.routes or self.combines or self.transforms

    def walk(self) -> Iterator["Unit"]:
        """Yield the unit and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod."""

    node: Node
    name: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A component spec, of which the operator makes a Deployment if it has containers."""

    node: Node
    index: int
    containers: tuple[Container, ...]

    @property
    def spec(self) -> Node:
        """Return the pod's own part."""
        return self.node.child("spec")


@dataclass(frozen=True, slots=True)
class Predictor:
    """A version of the graph."""

    node: Node
    name: str
    graph: Unit
    pods: tuple[Pod, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Return all units, parents first."""
        return tuple(self.graph.walk())

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return the predictor's own annotations."""
        return self.node.texts("annotations")

    @property
    def is_shadow(self) -> bool:
        """Say whether requests are only copied to it."""
        return self.node.flag("shadow")

    @property
    def traffic(self) -> int:
        """Return its share of the requests."""
        return self.node.number("traffic") or 0

    @property
    def has_engine(self) -> bool:
        """Say whether the executor stands before the units."""
        return self.annotations.get(NO_ENGINE, "").lower() != "true"

    def unit(self, name: str) -> Unit | None:
        """Return the first unit of that name."""
        return next((unit for unit in self.units if unit.name == name), None)

    def containers(self) -> Iterator[tuple[Pod, Container]]:
        """Yield all containers, those that start the pod aside."""
        yield from ((pod, container) for pod in self.pods for container in pod.containers)

    def container(self, name: str) -> Container | None:
        """Return the first container of that name."""
        return next((container for _, container in self.containers() if container.name == name), None)

    def pod_of(self, unit: Unit) -> Pod | None:
        """Return the pod whose container is the unit; a prepackaged server without one joins the first."""
        found = next((pod for pod, container in self.containers() if container.name == unit.name), None)
        return found or (self.pods[0] if unit.is_server and self.pods else None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A SeldonDeployment."""

    node: Node
    name: str
    predictors: tuple[Predictor, ...]
    installation: Installation = UNKNOWN

    @property
    def spec(self) -> Node:
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
    def has_separate_engine(self) -> bool:
        """Say whether the executor has a pod of its own."""
        return self.spec.texts("annotations").get(SEPARATE_ENGINE, "").lower() == "true"

    def annotation(self, name: str) -> Node | None:
        """Return an annotation where the operator looks for it: on the spec first."""
        return self.spec.child("annotations").find(name) or self.node.child("metadata").child(
            "annotations"
        ).find(name)

    def made_name(self, *parts: str) -> str:
        """Return the name that the operator gives to something: a hash where it would be too long."""
        name = "-".join((self.name, *parts))
        if len(name) <= LABEL_LENGTH:
            return name
        return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def read_deployment(node: Node, installation: Installation = UNKNOWN) -> Deployment:
    """Return the typed view of a manifest whose fields are as the API server has them."""
    predictors = tuple(map(_predictor, node.child("spec").items("predictors")))
    metadata = node.child("metadata")
    # The API server ends such a name with five characters of its own.
    name = metadata.text("name") or f"{metadata.text('generateName')}xxxxx"
    return Deployment(node, name, predictors, installation)


def _predictor(node: Node) -> Predictor:
    pods = tuple(
        Pod(
            each,
            index,
            tuple(Container(one, one.text("name")) for one in each.child("spec").items("containers")),
        )
        for index, each in enumerate(node.items("componentSpecs"))
    )
    return Predictor(node, node.text("name"), _unit(node.child("graph")), pods)


def _unit(node: Node) -> Unit:
    implementation = node.text("implementation") if node.has("implementation") else SHARED
    return Unit(node, node.text("name"), implementation, tuple(map(_unit, node.items("children"))))
