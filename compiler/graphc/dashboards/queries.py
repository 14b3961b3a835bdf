"""Queries in Prometheus' language on what a meter has."""

from typing import Final

from graphc.dashboards.watched import Meter, join_matchers

FAILED: Final = "5.."
"""The codes of failures that are no client's fault."""
_ANSWERED: Final = "[1-4].."


def count_rate(meter: Meter, window: str) -> str:
    """Return requests a second; by unit, where the meter tells units apart."""
    return f"{_sum(meter.by)} (rate({meter.count}{meter.matchers()}[{window}]))"


def count_by_code(meter: Meter, window: str) -> str:
    """Return requests a second by their code."""
    return f"{_sum(meter.code)} (rate({meter.count}{meter.matchers()}[{window}]))"


def error_share(meter: Meter, window: str) -> str:
    """Return the share of requests that failed: nought where there are some and none failed."""
    failed = f"{_sum(meter.by)} (rate({meter.count}{meter.matchers(_failing(meter))}[{window}]))"
    every = count_rate(meter, window)
    return f"({failed} or 0 * {every}) / {every}"


def quantile(meter: Meter, share: float, window: str) -> str:
    """Return the seconds within which a share of the requests is answered."""
    return histogram_quantile(meter.seconds, share, window, meter.by, meter.matchers())


def histogram_quantile(name: str, share: float, window: str, by: str, matchers: str) -> str:
    """Return a quantile of a histogram, by a label where one is named."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({name}_bucket{matchers}[{window}])))"


def histogram_mean(name: str, window: str, matchers: str) -> str:
    """Return the mean of what a histogram has seen."""
    return f"sum(rate({name}_sum{matchers}[{window}])) / sum(rate({name}_count{matchers}[{window}]))"


def unanswered(meter: Meter, window: str) -> str:
    """Return the units that are called and never answer: a failure is no answer, a client's mistake gets one."""
    answered = meter.matchers(f'{meter.code}=~"{_ANSWERED}"')
    return (
        f"{count_rate(meter, window)} > 0 unless "
        f"{_sum(meter.by)} (rate({meter.count}{answered}[{window}])) > 0"
    )


def node_rate(name: str, pages: str, unit: str, window: str, *more: str) -> str:
    """Return a counter of a unit's nodes, by node, a second."""
    matchers = join_matchers(pages, f'unit="{unit}"', *more)
    return f"sum by (node) (rate({name}{matchers}[{window}]))"


def _failing(meter: Meter) -> str:
    # Where no answer came, the engine writes `none`.
    return f'{meter.code}=~"{FAILED}|none"' if meter.by == "unit" else f'{meter.code}=~"{FAILED}"'


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
