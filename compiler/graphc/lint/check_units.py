"""Checks what the executor will make of each unit: what it calls, what it ignores, what it loses."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import (
    ABTEST_RATIO,
    CHILDLESS,
    GRPC_GRAPH,
    IDLE_UNIT,
    IGNORED,
    LOGGER_MODE,
    LOST_ANSWERS,
    MIXED_ENDPOINTS,
    NO_METHOD,
    UNIT_TWICE,
    UNKNOWN_WORD,
)
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.seldon.deployment import Deployment, Predictor
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import ABTEST, SeldonUnit

TYPES: Final = ("UNKNOWN_TYPE", "MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER")
METHODS: Final = ("TRANSFORM_INPUT", "TRANSFORM_OUTPUT", "ROUTE", "AGGREGATE", "SEND_FEEDBACK")
ENDPOINTS: Final = ("REST", "GRPC")
PARAMETERS: Final = ("INT", "FLOAT", "DOUBLE", "STRING", "BOOL")
LOGGED: Final = ("all", "request", "response")

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+(?:_[0-9]+)*\s*")
_TRUE_OR_FALSE: Final = frozenset({"y", "yes", "t", "true", "on", "1", "n", "no", "f", "false", "off", "0"})
_NOTHING_BEHIND: Final = frozenset({"SIMPLE_MODEL", "SIMPLE_ROUTER", "AVERAGE_COMBINER"})
_TRANSPORTS: Final[Mapping[str, str]] = {"rest": "REST", "grpc": "GRPC"}


def check_units(deployment: Deployment, sink: Sink) -> None:
    """Report units that the webhook refuses, and those that are accepted and break later."""
    for problem in _endpoints(deployment):
        sink.report(problem)
    for predictor in deployment.predictors:
        for problem in (*_twice(predictor), *_over_grpc(deployment, predictor)):
            sink.report(problem)
        for unit in predictor.units:
            for problem in (*_words(unit), *_ports(unit), *_logger(unit), *_work(unit), *_children(unit)):
                sink.report(problem)


def _endpoints(deployment: Deployment) -> Iterator[Diagnostic]:
    units = [unit for predictor in deployment.predictors for unit in predictor.units]
    endpoints = [unit.node.child("endpoint") for unit in units]
    found = {each.text("type"): each.at("type") for each in reversed(endpoints) if each.text("type")}
    if len(found) > 1:
        words = " and ".join(map(quoted, sorted(found)))
        hint = "remove the endpoints' types, and set `spec.transport`"
        yield Diagnostic(MIXED_ENDPOINTS, f"units are to be called by {words}", max(found.values()), hint)
    transport = deployment.spec.text("transport")
    wanted = _TRANSPORTS.get(transport)
    for word, place in found.items():
        if len(found) == 1 and wanted and word in ENDPOINTS and word != wanted:
            message = f"the endpoint is {quoted(word)}, and the deployment's transport `{transport}`"
            yield Diagnostic(MIXED_ENDPOINTS, message, place, "remove the endpoint's type")


def _twice(predictor: Predictor) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for unit in predictor.units:
        if unit.name in seen:
            message = f"two units are called {quoted(unit.name)}: both are the same container"
            yield Diagnostic(UNIT_TWICE, message, unit.node.at("name"))
        seen.add(unit.name)
    pods: dict[str, int] = {}
    for pod, container in predictor.containers():
        if pods.setdefault(container.name, pod.index) != pod.index and container.name in seen:
            message = f"two pods have a container {quoted(container.name)}, and one Service for both"
            yield Diagnostic(UNIT_TWICE, message, container.node.at("name"))


def _over_grpc(deployment: Deployment, predictor: Predictor) -> Iterator[Diagnostic]:
    is_grpc = deployment.spec.text("transport") == "grpc"
    if not is_grpc or deployment.protocol == "seldon" or not predictor.has_engine:
        return
    for unit in predictor.units:
        asks = unit.aggregates or (unit.routes and unit.implementation != ABTEST)
        if asks or (deployment.speaks_v2 and (unit.transforms or unit.children)):
            message = (
                f"{quoted(unit.name)} is more than a model, and over gRPC the executor calls only models"
            )
            yield Diagnostic(GRPC_GRAPH, message, unit.node.at("name"), "set the transport to `rest`")
            return


def _words(unit: SeldonUnit) -> Iterator[Diagnostic]:
    endpoint, logger = unit.node.child("endpoint"), unit.node.child("logger")
    yield from _word(unit.node, "type", TYPES, "a unit's type")
    yield from _word(endpoint, "type", ENDPOINTS, "an endpoint's type")
    yield from _word(logger, "mode", LOGGED, "a logger's mode")
    for parameter in unit.node.items("parameters"):
        yield from _word(parameter, "type", PARAMETERS, "a parameter's type")
        yield from _parameter(parameter)
    for method in unit.node.items("methods"):
        if method.as_text not in METHODS:
            yield _unknown(method.as_text or "", method, METHODS, "a unit's method")


def _ports(unit: SeldonUnit) -> Iterator[Diagnostic]:
    endpoint = unit.node.child("endpoint")
    for field in ("httpPort", "grpcPort", "service_port"):
        number = endpoint.number(field)
        if number is not None and not 0 <= number < 65536:
            message = f"`{field}` of {quoted(unit.name)} is {number}, which is no port"
            yield Diagnostic(IGNORED, message, endpoint.at(field))


def _parameter(node: ManifestNode) -> Iterator[Diagnostic]:
    kind, value = node.text("type"), node.text("value")
    if not _is_of(kind, value):
        yield Diagnostic(
            UNKNOWN_WORD, f"{quoted(value)} is no `{kind}`, and nothing complains", node.at("value")
        )


def _is_of(kind: str, text: str) -> bool:
    match kind:
        case "INT":
            return _INTEGER.fullmatch(text) is not None
        case "FLOAT" | "DOUBLE":
            return _is_number(text)
        case "BOOL":
            return text.lower() in _TRUE_OR_FALSE
        case _:
            return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _word(node: ManifestNode, field: str, known: tuple[str, ...], noun: str) -> Iterator[Diagnostic]:
    found = node.find(field)
    if found and found.as_text and found.as_text not in known:
        yield _unknown(found.as_text, found, known, noun)


def _unknown(word: str, node: ManifestNode, known: tuple[str, ...], noun: str) -> Diagnostic:
    message = f"{quoted(word)} is not {noun}, and nothing complains"
    hint = did_you_mean(word, known) or f"write one of {', '.join(f'`{each}`' for each in known)}"
    return Diagnostic(UNKNOWN_WORD, message, node.span, hint)


def _logger(unit: SeldonUnit) -> Iterator[Diagnostic]:
    logger = unit.node.find("logger")
    if logger and not logger.text("mode"):
        message = f"the logger of {quoted(unit.name)} has no mode"
        yield Diagnostic(LOGGER_MODE, message, logger.span, "write `mode: all`, `request` or `response`")


def _work(unit: SeldonUnit) -> Iterator[Diagnostic]:
    place = unit.node.at("implementation") if unit.node.has("implementation") else unit.node.at("name")
    said = unit.node.text("type")
    if unit.needs_container and said == "UNKNOWN_TYPE" and not unit.methods:
        message = f"{quoted(unit.name)} has neither a known type nor methods"
        yield Diagnostic(NO_METHOD, message, unit.node.at("type"), "give it a type such as `MODEL`")
    elif unit.implementation in _NOTHING_BEHIND:
        message = f"`{unit.implementation}` is accepted, and the executor has nothing behind it"
        yield Diagnostic(IDLE_UNIT, message, place, "use a container of your own")
    elif unit.is_idle and said in ("", *TYPES) and unit.methods <= frozenset(METHODS):
        yield Diagnostic(
            IDLE_UNIT, f"nothing calls {quoted(unit.name)}: it has no type", place, "add `type: MODEL`"
        )
    elif unit.is_server and said in TYPES and said not in ("MODEL", "UNKNOWN_TYPE"):
        message = f"{quoted(unit.name)} is a prepackaged server, so it is called as a model, not as `{said}`"
        yield Diagnostic(IDLE_UNIT, message, unit.node.at("type"))


def _children(unit: SeldonUnit) -> Iterator[Diagnostic]:
    name, children = quoted(unit.name), unit.children
    if not children and (unit.chooses or unit.aggregates):
        does = "route to" if unit.chooses else "combine"
        yield Diagnostic(CHILDLESS, f"{name} has no children to {does}", unit.node.at("name"))
    elif unit.implementation == ABTEST:
        yield from _abtest(unit)
    elif len(children) > 1 and not unit.chooses and not unit.aggregates:
        message = f"{name} has {len(children)} children, and only the first one's answer is used"
        yield Diagnostic(
            LOST_ANSWERS, message, unit.node.at("name"), "give it the type `COMBINER` or `ROUTER`"
        )


def _abtest(unit: SeldonUnit) -> Iterator[Diagnostic]:
    name, parameters = quoted(unit.name), unit.node.items("parameters")
    if len(unit.children) != 2:
        message = f"{name} has {len(unit.children)} children, and the test chooses between the first two"
        yield Diagnostic(ABTEST_RATIO, message, unit.node.at("name"))
    if Counter(each.text("name") for each in parameters) != Counter(["ratioA"]):
        message = f"{name} is not given exactly `ratioA`, so it takes one half"
        place = unit.node.at("parameters") if parameters else unit.node.at("name")
        yield Diagnostic(ABTEST_RATIO, message, place, 'add {name: ratioA, type: FLOAT, value: "0.5"} alone')
        return
    value = parameters[0].child("value").as_text or ""
    if not _is_ratio(value):
        message = f"{quoted(value)} is not a ratio between 0 and 1"
        yield Diagnostic(ABTEST_RATIO, message, parameters[0].at("value"))


def _is_ratio(text: str) -> bool:
    return _is_number(text) and 0 <= float(text) <= 1
