"""What a promotion asks: the report of compared answers, by the graph's own gates, and live metrics."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from graphc.cluster.asking import Finding, Judgement
from graphc.cluster.bundle import Bundle
from graphc.cluster.client import shorten
from graphc.cluster.find_serving import serving_of
from graphc.cluster.problem import ClusterError
from graphc.cluster.serving import Meter
from graphc.cluster.traffic import traffic_of
from graphc.unchecked import fields, items, text

ANSWER_SECONDS: Final = 10.0
LARGEST: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What live metrics must stay within."""

    errors: float = 0.01
    """The greatest share of the candidate's requests that may fail."""
    latency: float = 1.5
    """How many times the baseline's p99 the candidate's may be."""
    samples: int = 100
    """How many requests have to be seen before that is judged."""
    window: str = "5m"


@dataclass(slots=True)
class LiveMetrics:
    """Judges by Prometheus: errors and p99 of the candidate, beside those of the baseline."""

    url: str
    limits: Limits
    _started: float = field(default_factory=time.monotonic)

    def judge(self, bundle: Bundle, candidate: str, baseline: str) -> Judgement:
        """Ask Prometheus; a candidate that gets no requests yet has nothing to be judged by."""
        meters = [_find_meter(bundle, each) for each in (candidate, baseline)]
        meter = meters[0]
        total = None if meter is None else self._count(meter)
        if not traffic_of(bundle.documents).get(candidate):
            return Judgement("passed", (f"live: `{candidate}` gets no requests yet",))
        if meter is None:
            words = (
                f"live: nothing counts the requests of `{candidate}`: no engine stands before its one unit"
            )
            return Judgement("undecided", (words,))
        total = total or 0.0
        if total < self.limits.samples:
            words = f"live: {total:.0f} requests of `{candidate}`, wanted {self.limits.samples}"
            return Judgement("undecided", (words,))
        failed = self._count(meter, ',code!~"2.."')
        share = (failed or 0.0) / total
        found = [
            self._state(share <= self.limits.errors, f"errors of {share:.2%}", f"{self.limits.errors:.2%}")
        ]
        slow, usual = (None if each is None else self._p99(each) for each in meters)
        if slow is not None and usual:
            ratio = slow / usual
            words = f"p99 of {slow * 1000:.0f} ms, {ratio:.2f}x that of `{baseline}`"
            found.append(self._state(ratio <= self.limits.latency, words, f"{self.limits.latency:g}x"))
        finding: Finding = "failed" if any(not good for good, _ in found) else "passed"
        told = [(good, f"live: `{candidate}` has {words}") for good, words in found]
        bad = tuple(words for good, words in told if not good)
        return Judgement(finding, tuple(words for _, words in told), bad)

    def _state(self, good: bool, words: str, bound: str) -> tuple[bool, str]:
        return good, words if good else f"{words}; no more than {bound} is allowed"

    def _count(self, meter: Meter, more: str = "") -> float | None:
        return self._number(f"sum(increase({meter.count}{{{meter.selector}{more}}}[{self.limits.window}]))")

    def _p99(self, meter: Meter) -> float | None:
        buckets = f"sum by (le) (rate({meter.buckets}{{{meter.selector}}}[{self.limits.window}]))"
        return self._number(f"histogram_quantile(0.99, {buckets})")

    def _number(self, query: str) -> float | None:
        """Return the one number that a query gives; None where it gives none."""
        answer = load(f"{self.url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}")
        if text(answer, "status") != "success":
            raise ClusterError(
                f"Prometheus refuses a query: {shorten(text(answer, 'error'), 300) or 'no reason'}"
            )
        found = items(answer, "data", "result")
        value = items(found[0], "value") if found else []
        try:
            number = float(str(value[1])) if len(value) == 2 else math.nan
        except ValueError:
            number = math.nan
        return None if math.isnan(number) else number


def _find_meter(bundle: Bundle, predictor: str) -> Meter | None:
    serving = serving_of(bundle.documents)
    if serving is None:
        return None
    return serving.find_meter(bundle.documents, bundle.name, bundle.namespace, predictor)


def load(place: str) -> Mapping[str, object]:
    """Return the JSON object of a file or URL."""
    try:
        found: object = json.loads(_read(place))
    except (ValueError, RecursionError) as error:
        raise ClusterError(f"{_show(place)} does not answer with JSON") from error
    return fields(found)


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        try:
            return Path(place).read_bytes()
        except OSError as error:
            raise ClusterError(
                f"{place} cannot be read: {(error.strerror or 'unknown reason').lower()}"
            ) from error
    # urllib takes longer to import than most commands need for all they do.
    from graphc.fetch import FetchError, fetch

    try:
        found = fetch(place, seconds=ANSWER_SECONDS, most_bytes=LARGEST)
    except FetchError as error:
        # The reason may quote the address, and with it a password.
        raise ClusterError(f"{_show(place)} does not answer") from error
    # Prometheus says what is wrong with a query in JSON, with the status 400.
    if found.status >= 500 or found.status in {301, 302, 401, 403, 404}:
        raise ClusterError(f"{_show(place)} answers with the status {found.status}")
    return found.body


def _show(place: str) -> str:
    """Return a URL without what lets someone in, or a path as it is."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.scheme else place
