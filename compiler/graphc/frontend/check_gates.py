"""Check the gates that a graph sets for promotion: metrics, bounds, and whether there is anything to judge."""

from collections.abc import Iterable, Mapping
from typing import Final

from graphc_components.tensors import TensorType

from graphc.compare.gates import CONFIDENCE, METRICS, Gate, GateError, parse_confidence, parse_gate
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.gates import (
    GATE_BOUND,
    GATE_METRIC,
    GATE_UNIT,
    NOTHING_TO_COMPARE,
    NOTHING_TO_JUDGE,
    UNDECIDABLE,
)
from graphc.diagnostics.diagnostic import Rule
from graphc.frontend.predictors import main_predictor
from graphc.spec.fields import Predictor
from graphc.spec.read_spec import GraphSpec

_RULES: Final[Mapping[str, Rule]] = {"metric": GATE_METRIC, "text": GATE_BOUND, "unit": GATE_UNIT}
_FIELD: Final = "promote_when"


def check_gates(spec: GraphSpec, predictors: Mapping[str, Predictor], sink: Sink) -> None:
    """Report gates that name no metric, bounds that are none, and gates that no predictor could be judged by."""
    for path, gates in _places(spec, predictors):
        for name, value in gates.items():
            if value is None and name in METRICS and path != (_FIELD,):
                continue
            try:
                parse_confidence(value) if name == CONFIDENCE else parse_gate(name, value)
            except GateError as error:
                at = spec.at(*path, name, key=error.kind == "metric")
                sink.report(Diagnostic(_RULES[error.kind], str(error), at, error.hint))
    if spec.fields.promote_when and len(predictors) < 2:
        message = "the graph has gates and one predictor, so there is none to promote"
        hint = "add the version that is to be promoted, as a shadow or with little traffic"
        sink.report(Diagnostic(NOTHING_TO_JUDGE, message, spec.at(_FIELD, key=True), hint))


def check_decidable(spec: GraphSpec, predictors: Mapping[str, Predictor], sink: Sink) -> None:
    """Report gates that compare two answers to one request, of predictors whose requests no other one answers."""
    main = main_predictor(spec)
    for name, predictor in predictors.items():
        # Without requests it is no candidate: a shadow that was promoted left it behind. And one that says that it is
        # no shadow was one: a promotion writes so, and its gates were decided before it had requests of its own.
        was_shadow = spec.says("predictors", name, "shadow")
        is_canary = not was_shadow and name != main and bool(predictor.traffic or predictor.when)
        metrics = [*_pairing(spec.fields.promote_when | predictor.promote_when)] if is_canary else []
        if metrics:
            is_own = metrics[0] in predictor.promote_when
            at = spec.at(*(("predictors", name) if is_own else ()), _FIELD, metrics[0], key=True)
            listed = " and ".join(f"`{metric}`" for metric in metrics)
            verb, them = ("are", "them") if len(metrics) > 1 else ("is", "it")
            message = f"{listed} of `{name}` {verb} never decided: no other version answers its requests too"
            off = ", ".join(f"{metric}: null" for metric in metrics)
            hint = f"turn {them} off, as in `{name}: {{promote_when: {{{off}}}}}`, or make `{name}` a shadow"
            sink.report(Diagnostic(UNDECIDABLE, message, at, hint))


def _pairing(gates: Mapping[str, object]) -> Iterable[str]:
    return (name for name, value in gates.items() if value and name in METRICS and METRICS[name].needs_pairs)


def check_compared(
    spec: GraphSpec, predictors: Mapping[str, Predictor], outputs: Iterable[TensorType], sink: Sink
) -> None:
    """Report gates on classes or numbers where no output has any."""
    outputs = list(outputs)
    can = {"classes": any(map(_has_classes, outputs)), "numbers": any(map(_has_numbers, outputs))}
    for path, gates in _places(spec, predictors):
        for gate in _readable(gates):
            reads = METRICS[gate.metric].reads
            if not can.get(reads, True):
                message = f"`{gate.metric}` compares {reads}, and no output has any"
                sink.report(Diagnostic(NOTHING_TO_COMPARE, message, spec.at(*path, gate.metric, key=True)))


def _places(
    spec: GraphSpec, predictors: Mapping[str, Predictor]
) -> Iterable[tuple[tuple[str, ...], Mapping[str, object]]]:
    yield (_FIELD,), spec.fields.promote_when
    for name, predictor in predictors.items():
        yield ("predictors", name, _FIELD), predictor.promote_when


def _readable(gates: Mapping[str, object]) -> Iterable[Gate]:
    for name, value in gates.items():
        if name in METRICS:
            try:
                yield parse_gate(name, value)
            except GateError:
                continue


def _has_classes(type_: TensorType) -> bool:
    """Say whether an output is of whole things, or of numbers of which the greatest is a choice."""
    return not _has_numbers(type_) or (type_.rank >= 2 and type_.shape[-1] != 1)


def _has_numbers(type_: TensorType) -> bool:
    return type_.datatype.startswith(("FP", "BF"))
