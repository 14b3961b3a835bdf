"""A unit of the tree that Seldon's executor walks, with the type that the admission webhook gives it."""

from collections.abc import Iterator
from dataclasses import field
from typing import Final, NamedTuple

from graphc.records import record
from graphc.seldon.node import NOTHING, ManifestNode
from graphc.source.located import Scalar

SHARED: Final = "UNKNOWN_IMPLEMENTATION"
ABTEST: Final = "RANDOM_ABTEST"
BUILT_IN: Final = frozenset({"", SHARED, "SIMPLE_MODEL", "SIMPLE_ROUTER", ABTEST, "AVERAGE_COMBINER"})
"""What needs no server of its own; any other implementation names a prepackaged server."""


@record
class Endpoint:
    """Where a unit listens for HTTP, and for gRPC if it does."""

    host: str
    port: int
    grpc: int | None = None

    @property
    def authority(self) -> str:
        """Write the endpoint as it stands in a URL."""
        return f"{self._name}:{self.port}"

    @property
    def call_authority(self) -> str:
        """Write where gRPC calls go."""
        return f"{self._name}:{self.grpc}"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


class Parameter(NamedTuple):
    """What a unit is told."""

    name: str
    value: str
    type: str = ""


@record
class SeldonUnit:
    """One unit with its children; `type` and `methods` say together what it is asked."""

    name: str
    type: str | None = None
    methods: frozenset[str] = frozenset()
    implementation: str = SHARED
    parameters: tuple[Parameter, ...] = ()
    endpoint: Endpoint | None = None
    children: tuple["SeldonUnit", ...] = ()
    node: ManifestNode = field(default=NOTHING, compare=False, repr=False)

    @property
    def is_server(self) -> bool:
        """Say whether the unit is a prepackaged server."""
        return self.implementation not in BUILT_IN

    @property
    def needs_container(self) -> bool:
        """Say whether admission asks for a container of the unit's name."""
        return self.implementation == SHARED

    @property
    def model_uri(self) -> str:
        """Return where a prepackaged server's model is from."""
        return self.node.text("modelUri")

    @property
    def transforms_input(self) -> bool:
        """Say whether the unit sees the message before its children do."""
        return self.type in {"MODEL", "TRANSFORMER"} or "TRANSFORM_INPUT" in self.methods

    @property
    def routes(self) -> bool:
        """Say whether the unit's own server is asked which child to call."""
        return self.type == "ROUTER" or "ROUTE" in self.methods

    @property
    def aggregates(self) -> bool:
        """Say whether the unit makes one message of its children's answers."""
        return self.type == "COMBINER" or "AGGREGATE" in self.methods

    @property
    def transforms_output(self) -> bool:
        """Say whether the unit sees the message after its children did."""
        return self.type == "OUTPUT_TRANSFORMER" or "TRANSFORM_OUTPUT" in self.methods

    @property
    def transforms(self) -> bool:
        """Say whether the unit is called as something else than a model."""
        return self.transforms_output or self.type == "TRANSFORMER" or "TRANSFORM_INPUT" in self.methods

    @property
    def chooses(self) -> bool:
        """Say whether one child is called: the unit routes, or the executor does in its place."""
        return self.routes or self.implementation == ABTEST

    @property
    def is_idle(self) -> bool:
        """Say whether nothing makes the executor call the unit, or decide for it."""
        return not (self.transforms_input or self.transforms_output or self.chooses or self.aggregates)

    @property
    def is_called(self) -> bool:
        """Say whether a request can reach the unit's own server."""
        works_on_children = bool(self.children) and (self.routes or self.aggregates)
        return self.transforms_input or self.transforms_output or works_on_children

    @property
    def ratio(self) -> float:
        """Return the share of a RANDOM_ABTEST's first child; raises ValueError with the executor's words."""
        if len(self.parameters) != 1 or self.parameters[0].name != "ratioA":
            return 0.5
        text = self.parameters[0].value
        try:
            return float(text)
        except ValueError:
            raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None

    def walk(self) -> Iterator["SeldonUnit"]:
        """Yield the unit and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, name: str) -> "SeldonUnit | None":
        """Return the first unit of that name, parents first."""
        return next((unit for unit in self.walk() if unit.name == name), None)


def read_unit(node: ManifestNode, *, admitted: bool = False) -> SeldonUnit:
    """Return a unit with all below it; what is of another kind than a unit has it counts as absent.

    One that has been admitted says its type where it has one: of others the webhook makes models.
    """
    implementation = node.text("implementation") if node.has("implementation") else SHARED
    return SeldonUnit(
        name=node.text("name"),
        type=_type(node, implementation, admitted=admitted),
        methods=frozenset(each.as_text or "" for each in node.items("methods")),
        implementation=implementation,
        parameters=tuple(map(_parameter, node.items("parameters"))),
        endpoint=_endpoint(node.find("endpoint")),
        children=tuple(read_unit(child, admitted=admitted) for child in node.items("children")),
        node=node,
    )


def _type(node: ManifestNode, implementation: str, *, admitted: bool) -> str | None:
    says_nothing = not any(map(node.has, ("type", "methods", "implementation")))
    if not admitted and (says_nothing or implementation not in BUILT_IN):
        return "MODEL"
    return node.text("type") or None


def _parameter(node: ManifestNode) -> Parameter:
    value = node.child("value").value
    written = str(value.value) if isinstance(value, Scalar) else ""
    return Parameter(node.text("name"), written, node.text("type"))


def _endpoint(node: ManifestNode | None) -> Endpoint | None:
    if node is None:
        return None
    port, calls = (node.number(key) or node.number("service_port") for key in ("httpPort", "grpcPort"))
    listens = port or calls
    return Endpoint(node.text("service_host") or "localhost", listens, calls or None) if listens else None
