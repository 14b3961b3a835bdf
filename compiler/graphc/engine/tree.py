"""A predictor's tree of units, read from a SeldonDeployment document that nobody has checked."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, cast

MAX_DEPTH: Final = 64
MAX_UNITS: Final = 1000
"""Beyond these a document is taken for an attack: YAML aliases can nest without end."""

_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")
_BUILT_IN: Final = frozenset(
    {"", "UNKNOWN_IMPLEMENTATION", "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER"}
)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit with its children; `type` and `methods` say together what it is asked."""

    name: str
    type: str | None = None
    methods: frozenset[str] = frozenset()
    implementation: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    endpoint: Endpoint | None = None
    children: tuple["Unit", ...] = ()

    @property
    def transforms_input(self) -> bool:
        """Say whether the unit sees the message before its children do."""
        return self.type in {"MODEL", "TRANSFORMER"} or "TRANSFORM_INPUT" in self.methods

    @property
    def routes(self) -> bool:
        """Say whether the unit is asked which child to call."""
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
    def is_called(self) -> bool:
        """Say whether a request can reach the unit's own server."""
        works_on_children = bool(self.children) and (self.routes or self.aggregates)
        return self.transforms_input or self.transforms_output or works_on_children

    @property
    def ratio(self) -> float:
        """Return the share of a RANDOM_ABTEST's first child; raises ValueError with the executor's words."""
        if len(self.parameters) != 1 or self.parameters[0][0] != "ratioA":
            return 0.5
        text = self.parameters[0][1]
        try:
            return float(text)
        except ValueError:
            raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None

    def walk(self) -> Iterator["Unit"]:
        """Yield the unit and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, name: str) -> "Unit | None":
        """Return the first unit of that name, parents first."""
        return next((unit for unit in self.walk() if unit.name == name), None)


@dataclass(frozen=True, slots=True)
class TreeProblem:
    """Why a document gives no tree: the place in it, and what is wrong there."""

    place: str
    message: str

    def __str__(self) -> str:
        """Write both in one line."""
        return f"{self.place}: {self.message}"


class _UnreadableError(Exception):
    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.problem = TreeProblem(place, message)


def read_tree(
    document: object, predictor: str | None = None, *, admitted: bool = False
) -> Unit | TreeProblem:
    """Read the tree of the named predictor, or of the only one, out of a SeldonDeployment document.

    One that has been admitted says each unit's type where it has one: of others the webhook makes models.
    """
    try:
        place, graph = _find_graph(document, predictor)
        return _Reader(admitted=admitted).read(graph, place, 1)
    except _UnreadableError as error:
        return error.problem


Transport = Literal["rest", "grpc"]


def read_timeout(
    document: object, predictor: str | None = None, transport: Transport = "rest"
) -> float | None:
    """Return how many seconds the executor gives a call: an annotation of the predictor, else of the spec."""
    try:
        spec = _mapping(_mapping(document, "document").get("spec"), "spec")
        predictors = [_mapping(item, "predictor") for item in _items(spec.get("predictors"), "predictors")]
        chosen = predictors[_choose([item.get("name") for item in predictors], predictor)]
        found = [_timeout_of(each.get("annotations"), transport) for each in (chosen, spec)]
    except _UnreadableError:
        return None
    return next((each for each in found if each), None)


def _timeout_of(annotations: object, transport: Transport) -> float | None:
    given = _mapping(annotations or {}, "annotations").get(f"seldon.io/{transport}-timeout")
    # What is no number stops the real executor, and 0 sets no limit.
    return int(given) / 1000 if isinstance(given, str) and given.isascii() and given.isdigit() else None


def bind_endpoints(root: Unit, endpoints: Mapping[str, Endpoint]) -> Unit:
    """Return the tree with the endpoints given by unit name; others keep their own."""
    children = tuple(bind_endpoints(child, endpoints) for child in root.children)
    return replace(root, endpoint=endpoints.get(root.name, root.endpoint), children=children)


def check_endpoints(root: Unit) -> TreeProblem | None:
    """Report the first unit that will be called and has no endpoint."""
    unbound = next((unit for unit in root.walk() if unit.is_called and not unit.endpoint), None)
    if unbound is None:
        return None
    return TreeProblem(
        "graph", f"unit `{unbound.name}` has no endpoint with a `service_host` and an `httpPort`"
    )


def _find_graph(document: object, predictor: str | None) -> tuple[str, object]:
    deployment = _mapping(document, "document")
    if deployment.get("kind") != "SeldonDeployment":
        raise _UnreadableError("document", "is not a SeldonDeployment")
    spec = _mapping(deployment.get("spec"), "spec")
    predictors = [
        _mapping(item, f"spec.predictors[{index}]")
        for index, item in enumerate(_items(spec.get("predictors"), "spec.predictors"))
    ]
    index = _choose([item.get("name") for item in predictors], predictor)
    return f"spec.predictors[{index}].graph", predictors[index].get("graph")


def _choose(names: list[object], wanted: str | None) -> int:
    if wanted is not None and wanted in names:
        return names.index(wanted)
    if wanted is None and len(names) == 1:
        return 0
    listed = ", ".join(f"`{name}`" for name in names) or "none"
    lack = "several predictors, of which one must be named" if wanted is None else f"no predictor `{wanted}`"
    raise _UnreadableError("spec.predictors", f"{lack if names else 'no predictors'}; there are: {listed}")


class _Reader:
    """Reads units and counts them, so that shared YAML nodes cannot multiply."""

    def __init__(self, *, admitted: bool) -> None:
        self._count, self._admitted = 0, admitted

    def read(self, value: object, place: str, depth: int) -> Unit:
        """Read one unit with its children."""
        self._count += 1
        if depth > MAX_DEPTH:
            raise _UnreadableError(place, f"units nest deeper than {MAX_DEPTH}")
        if self._count > MAX_UNITS:
            raise _UnreadableError(place, f"more than {MAX_UNITS} units")
        fields = _mapping(value, place)
        children = _items(fields.get("children"), f"{place}.children")
        implementation = _optional_text(fields, "implementation", place)
        return Unit(
            name=_name(fields, place),
            type=_read_type(fields, implementation, place, admitted=self._admitted),
            methods=_read_methods(fields, place),
            implementation=implementation,
            parameters=_read_parameters(fields, place),
            endpoint=_read_endpoint(fields.get("endpoint"), f"{place}.endpoint"),
            children=tuple(
                self.read(child, f"{place}.children[{index}]", depth + 1)
                for index, child in enumerate(children)
            ),
        )


def _read_type(
    fields: Mapping[str, object], implementation: str | None, place: str, *, admitted: bool
) -> str | None:
    """Fill in the type as the admission webhook does, for a document that has not been through it."""
    given = _optional_text(fields, "type", place)
    if admitted:
        return given
    if implementation is not None and implementation not in _BUILT_IN:
        return "MODEL"
    if given is None and implementation is None and fields.get("methods") is None:
        return "MODEL"
    return given


def _read_methods(fields: Mapping[str, object], place: str) -> frozenset[str]:
    methods = _items(fields.get("methods"), f"{place}.methods")
    return frozenset(_text(item, f"{place}.methods[{index}]") for index, item in enumerate(methods))


def _read_parameters(fields: Mapping[str, object], place: str) -> tuple[tuple[str, str], ...]:
    place = f"{place}.parameters"
    items = [_mapping(item, place) for item in _items(fields.get("parameters"), place)]
    return tuple((_text(item.get("name"), f"{place}.name"), str(item.get("value", ""))) for item in items)


def _read_endpoint(value: object, place: str) -> Endpoint | None:
    if value is None:
        return None
    fields = _mapping(value, place)
    host = _optional_text(fields, "service_host", place) or "localhost"
    if not _HOST.match(host):
        raise _UnreadableError(place, "`service_host` is not a host name")
    port, calls = (_read_port(fields, key, place) for key in ("httpPort", "grpcPort"))
    listens = port or calls
    return Endpoint(host, listens, calls) if listens else None


def _read_port(fields: Mapping[str, object], key: str, place: str) -> int | None:
    port = fields.get(key) or fields.get("service_port")
    if port is None or port == 0:
        return None
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise _UnreadableError(place, f"`{key}` is not a port number")
    return port


def _name(fields: Mapping[str, object], place: str) -> str:
    name = _text(fields.get("name"), f"{place}.name")
    if not name:
        raise _UnreadableError(place, "a unit has no name")
    return name


def _optional_text(fields: Mapping[str, object], key: str, place: str) -> str | None:
    value = fields.get(key)
    return None if value is None else _text(value, f"{place}.{key}")


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise _UnreadableError(place, "is not a text")
    return value


def _items(value: object, place: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _UnreadableError(place, "is not a list")
    return cast("list[object]", value)


def _mapping(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _UnreadableError(place, "is missing" if value is None else "is not a mapping")
    return cast("dict[str, object]", value)
