"""Percentiles and intervals against numpy and scipy, and against distributions whose true values are known."""
# pyright: reportMissingTypeStubs=false

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from graphc.bench.estimate import (
    Estimate,
    Slices,
    estimate_percentiles,
    estimate_rate,
    estimate_ratio,
    student,
)

stats: Any = scipy.stats
PERCENTS = (50.0, 90.0, 99.0)


def test_the_points_are_numpys() -> None:
    values = np.random.default_rng(1).lognormal(size=999)
    found = estimate_percentiles(values, np.linspace(0, 10, 999), Slices(0, 10), PERCENTS)
    assert [each.value for each in found] == pytest.approx(np.percentile(values, PERCENTS).tolist())
    assert all(each.low <= each.value <= each.high for each in found)


@pytest.mark.parametrize("percent", [50.0, 95.0])
def test_intervals_hold_the_true_value_about_as_often_as_they_say(percent: float) -> None:
    truth = -math.log(1 - percent / 100)
    drawn = np.random.default_rng(2)
    held = 0
    for _ in range(100):
        values, times = drawn.exponential(size=600), np.sort(drawn.random(600))
        (found,) = estimate_percentiles(values, times, Slices(0, 1), (percent,))
        held += found.low <= truth <= found.high
    # Of 100 intervals of 95 %, at least 85 hold it but for one chance in ten thousand.
    assert held >= 85


def test_what_varies_slowly_widens_the_interval() -> None:
    drawn = np.random.default_rng(3)
    times = np.linspace(0, 30, 3000, endpoint=False)
    level = drawn.normal(size=30)[times.astype(int)]
    noise = drawn.normal(size=3000) * 0.1
    slow, fast = level + noise, drawn.permutation(level + noise)
    widths = [
        found.high - found.low
        for values in (slow, fast)
        for found in estimate_percentiles(values, times, Slices(0, 30), (50.0,))
    ]
    assert widths[0] > 3 * widths[1]


def test_equal_runs_give_equal_intervals() -> None:
    values = np.random.default_rng(4).random(100)
    first, second = (
        estimate_percentiles(values, np.linspace(0, 1, 100), Slices(0, 1), PERCENTS) for _ in range(2)
    )
    assert first == second


def test_nothing_measured_has_no_percentiles() -> None:
    (found,) = estimate_percentiles(np.zeros(0), np.zeros(0), Slices(0, 1), (50.0,))
    assert math.isnan(found.value)
    assert found.to_json() == {"value": None, "low": None, "high": None}
    assert estimate_rate(np.zeros(0), Slices(0, 1), 1.0).value == 0


def test_a_rate_is_the_count_over_the_time() -> None:
    drawn = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        count = drawn.poisson(2000)
        found = estimate_rate(np.sort(drawn.random(count) * 10), Slices(0, 10), 10)
        assert found.value == count / 10
        held += found.low <= 200 <= found.high
    assert held >= 85


@pytest.mark.parametrize("freedom", [1, 2, 5, 10, 20, 21, 25, 40, 100, 1000])
def test_student_is_scipys(freedom: int) -> None:
    assert student(freedom) == pytest.approx(float(stats.t.ppf(0.975, freedom)), rel=2e-5)


def test_a_ratio_is_the_mean_of_the_logarithms() -> None:
    pairs = [(1.0, 2.0), (2.0, 5.0), (4.0, 6.0)]
    logs = [math.log(b / a) for a, b in pairs]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(logs), scale=stats.sem(logs))
    found = estimate_ratio(pairs)
    assert found.value == pytest.approx(math.exp(np.mean(logs)))
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-4)


def test_a_ratio_leaves_out_rounds_without_an_answer() -> None:
    assert estimate_ratio([(1.0, 2.0), (0.0, 3.0), (1.0, math.nan)]).value == pytest.approx(2)
    assert math.isnan(estimate_ratio([(1.0, 2.0)]).low)
    assert math.isnan(estimate_ratio([]).value)


def test_an_estimate_has_units() -> None:
    assert Estimate(1, 0.5, 2).scaled(10) == Estimate(10, 5, 20)
