"""A predictor's tree of units, read from an unchecked SeldonDeployment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from graphc.records import record
from graphc.seldon.deployment import Deployment, Predictor, read_deployment
from graphc.seldon.documents import KIND
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import Endpoint, SeldonUnit, read_unit
from graphc.source.located import Items

MAX_DEPTH: Final = 64
MAX_UNITS: Final = 1000
"""Beyond these a document is taken for an attack: YAML aliases can stand for many units."""

_DIGITS: Final = 18
"""No number of more digits is sure to be one of 64 bits."""

_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")


@record
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
    document: ManifestNode, predictor: str | None = None, *, admitted: bool = False
) -> SeldonUnit | TreeProblem:
    """Read the tree of the named predictor, or of the only one, out of a SeldonDeployment.

    One that has been admitted says each unit's type where it has one: of others the webhook makes models.
    """
    try:
        place, graph = _find_graph(document, predictor)
        _Checker().check(graph, place, 1)
    except _UnreadableError as error:
        return error.problem
    return read_unit(graph, admitted=admitted)


def read_predictor_tree(predictor: ManifestNode, place: str) -> SeldonUnit | TreeProblem:
    """Read the tree of a predictor of a SeldonDeployment, which stands at that place in it."""
    try:
        _check_mapping(predictor, place)
        graph = _mapping(predictor, "graph", f"{place}.graph")
        _Checker().check(graph, f"{place}.graph", 1)
    except _UnreadableError as error:
        return error.problem
    return read_unit(graph)


Transport = Literal["rest", "grpc"]


def read_timeout(
    document: ManifestNode, predictor: str | None = None, transport: Transport = "rest"
) -> float | None:
    """Return how many seconds the executor gives a call: an annotation of the predictor, else of the spec."""
    deployment = read_deployment(document)
    try:
        chosen = deployment.predictors[_choose([each.name for each in deployment.predictors], predictor)]
    except _UnreadableError:
        return None
    return timeout_of(deployment, chosen, transport)


def timeout_of(deployment: Deployment, predictor: Predictor, transport: Transport) -> float | None:
    """Return how many seconds the executor gives a predictor's calls."""
    annotated = (predictor.annotations, deployment.spec.texts("annotations"))
    return next((found for each in annotated if (found := _timeout_of(each, transport))), None)


def _timeout_of(annotations: Mapping[str, str], transport: Transport) -> float | None:
    given = annotations.get(f"seldon.io/{transport}-timeout", "")
    # What is no number, or none that Go holds, stops the real executor, and 0 sets no limit.
    is_number = given.isascii() and given.isdigit() and len(given.lstrip("0")) <= _DIGITS
    return int(given.lstrip("0") or "0") / 1000 if is_number else None


def bind_endpoints(root: SeldonUnit, endpoints: Mapping[str, Endpoint]) -> SeldonUnit:
    """Return the tree with the endpoints given by unit name; others keep their own."""
    children = tuple(bind_endpoints(child, endpoints) for child in root.children)
    return replace(root, endpoint=endpoints.get(root.name, root.endpoint), children=children)


def check_endpoints(root: SeldonUnit) -> TreeProblem | None:
    """Report the first unit that will be called and has no endpoint."""
    unbound = next((unit for unit in root.walk() if unit.is_called and not unit.endpoint), None)
    if unbound is None:
        return None
    return TreeProblem(
        "graph", f"unit `{unbound.name}` has no endpoint with a `service_host` and an `httpPort`"
    )


def _find_graph(document: ManifestNode, predictor: str | None) -> tuple[str, ManifestNode]:
    _check_mapping(document, "document")
    if document.text("kind") != KIND:
        raise _UnreadableError("document", f"is not a {KIND}")
    spec = _mapping(document, "spec", "spec")
    predictors = _items(spec, "predictors", "spec.predictors")
    for index, each in enumerate(predictors):
        _check_mapping(each, f"spec.predictors[{index}]")
    index = _choose([each.text("name") for each in predictors], predictor)
    place = f"spec.predictors[{index}].graph"
    return place, _mapping(predictors[index], "graph", place)


def _choose(names: Sequence[str], wanted: str | None) -> int:
    if wanted is not None and wanted in names:
        return names.index(wanted)
    if wanted is None and len(names) == 1:
        return 0
    listed = ", ".join(f"`{name}`" for name in names) or "none"
    lack = "several predictors, of which one must be named" if wanted is None else f"no predictor `{wanted}`"
    raise _UnreadableError("spec.predictors", f"{lack if names else 'no predictors'}; there are: {listed}")


class _Checker:
    """Checks that units are of the kinds that the executor reads, and counts them: aliases stand for many."""

    def __init__(self) -> None:
        self._count = 0

    def check(self, unit: ManifestNode, place: str, depth: int) -> None:
        """Check one unit with all below it."""
        self._count += 1
        if depth > MAX_DEPTH:
            raise _UnreadableError(place, f"units nest deeper than {MAX_DEPTH}")
        if self._count > MAX_UNITS:
            raise _UnreadableError(place, f"more than {MAX_UNITS} units")
        _check_mapping(unit, place)
        children = _items(unit, "children", f"{place}.children")
        _check_text(unit, "implementation", place)
        _check_name(unit, place)
        _check_text(unit, "type", place)
        for index, method in enumerate(_items(unit, "methods", f"{place}.methods")):
            _check_is_text(method, f"{place}.methods[{index}]")
        for parameter in _items(unit, "parameters", f"{place}.parameters"):
            _check_mapping(parameter, f"{place}.parameters")
            _check_is_text(parameter.find("name"), f"{place}.parameters.name")
        _check_endpoint(unit, f"{place}.endpoint")
        for index, child in enumerate(children):
            self.check(child, f"{place}.children[{index}]", depth + 1)


def _check_name(unit: ManifestNode, place: str) -> None:
    _check_is_text(unit.find("name"), f"{place}.name")
    if not unit.text("name"):
        raise _UnreadableError(place, "a unit has no name")


def _check_endpoint(unit: ManifestNode, place: str) -> None:
    endpoint = unit.find("endpoint")
    if endpoint is None:
        return
    _check_mapping(endpoint, place)
    _check_text(endpoint, "service_host", place)
    if not _HOST.match(endpoint.text("service_host") or "localhost"):
        raise _UnreadableError(place, "`service_host` is not a host name")
    for key in ("httpPort", "grpcPort"):
        used = key if endpoint.has(key) and endpoint.number(key) != 0 else "service_port"
        port = endpoint.number(used)
        if endpoint.has(used) and port != 0 and (port is None or not 0 < port < 65536):
            raise _UnreadableError(place, f"`{key}` is not a port number")


def _check_text(node: ManifestNode, key: str, place: str) -> None:
    found = node.find(key)
    if found is not None:
        _check_is_text(found, f"{place}.{key}")


def _check_is_text(node: ManifestNode | None, place: str) -> None:
    if node is None or node.as_text is None:
        raise _UnreadableError(place, "is not a text")


def _items(node: ManifestNode, key: str, place: str) -> tuple[ManifestNode, ...]:
    found = node.find(key)
    if found is not None and not isinstance(found.value, Items):
        raise _UnreadableError(place, "is not a list")
    return node.items(key)


def _mapping(node: ManifestNode, key: str, place: str) -> ManifestNode:
    found = node.find(key)
    if found is None:
        raise _UnreadableError(place, "is missing")
    _check_mapping(found, place)
    return found


def _check_mapping(node: ManifestNode, place: str) -> None:
    if not node.is_mapping:
        raise _UnreadableError(place, "is missing" if node.is_nothing else "is not a mapping")
