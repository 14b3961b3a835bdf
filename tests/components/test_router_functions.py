"""Each router against its definition; random choices against a hash worked out here, and their weights."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, bytes_array
from graphc_components.routers.confidence import confidence
from graphc_components.routers.equals import equals
from graphc_components.routers.random import random
from graphc_components.routers.threshold import threshold
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

few = settings(max_examples=60, deadline=None)
PRINT_CHOICES = """
import json
from graphc_components.routers.random import random
print(json.dumps([random(1, weights=[1, 2, 3], key=str(key), salt="s").tolist() for key in range(200)]))
"""


@few
@given(
    st.lists(st.floats(allow_nan=True, width=32), min_size=1, max_size=6),
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=3),
)
def test_threshold_takes_the_first_limit_above(values: list[float], below: list[float]) -> None:
    expected = [next((i for i, limit in enumerate(below) if value < limit), len(below)) for value in values]
    got = threshold(np.asarray(values, dtype="float32"), below=below)
    assert_array_equal(got, np.asarray(expected, dtype="int32"), strict=True)


def test_threshold_reads_integers_and_columns() -> None:
    assert threshold(np.asarray([[1], [2]]), below=[1.5]).tolist() == [0, 1]
    assert threshold(np.asarray([2**62, 2**62 + 1]), below=[2**62 + 1]).tolist() == [0, 1]
    assert threshold(np.asarray([0.7], "float32"), below=[0.7]).tolist() == [1]
    assert threshold(np.asarray([3], "uint8"), below=[-1, 1e9]).tolist() == [1]


def test_nan_is_below_nothing_and_never_confident() -> None:
    assert threshold(np.asarray([math.nan]), below=[math.inf]).tolist() == [1]
    assert confidence(np.asarray([[math.nan, math.nan], [math.nan, 0.95]]), until=0.9).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        (bytes_array([b"a", "é".encode(), b"z"], (3,)), ["é", "a"], [1, 0, 2]),
        (np.asarray([1, 2, 3], "uint8"), [3, 1], [1, 2, 0]),
        (np.asarray([True, False]), [False], [1, 0]),
        (np.asarray([0.7, math.nan], "float32"), [0.7, 1], [0, 2]),
        (np.asarray([[5], [6]]), [5, 5], [0, 2]),
    ],
)
def test_equals_takes_the_first_that_matches(
    value: Array, wanted: list[bool | int | float | str], expected: list[int]
) -> None:
    assert_array_equal(equals(value, equals=wanted), np.asarray(expected, dtype="int32"), strict=True)


@few
@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=1, max_size=5), st.floats(0, 1))
def test_confidence_is_the_greatest_of_the_row(rows: list[list[float]], until: float) -> None:
    got = confidence(np.asarray(rows), until=until)
    assert_array_equal(got, np.asarray([int(max(row) < until) for row in rows], "int32"), strict=True)
    own = confidence(np.asarray([max(row) for row in rows]), until=until)
    assert own.tolist() == got.tolist()


def test_confidence_is_reached_by_the_limit_itself() -> None:
    assert confidence(np.asarray([[0.9, 0.1]], "float32"), until=0.9).tolist() == [0]


@pytest.mark.parametrize("value", [np.ones((2, 2)), np.ones((2, 1, 1))])
def test_routers_read_one_value_for_each_row(value: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ComponentError, match="a router reads one value for each row"):
        threshold(value, below=[1])
    with pytest.raises(ComponentError, match="a router reads one value for each row"):
        equals(value, equals=[1])


def test_confidence_reads_no_cube() -> None:
    with pytest.raises(ComponentError, match=r"not the shape \(2, 2, 1\)"):
        confidence(np.ones((2, 2, 1)), until=0.5)


def by_definition(key: str, salt: str, weights: list[int]) -> int:
    digest = hashlib.sha256(salt.encode() + b"\0" + key.encode()).digest()
    share = Fraction(int.from_bytes(digest, "big"), 2**256) * sum(weights)
    return next(i for i in range(len(weights)) if share < sum(weights[: i + 1]))


@few
@given(st.text(max_size=8), st.text(max_size=3), st.lists(st.integers(0, 5), min_size=1).filter(sum))
def test_a_key_is_chosen_by_its_hash(key: str, salt: str, weights: list[int]) -> None:
    chosen = random(3, weights=weights, key=key, salt=salt)
    assert_array_equal(chosen, np.full(3, by_definition(key, salt, weights), "int32"), strict=True)


def test_a_key_keeps_its_branch_in_every_process() -> None:
    def choices(seed: str) -> object:
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PRINT_CHOICES], env=environment, check=True, capture_output=True
        )
        return json.loads(done.stdout)

    here = [random(1, weights=[1, 2, 3], key=str(key), salt="s").tolist() for key in range(200)]
    assert choices("1") == choices("2") == here


def test_keys_spread_by_weight() -> None:
    weights = [9, 0, 3, 1]
    found = Counter(int(random(1, weights=weights, key=f"user-{i}", salt="s")[0]) for i in range(10_000))
    assert found[1] == 0
    for branch, weight in enumerate(weights):
        # Five standard deviations of a binomial count at most: 5 * sqrt(10000 / 4).
        assert abs(found[branch] - 10_000 * weight / sum(weights)) < 250


def test_another_salt_is_another_split() -> None:
    one, two = (
        [int(random(1, weights=[1, 1], key=str(i), salt=salt)[0]) for i in range(1000)] for salt in ("a", "b")
    )
    assert 400 < sum(left == right for left, right in zip(one, two, strict=True)) < 600


def test_without_a_key_each_row_is_drawn_by_weight() -> None:
    chosen = random(10_000, weights=[1, 0, 3])
    counts = np.bincount(chosen, minlength=3)
    assert chosen.dtype == "int32"
    assert counts[1] == 0
    assert abs(int(counts[2]) - 7500) < 400
    assert random(0, weights=[1]).shape == (0,)
