"""What is known of one run or one graph on a cluster: figures, and what is read from them."""

import math
from dataclasses import dataclass
from typing import Final

from graphc.compare.figures import Comparison, Figures, PairFigures, PredictorFigures
from graphc.compare.measure import drift, measure
from graphc.compare.outputs import OutputFigures
from graphc.compare.plain import Plain, mapping_of, number_of, plain_counts, plain_number
from graphc.compare.sketch import Sketch

FORMAT: Final = 1

_QUANTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Report:
    """Figures, with what they are of."""

    graph: str
    run: str
    started: float
    ended: float
    gates: Plain
    """As the graph file says them: by predictor, and under `*` those of all."""
    figures: Figures

    def to_plain(self) -> dict[str, Plain]:
        """Return the report as JSON holds it: what people read, and the figures that can be merged."""
        return {
            "graphc": FORMAT,
            "graph": self.graph,
            "run": self.run,
            "started": self.started,
            "ended": self.ended,
            "gates": self.gates,
            "predictors": {
                n: _describe_predictor(each) for n, each in sorted(self.figures.predictors.items())
            },
            "candidates": {
                name: _describe_comparison(each) for name, each in self.figures.candidates().items()
            },
            "left_out": plain_counts(self.figures.left_out),
            "figures": self.figures.to_plain(),
        }

    @classmethod
    def of_plain(cls, plain: Plain) -> "Report":
        """Return the report that JSON holds; raises ValueError where it holds none."""
        fields = mapping_of(plain)
        if fields.get("graphc") != FORMAT:
            raise ValueError("it is not a report, or one of another version")
        return cls(
            str(fields.get("graph", "")),
            str(fields.get("run", "")),
            number_of(fields.get("started")),
            number_of(fields.get("ended")),
            fields.get("gates"),
            Figures.of_plain(fields.get("figures")),
        )


def _describe_comparison(comparison: Comparison) -> Plain:
    segments: Plain = {name: describe_pairs(each) for name, each in sorted(comparison.segments.items())}
    return describe_pairs(comparison.overall) | {"segments": segments}


def describe_pairs(pairs: PairFigures) -> dict[str, Plain]:
    """Return the summary of pairs, as JSON holds it."""
    return {
        "samples": pairs.pairs,
        "errors": _value(pairs, "errors"),
        "live_errors": pairs.live_errors,
        "both_errors": pairs.both_errors,
        "faults": _value(pairs, "faults"),
        "faults_by_kind": plain_counts(pairs.faults),
        "agreement": _value(pairs, "agreement"),
        "latency": {
            name: {
                "live": _plain(pairs.live_seconds.quantile(share)),
                "candidate": _plain(pairs.seconds.quantile(share)),
                "ratio": _ratio(pairs, share),
            }
            for name, share in _QUANTILES
        },
        "outputs": {name: describe_output(each) for name, each in sorted(pairs.outputs.items())},
    }


def describe_output(output: OutputFigures) -> dict[str, Plain]:
    """Return the summary of an output, as JSON holds it."""
    found: dict[str, Plain] = {}
    if output.agreement.total:
        low, high = output.agreement.bounds(1.96)
        found["agreement"] = {
            "share": output.agreement.share,
            "decisions": output.agreement.total,
            "low": low,
            "high": high,
            "changes": plain_counts(dict(output.changes.most_common(10))),
        }
        found["psi"] = _plain(drift(output).psi)
    if output.errors.count:
        found["error"] = {
            "max": plain_number(output.largest),
            "mean": plain_number(output.error_sum / output.errors.count),
            **{name: _plain(output.errors.quantile(share)) for name, share in _QUANTILES},
            "numbers": output.errors.count,
        }
        found["ks"] = _plain(drift(output).ks)
        found["wasserstein"] = _plain(drift(output).wasserstein)
    found["not_finite"] = output.unlike
    return found


def _describe_predictor(predictor: PredictorFigures) -> dict[str, Plain]:
    return {
        "answers": predictor.statuses.total(),
        "statuses": plain_counts(predictor.statuses),
        "latency": quantiles(predictor.seconds),
    }


def quantiles(sketch: Sketch) -> dict[str, Plain]:
    """Return the usual quantiles by name."""
    return {name: _plain(sketch.quantile(share)) for name, share in _QUANTILES}


def _value(pairs: PairFigures, metric: str) -> Plain:
    found = measure(pairs, metric, 1.0)
    return _plain(found.value) if found else None


def _ratio(pairs: PairFigures, share: float) -> Plain:
    live, candidate = pairs.live_seconds.quantile(share), pairs.seconds.quantile(share)
    return candidate / live if live and candidate is not None else None


def _plain(value: float | None) -> Plain:
    return None if value is None or math.isnan(value) else plain_number(value)
