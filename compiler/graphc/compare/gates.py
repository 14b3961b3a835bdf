"""Gates: what a candidate has to reach before it may take traffic, as a graph file says it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from graphc.diagnostics.suggest import nearest
from graphc.unchecked import parse

Kind = Literal["share", "count", "amount", "ratio", "time"]
"""What a bound may be: `0.99` or `99%`; a whole number; any number; `1.2x`; `50ms` or `2s`."""

DEFAULT_CONFIDENCE: Final = 0.95
CONFIDENCE: Final = "confidence"

ANNOTATION: Final = "graphc.dev/promote-when"
"""Where a SeldonDeployment carries its gates: JSON, by predictor; those of all under `ALL`."""

ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured of a candidate, and in which direction it is good."""

    kinds: tuple[Kind, ...]
    more_is_better: bool
    summary: str
    share: float | None = None
    """Of a quantile, which."""
    reads: Literal["answers", "classes", "numbers", "values"] = "answers"
    """What of the outputs it needs."""
    needs_pairs: bool = True
    """Whether it compares two answers to one request; others are judged of a version's own answers too."""


_QUANTILES: Final = (50, 90, 95, 99)

METRICS: Final[Mapping[str, Metric]] = {
    "samples": Metric(
        ("count",),
        more_is_better=True,
        summary="pairs of answers that were compared",
        needs_pairs=False,
    ),
    "agreement": Metric(
        ("share",),
        more_is_better=True,
        summary="share of equal classes, of the output that agrees least",
        reads="classes",
    ),
    "errors": Metric(
        ("share",),
        more_is_better=False,
        summary="share of the requests that the live predictor answered and this one did not",
        needs_pairs=False,
    ),
    "faults": Metric(
        ("share",),
        more_is_better=False,
        summary="share of the answers with other names, datatypes, shapes, or NaN",
    ),
    "max_error": Metric(
        ("amount",), more_is_better=False, summary="greatest absolute difference of a number", reads="numbers"
    ),
    "mean_error": Metric(
        ("amount",), more_is_better=False, summary="mean absolute difference of numbers", reads="numbers"
    ),
    **{
        f"error_p{each}": Metric(
            ("amount",),
            more_is_better=False,
            summary=f"absolute difference that {each} % of the numbers stay below",
            share=each / 100,
            reads="numbers",
        )
        for each in _QUANTILES
    },
    "ks": Metric(
        ("share",),
        more_is_better=False,
        summary="Kolmogorov-Smirnov distance of the outputs' distributions",
        reads="numbers",
    ),
    "wasserstein": Metric(
        ("amount",),
        more_is_better=False,
        summary="how far numbers move on average between the distributions",
        reads="numbers",
    ),
    "psi": Metric(
        ("amount",),
        more_is_better=False,
        summary="population stability index of the classes",
        reads="classes",
    ),
    **{
        f"latency_p{each}": Metric(
            ("ratio", "time"),
            more_is_better=False,
            summary=f"time that {each} % of the answers stay below: as a multiple of the live one's, or absolute",
            share=each / 100,
            needs_pairs=False,
        )
        for each in _QUANTILES
    },
}
"""Every metric that a gate may name."""

_GATE: Final = re.compile(
    r"\s*(?P<operator>>=|<=|==|>|<|=)?\s*(?P<number>[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?)\s*(?P<unit>\S*)\s*\Z"
)
_UNITS: Final[Mapping[str, Kind]] = {"x": "ratio", "ms": "time", "s": "time", "%": "share", "": "amount"}
_EXAMPLES: Final[Mapping[Kind, str]] = {
    "share": "0.01",
    "count": "1000",
    "amount": "1e-3",
    "ratio": "1.2x",
    "time": "50ms",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One bound of one metric."""

    metric: str
    operator: Literal[">=", ">", "<=", "<"]
    bound: float
    kind: Kind
    text: str
    """As the file says it."""


@dataclass(frozen=True, slots=True)
class Gates:
    """All gates of one candidate, and how sure a gate has to be."""

    gates: tuple[Gate, ...]
    confidence: float = DEFAULT_CONFIDENCE


class GateError(ValueError):
    """A gate is not one; `kind` says which rule it breaks."""

    def __init__(
        self, kind: Literal["metric", "text", "unit"], message: str, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.hint = kind, hint


def parse_gate(metric: str, value: object) -> Gate:
    """Read one gate; raises GateError."""
    known = METRICS.get(metric)
    if known is None:
        close = nearest(metric, METRICS)
        hint = (
            f"did you mean `{close}`?" if close else f"known are {', '.join(f'`{each}`' for each in METRICS)}"
        )
        raise GateError("metric", f"`{metric}` is not measured", hint)
    sign = ">=" if known.more_is_better else "<="
    example = f"{sign} {'0.99' if metric == 'agreement' else _EXAMPLES[known.kinds[0]]}"
    hint = f'write it as in `{metric}: "{example}"`'
    found = _GATE.match(value) if isinstance(value, str) else None
    if found is None:
        raise GateError("text", f"`{metric}` has a gate that is not a bound: {_show(value)}", hint)
    operator = found["operator"]
    if operator not in {sign, sign[0]}:
        better = "more" if known.more_is_better else "less"
        said = f"`{operator}` asks for something else" if operator else "the bound has no operator"
        raise GateError("text", f"of `{metric}` {better} is better, and {said}", hint)
    kind = _kind(known, found["unit"])
    if kind is None:
        raise GateError("unit", f"`{found['unit'] or found['number']}` is no unit of `{metric}`", hint)
    bound = _bound(float(found["number"]), found["unit"])
    if problem := _out_of_range(kind, bound):
        raise GateError(
            "unit", f"`{metric}` {problem}, and the bound is {found['number']}{found['unit']}", hint
        )
    return Gate(metric, cast('Literal[">=", ">", "<=", "<"]', operator), bound, kind, str(value).strip())


def parse_confidence(value: object) -> float:
    """Read how sure gates have to be; raises GateError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value < 1:
        message = f"`{CONFIDENCE}` is a number from 0.5 up to 1, and {_show(value)} is not"
        raise GateError("unit", message, "0.5 believes what was measured as it is; 0.95 allows for chance")
    return float(value)


def write_annotation(by_predictor: Mapping[str, Mapping[str, object]]) -> str:
    """Return the annotation's text for gates that were checked, by predictor."""
    return json.dumps(
        {name: dict(gates) for name, gates in by_predictor.items() if gates}, separators=(",", ":")
    )


def read_annotation(text: str | None, predictor: str) -> Gates:
    """Return a predictor's gates out of the annotation; raises GateError.

    Its own replace those of all of the same metric, and one that is null turns it off.
    """
    try:
        value = parse(text) if text else None
    except ValueError as error:
        raise GateError("text", f"the annotation `{ANNOTATION}` is not JSON") from error
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    merged: dict[str, object] = {}
    for name in (ALL, predictor):
        found = fields.get(name)
        merged |= cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return make_gates({metric: gate for metric, gate in merged.items() if gate is not None})


def make_gates(fields: Mapping[str, object]) -> Gates:
    """Return the gates of `promote_when`; raises GateError at the first that is none."""
    gates = tuple(_each(fields))
    confidence = fields.get(CONFIDENCE, DEFAULT_CONFIDENCE)
    return Gates(gates, parse_confidence(confidence))


def _each(fields: Mapping[str, object]) -> Iterator[Gate]:
    for metric, value in fields.items():
        if metric != CONFIDENCE:
            yield parse_gate(metric, value)


def _kind(metric: Metric, unit: str) -> Kind | None:
    kind = _UNITS.get(unit)
    if kind in metric.kinds:
        return kind
    # A number without a unit is an amount, a share or a count, for every metric.
    return next((each for each in metric.kinds if unit == "" and each in {"share", "count"}), None)


def _bound(number: float, unit: str) -> float:
    return number / {"%": 100, "ms": 1000}.get(unit, 1)


def _out_of_range(kind: Kind, bound: float) -> str | None:
    match kind:
        case "share" if not 0 <= bound <= 1:
            return "is a share from 0 to 1"
        case "count" if bound < 0 or not bound.is_integer():
            return "counts whole pairs"
        case "ratio" | "time" if bound <= 0:
            return "is more than nothing"
        case "amount" if bound < 0:
            return "is never negative"
        case _:
            return None


def _show(value: object) -> str:
    match value:
        case str() | int() | float():
            return f"`{value}`"
        case None:
            return "nothing"
        case _:
            return "a mapping or list"
