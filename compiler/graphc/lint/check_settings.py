"""Checks the settings of a deployment as a whole: protocol, transport, Kafka, numbers in annotations."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import ANNOTATION_NUMBER, IGNORED, KAFKA_SETTINGS, UNKNOWN_PROTOCOL
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import nearest
from graphc.seldon.deployment import PROTOCOLS, Deployment

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "protocol": PROTOCOLS,
    "transport": ("rest", "grpc"),
    "serverType": ("rpc", "kafka"),
}
_KAFKA: Final = ("KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC")
_ENGINE_NUMBERS: Final = (
    "seldon.io/executor-logger-queue-size",
    "seldon.io/executor-logger-write-timeout-ms",
)
_INGRESS_NUMBERS: Final = (
    "seldon.io/rest-timeout",
    "seldon.io/grpc-timeout",
    "seldon.io/ambassador-retries",
    "seldon.io/istio-retries",
    "seldon.io/istio-retries-timeout",
)
"""Read only where that ingress is installed."""


def check_settings(deployment: Deployment, sink: Sink) -> None:
    """Report words that the webhook refuses, and numbers that the operator cannot read."""
    for problem in (*_words(deployment), *_kafka(deployment), *_numbers(deployment)):
        sink.report(problem)


def _words(deployment: Deployment) -> Iterator[Diagnostic]:
    for field, known in _WORDS.items():
        word = deployment.spec.text(field)
        if word and word not in known:
            close = nearest(word, known)
            hint = f"did you mean `{close}`?" if close else f"write {_either(known)}"
            yield Diagnostic(
                UNKNOWN_PROTOCOL, f"{quoted(word)} is no {_noun(field)}", deployment.spec.at(field), hint
            )


def _either(words: tuple[str, ...]) -> str:
    *first, last = (f"`{word}`" for word in words)
    return f"{', '.join(first)} or {last}"


def _noun(field: str) -> str:
    return "server type" if field == "serverType" else field


def _kafka(deployment: Deployment) -> Iterator[Diagnostic]:
    if deployment.spec.text("serverType") != "kafka":
        return
    for predictor in deployment.predictors:
        orchestrator = predictor.node.child("svcOrchSpec")
        names = [each.text("name") for each in orchestrator.items("env")]
        # The webhook counts entries, so a repeated one stands for a missing one.
        if sum(name in _KAFKA for name in names) < len(_KAFKA):
            missing = ", ".join(f"`{name}`" for name in _KAFKA if name not in names)
            message = f"the executor reads Kafka and has no {missing}"
            yield Diagnostic(
                KAFKA_SETTINGS, message, predictor.node.at("name"), "set them in `svcOrchSpec.env`"
            )


def _numbers(deployment: Deployment) -> Iterator[Diagnostic]:
    has_engine = any(predictor.has_engine for predictor in deployment.predictors)
    for name in (*_ENGINE_NUMBERS, *_INGRESS_NUMBERS):
        found = deployment.annotation(name)
        if found is None or _is_integer(found.as_text or ""):
            continue
        is_fatal = name in _ENGINE_NUMBERS and has_engine
        message = f"{quoted(found.as_text or '')} is not an integer, as `{name}` needs it"
        yield Diagnostic(ANNOTATION_NUMBER if is_fatal else IGNORED, message, found.span)


def _is_integer(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits.isascii() and digits.isdecimal() and len(digits) < 19
