"""Two targets in alternation: what slows the machine then slows both, and each pair of rounds gives one ratio."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.bench.estimate import Estimate, estimate_ratio
from graphc.bench.job import Outcome
from graphc.bench.summary import Summary

MEASURES = ("throughput", "p50", "p90", "p99")
"""What is compared: a higher throughput and a lower latency are better."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the second target gives over the first one's, by measure, with the ratio of each round."""

    first: Summary
    second: Summary
    ratios: dict[str, Estimate]
    rounds: dict[str, list[float]]
    difference: str
    """How the answers of the two differ; empty where they do not."""

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "ratios": {name: each.to_json() for name, each in self.ratios.items()},
            "rounds": self.rounds,
            "difference": self.difference,
        }


def compare_rounds(
    whole: tuple[Summary, Summary], rounds: Sequence[tuple[Summary, Summary]], difference: str
) -> Comparison:
    """Compare two targets by their rounds."""
    ratios: dict[str, Estimate] = {}
    shown: dict[str, list[float]] = {}
    for name in MEASURES:
        pairs = [(_measure(first, name), _measure(second, name)) for first, second in rounds]
        ratios[name] = estimate_ratio(pairs)
        shown[name] = [b / a for a, b in pairs if a > 0 and b > 0]
    return Comparison(*whole, ratios, shown, difference)


def _measure(summary: Summary, name: str) -> float:
    if name == "throughput":
        return summary.throughput.value
    return summary.latency_ms[float(name.removeprefix("p"))].value


def join_rounds(rounds: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Return the rounds of one target as one load, its times put end to end."""
    joined: list[Outcome] = []
    at = 0.0
    for outcomes in rounds:
        begin, end = min(each.begin for each in outcomes), max(each.end for each in outcomes)
        joined += [_shift(each, at - begin) for each in outcomes]
        at += end - begin
    return joined


def _shift(outcome: Outcome, by: float) -> Outcome:
    return Outcome(
        outcome.begin + by,
        outcome.end + by,
        array("d", [each + by for each in outcome.starts]),
        array("d", [each + by for each in outcome.ends]),
        outcome.kinds,
        outcome.names,
        outcome.waits,
        outcome.queued,
        outcome.cpu,
        outcome.reconnects,
        outcome.was_stopped,
    )
