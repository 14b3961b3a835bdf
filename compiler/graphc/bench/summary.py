"""What is said of a load: how much was answered, how fast, what failed, and whether the generator kept up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from graphc.bench.estimate import Estimate, Floats, Slices, estimate_percentiles, estimate_rate
from graphc.bench.job import Closed, Job, Open, Outcome

PERCENTS: Final = (50.0, 90.0, 95.0, 99.0, 99.9)

_BUSY: Final = 0.9
_LATE: Final = 0.1
"""A generator that is later than this share of the median latency, once in a hundred requests, is said to be."""


@dataclass(frozen=True, slots=True)
class Generator:
    """What the load generator itself took and how it kept up."""

    processes: int
    cpu: float
    """The share of a processor's core that its busiest process took."""
    late_ms: float
    """Open load: how late 1 in 100 requests was because the generator was, in milliseconds."""
    queued: int
    reconnects: int

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {
            "processes": self.processes,
            "cpu": self.cpu,
            "late_ms": self.late_ms,
            "queued": self.queued,
            "reconnects": self.reconnects,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """One load on one target; latencies are of right answers only, in milliseconds."""

    target: str
    load: Closed | Open
    rows: int
    seconds: float
    requests: int
    failures: dict[str, int]
    throughput: Estimate
    """Right answers in a second."""
    mean_ms: float
    latency_ms: dict[float, Estimate]
    generator: Generator
    was_stopped: bool
    samples: Floats = field(repr=False)
    """Every latency, sorted."""

    @property
    def answered(self) -> int:
        """How many requests were rightly answered."""
        return self.requests - sum(self.failures.values())

    @property
    def warnings(self) -> list[str]:
        """What makes the figures less than they seem."""
        return list(_find_warnings(self))

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {
            "target": self.target,
            "load": _load_to_json(self.load),
            "rows": self.rows,
            "seconds": self.seconds,
            "requests": self.requests,
            "answered": self.answered,
            "failures": self.failures,
            "throughput": self.throughput.to_json(),
            "mean_ms": None if np.isnan(self.mean_ms) else self.mean_ms,
            "latency_ms": {f"p{each:g}": found.to_json() for each, found in self.latency_ms.items()},
            "generator": self.generator.to_json(),
            "was_stopped": self.was_stopped,
            "warnings": self.warnings,
        }


def summarise(target: str, job: Job, rows: int, outcomes: Sequence[Outcome]) -> Summary:
    """Put together what the processes of one load saw."""
    begin, end = min(each.begin for each in outcomes), max(each.end for each in outcomes)
    seconds = max(end - begin, 0.0)
    slices = Slices(begin, max(end, begin + 1e-9))
    starts = _join(outcomes, "starts")
    ends = _join(outcomes, "ends")
    is_right = np.concatenate([np.array(each.kinds, np.int64) == 0 for each in outcomes])
    # An answer counts for the throughput where it came in time; for the latency whenever it came.
    throughput = estimate_rate(ends[is_right & (ends <= end)], slices, seconds)
    samples = (ends - starts)[is_right] * 1000
    percentiles = estimate_percentiles(samples, starts[is_right], slices, PERCENTS)
    return Summary(
        target,
        job.load,
        rows,
        seconds,
        len(starts),
        _count_failures(outcomes),
        throughput,
        float(samples.mean()) if len(samples) else float("nan"),
        dict(zip(PERCENTS, percentiles, strict=True)),
        _describe_generator(outcomes),
        any(each.was_stopped for each in outcomes),
        np.sort(samples),
    )


def _join(outcomes: Sequence[Outcome], name: str) -> Floats:
    return np.concatenate([np.array(getattr(each, name), np.float64) for each in outcomes])


def _count_failures(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counted = Counter[str]()
    for outcome in outcomes:
        counted.update(outcome.names[kind] for kind in outcome.kinds if kind)
    return dict(counted.most_common())


def _describe_generator(outcomes: Sequence[Outcome]) -> Generator:
    lates = _join(outcomes, "waits")
    shares = [each.cpu / (each.end - each.begin) for each in outcomes if each.end > each.begin]
    return Generator(
        len(outcomes),
        max(shares, default=0.0),
        float(np.percentile(lates, 99)) * 1000 if len(lates) else 0.0,
        max(each.queued for each in outcomes),
        sum(each.reconnects for each in outcomes),
    )


def _load_to_json(load: Closed | Open) -> dict[str, object]:
    if isinstance(load, Closed):
        return {"kind": "closed", "clients": load.clients}
    return {
        "kind": "open",
        "rate": load.rate,
        "arrivals": load.arrivals,
        "connections": load.connections,
        "seed": load.seed,
    }


def _find_warnings(summary: Summary) -> "list[str]":
    found: list[str] = []
    generator, load = summary.generator, summary.load
    if generator.cpu > _BUSY:
        found.append(
            f"the generator was busy for {generator.cpu:.0%} of the time: the target may be faster than this"
        )
    median = summary.latency_ms[50.0].value
    if isinstance(load, Open):
        if generator.late_ms > max(1.0, _LATE * median):
            found.append(
                f"the generator could not keep up: 1 in 100 requests was {generator.late_ms:.1f} ms late or more, "
                "which is counted as latency"
            )
        if generator.queued:
            found.append(
                f"all {load.connections} connections were in use, and up to {generator.queued} requests waited "
                "for one, which is counted as latency"
            )
    if summary.was_stopped:
        found.append(f"interrupted after {summary.seconds:.1f} s")
    return found
