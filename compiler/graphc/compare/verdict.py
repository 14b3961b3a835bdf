"""Whether a candidate passes its gates, with a plain statement for each."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from graphc.compare.figures import Figures, PairFigures
from graphc.compare.gates import ALL, Gate, Gates, make_gates, read_annotation
from graphc.compare.measure import Measured, measure
from graphc.compare.plain import Plain, plain_number
from graphc.compare.report import Report


class Outcome(StrEnum):
    """What became of a gate."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "not enough samples"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One gate with what was measured; `value` is None where nothing was."""

    gate: Gate
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    statement: str

    def to_plain(self) -> dict[str, Plain]:
        """Return the judgement as JSON holds it."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {
            "gate": self.gate.metric,
            "bound": self.gate.text,
            "outcome": self.outcome.value,
            **{name: None if value is None else plain_number(value) for name, value in values.items()},
            "statement": self.statement,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates of one candidate."""

    candidate: str
    judgements: tuple[Judgement, ...]

    @property
    def outcome(self) -> Outcome:
        """Failed where any gate failed, else undecided where any is; passed where there are none."""
        found = {each.outcome for each in self.judgements}
        return next((each for each in (Outcome.FAILED, Outcome.UNDECIDED) if each in found), Outcome.PASSED)

    @property
    def passed(self) -> bool:
        """Whether every gate is passed."""
        return self.outcome is Outcome.PASSED

    def to_plain(self) -> dict[str, Plain]:
        """Return the verdict as JSON holds it."""
        return {
            "candidate": self.candidate,
            "outcome": self.outcome.value,
            "gates": [each.to_plain() for each in self.judgements],
        }


def evaluate(gates: Gates, report: Report, candidate: str) -> Verdict:
    """Judge a candidate by its gates; one that nothing was seen of is undecided.

    A gate is passed where the bound holds even at the unfavourable end of the interval in which the true value lies
    with the gates' confidence (one-sided), failed where it does not hold even at the favourable end, and undecided
    between. A bound that no interval can reach (an agreement of 1, a share of errors of 0) is passed as long as
    nothing contradicts it: how much that says is for `samples` to ask.

    A canary answers requests of its own, so no answers pair: its samples, errors and latency are judged beside those
    of the predictor that answers most, and what needs pairs is undecided.
    """
    comparison = report.figures.candidates().get(candidate)
    found = comparison.overall if comparison else _beside(report.figures, candidate)
    deviations = NormalDist().inv_cdf(gates.confidence)
    return Verdict(candidate, tuple(_judge(each, found, deviations) for each in gates.gates))


def _beside(figures: Figures, candidate: str) -> PairFigures:
    """Return a canary's own answers as if each stood beside one of the predictor with the most answers."""
    own = figures.predictors.get(candidate)
    others = [each for name, each in sorted(figures.predictors.items()) if name != candidate]
    if own is None or not others:
        return PairFigures()
    main = max(others, key=lambda each: each.statuses.total())
    failed = sum(count for status, count in own.statuses.items() if status == "0" or status >= "500")
    return PairFigures(own.statuses.total(), failed, live_seconds=main.seconds, seconds=own.seconds)


def _judge(gate: Gate, pairs: PairFigures, deviations: float) -> Judgement:
    measured = measure(pairs, gate.metric, deviations, ratio=gate.kind != "time")
    if measured is None:
        statement = f"{gate.metric}: nothing was measured; wanted {gate.text}"
        return Judgement(gate, Outcome.UNDECIDED, None, None, None, statement)
    statement = _state(gate, measured, pairs.pairs)
    return Judgement(gate, _outcome(gate, measured), measured.value, measured.low, measured.high, statement)


def _outcome(gate: Gate, measured: Measured) -> Outcome:
    if gate.metric == "samples":
        return Outcome.PASSED if _holds(gate, measured.value) else Outcome.UNDECIDED
    worst, best = (measured.low, measured.high) if gate.operator[0] == ">" else (measured.high, measured.low)
    out_of_reach = gate.kind == "share" and gate.bound == (1 if gate.operator[0] == ">" else 0)
    if _holds(gate, measured.value if out_of_reach else worst):
        return Outcome.PASSED
    return Outcome.UNDECIDED if _holds(gate, best) and not out_of_reach else Outcome.FAILED


def _holds(gate: Gate, value: float) -> bool:
    match gate.operator:
        case ">=":
            return value >= gate.bound
        case ">":
            return value > gate.bound
        case "<=":
            return value <= gate.bound
        case "<":
            return value < gate.bound


def _state(gate: Gate, measured: Measured, pairs: int) -> str:
    value = show(gate, measured.value)
    statement = f"{gate.metric}: {value}, wanted {gate.text}"
    if measured.low == measured.high:
        return statement
    bounds = f"between {show(gate, measured.low)} and {show(gate, measured.high)}"
    return f"{statement} ({bounds} by {pairs:,} pairs)"


def show(gate: Gate, value: float) -> str:
    """Return a value in the unit of its gate."""
    if math.isinf(value):
        return "unbounded"
    match gate.kind:
        case "ratio":
            return f"{value:.3g}x"
        case "time":
            return f"{value * 1000:.3g}ms"
        case "count":
            return f"{value:,.0f}"
        case "share":
            return f"{value:.4f}"
        case _:
            return f"{value:.3g}"


def judge_all(report: Report, candidate: str | None, given: Mapping[str, object]) -> list[Verdict]:
    """Judge every candidate that has gates, or one, by the report's gates or by others; raises GateError."""
    fields = report.gates if isinstance(report.gates, dict) else {}
    named = {*report.figures.candidates(), *(name for name in fields if name != ALL)}
    names = sorted(named) if candidate is None else [candidate]
    text = json.dumps(fields)
    verdicts = [
        evaluate(make_gates(given) if given else read_annotation(text, name), report, name) for name in names
    ]
    return [each for each in verdicts if each.judgements]
