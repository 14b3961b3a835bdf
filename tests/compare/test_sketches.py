"""Quantiles and distances of sketches, against numpy and scipy; merging is exact."""

import functools
import json
import math

import numpy as np
import pytest
from graphc.compare.sketch import HIGH, LOW, MOST_BUCKETS, RELATIVE_ERROR, Sketch, kolmogorov, wasserstein
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

NUMBERS = st.lists(st.floats(-1e9, 1e9, allow_nan=False), max_size=40)


def sketch_of(values: "NDArray[np.float64] | list[float]") -> Sketch:
    sketch = Sketch()
    sketch.add(np.asarray(values, dtype=np.float64))
    return sketch


def of_kind(kind: str, count: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    match kind:
        case "normal":
            return random.normal(3, 10, count)
        case "lognormal":
            return random.lognormal(-5, 3, count)
        case "uniform":
            return random.uniform(0, 1, count)
        case _:
            return np.concatenate([np.zeros(count // 2), random.exponential(1e-6, count - count // 2)])


@pytest.mark.parametrize("kind", ["normal", "lognormal", "uniform", "mostly-zero"])
@pytest.mark.parametrize("count", [1, 2, 10, 1000, 50_000])
def test_every_quantile_is_within_the_relative_error(kind: str, count: int) -> None:
    values = of_kind(kind, count, seed=count)
    sketch = sketch_of(values)
    for share in (0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1):
        wanted = float(np.quantile(values, share, method="lower"))
        found = sketch.quantile(share)
        assert found is not None
        assert abs(found - wanted) <= RELATIVE_ERROR * abs(wanted) * (1 + 1e-9) + LOW, share


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60), st.floats(0, 1))
def test_any_numbers_have_quantiles_within_the_relative_error(values: list[float], share: float) -> None:
    found = sketch_of(values).quantile(share)
    rank = share * (len(values) - 1)
    allowed = {sorted(values)[i] for i in (math.floor(rank), math.floor(rank + 1e-9)) if i < len(values)}
    assert found is not None
    assert any(
        abs(found - max(-HIGH, min(HIGH, each))) <= RELATIVE_ERROR * min(abs(each), HIGH) * (1 + 1e-6) + LOW
        for each in allowed
    )


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_merging_is_exact_in_any_order_and_grouping(parts: list[list[float]]) -> None:
    def merged(sketches: list[Sketch]) -> Sketch:
        into = Sketch()
        for each in sketches:
            into.merge(each)
        return into

    whole = sketch_of([each for part in parts for each in part])
    sketches = [sketch_of(part) for part in parts]
    right = functools.reduce(lambda late, early: merged([early, late]), reversed(sketches), Sketch())
    assert (
        merged(sketches).to_plain()
        == merged(sketches[::-1]).to_plain()
        == right.to_plain()
        == whole.to_plain()
    )
    assert Sketch.of_plain(json.loads(json.dumps(whole.to_plain()))) == whole


@pytest.mark.parametrize("kind", ["normal", "uniform", "lognormal"])
def test_distances_are_those_of_scipy(kind: str) -> None:
    one, other = of_kind(kind, 4000, 1), of_kind(kind, 3000, 2) * 1.3 + 0.05
    ks, distance = kolmogorov(sketch_of(one), sketch_of(other)), wasserstein(sketch_of(one), sketch_of(other))
    assert ks == pytest.approx(float(stats.ks_2samp(one, other).statistic), abs=0.02)  # pyright: ignore
    wanted = float(stats.wasserstein_distance(one, other))  # pyright: ignore
    scale = float(np.mean(np.abs(one)) + np.mean(np.abs(other)))
    assert distance == pytest.approx(wanted, abs=RELATIVE_ERROR * scale)


def test_equal_distributions_have_no_distance_and_empty_ones_none_to_tell() -> None:
    sketch = sketch_of([1.0, -2.0, 0.0])
    assert (kolmogorov(sketch, sketch), wasserstein(sketch, sketch)) == (0, 0)
    assert kolmogorov(sketch_of([1.0]), sketch_of([2.0])) == 1
    assert kolmogorov(Sketch(), sketch) is None
    assert wasserstein(sketch, Sketch()) is None
    assert Sketch().quantile(0.5) is None
    assert Sketch().quantile_bounds(0.5, 1) is None


def test_nan_is_left_out_and_infinities_stay_at_the_ends() -> None:
    sketch = sketch_of([math.nan, math.inf, -math.inf, 5e-324, 1.7e308])
    assert sketch.count == 4
    assert sketch.quantile(0) == pytest.approx(-HIGH, rel=0.02)
    assert sketch.quantile(1) == pytest.approx(HIGH, rel=0.02)


def test_a_million_hostile_numbers_fill_a_bounded_number_of_buckets() -> None:
    random = np.random.default_rng(0)
    sketch = Sketch()
    for _ in range(10):
        bits = random.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
        sketch.add(bits)
    assert sketch.count > 990_000
    assert len(sketch.buckets) <= MOST_BUCKETS < 5600


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_bounds_hold_the_true_quantile_as_often_as_they_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = 0
    for _ in range(60):
        low, high = sketch_of(random.exponential(1, 400)).quantile_bounds(0.9, 1.96) or (0, 0)
        held += low * (1 - RELATIVE_ERROR) <= math.log(10) <= high * (1 + RELATIVE_ERROR)
    # 95 % of 60 are 57; fewer than 48 has a probability of 1e-5.
    assert held >= 48
