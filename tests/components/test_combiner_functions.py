"""Each combiner against a definition written without numpy."""

import math
import statistics
from collections import Counter

import numpy as np
import pytest
from graphc_components.combiners.concat import concat
from graphc_components.combiners.hard_vote import hard_vote
from graphc_components.combiners.max import maximum
from graphc_components.combiners.mean import mean
from graphc_components.combiners.median import median
from graphc_components.combiners.min import minimum
from graphc_components.combiners.soft_vote import soft_vote
from graphc_components.combiners.stack import stack
from graphc_components.combiners.weighted_mean import weighted_mean
from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, bytes_array, floats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

SINGLE = st.floats(-1e6, 1e6, width=32)
COLUMNS = st.lists(st.tuples(SINGLE, SINGLE, SINGLE), min_size=1, max_size=5)
few = settings(max_examples=60, deadline=None)


def columns(rows: list[tuple[float, ...]], dtype: str = "float32") -> list[Array]:
    """Return one input for each position: each row holds what the inputs say of one element."""
    return [np.asarray(each, dtype=dtype) for each in zip(*rows, strict=True)]


@few
@given(COLUMNS)
def test_mean_is_the_rounded_mean_of_python_floats(rows: list[tuple[float, ...]]) -> None:
    expected = np.asarray([sum(row) / len(row) for row in rows], dtype="float32")
    assert_array_equal(mean(*columns(rows)), expected, strict=True)


@few
@given(COLUMNS, st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(sum))
def test_weighted_mean_counts_by_weight(rows: list[tuple[float, ...]], weights: list[int]) -> None:
    repeated = [
        [value for value, weight in zip(row, weights, strict=True) for _ in range(weight)] for row in rows
    ]
    expected = [statistics.fmean(row) for row in repeated]
    got = weighted_mean(*columns(rows, "float64"), weights=weights)
    np.testing.assert_allclose(floats(got), expected, rtol=1e-12, atol=1e-6)


@few
@given(st.lists(st.lists(SINGLE, min_size=4, max_size=4), min_size=1, max_size=6))
def test_median_is_the_median_of_python(tensors: list[list[float]]) -> None:
    expected = [statistics.median(values) for values in zip(*tensors, strict=True)]
    got = median(*(np.asarray(each, dtype="float64") for each in tensors))
    assert_array_equal(got, np.asarray(expected), strict=True)


@few
@given(COLUMNS)
def test_min_and_max_are_those_of_python(rows: list[tuple[float, ...]]) -> None:
    assert minimum(*map(numbers, columns(rows))).tolist() == [min(row) for row in rows]
    assert maximum(*map(numbers, columns(rows))).tolist() == [max(row) for row in rows]


def numbers(array: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return array.astype(np.float32)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float16", "float16"], "float16"),
        (["float16", "float32"], "float32"),
        (["float32", "float64"], "float64"),
        (["int8", "int8"], "float64"),
        (["int8", "float16"], "float64"),
    ],
)
def test_mean_answers_in_the_widest_float(dtypes: list[str], expected: str) -> None:
    assert mean(*(np.ones(2, dtype) for dtype in dtypes)).dtype == expected


def test_mean_of_half_floats_does_not_overflow() -> None:
    large = np.asarray([60000], dtype="float16")
    assert_array_equal(mean(large, large), large, strict=True)


def test_an_input_without_weight_spreads_no_nan() -> None:
    got = weighted_mean(np.asarray([math.nan]), np.asarray([2.0]), weights=[0, 3])
    assert got.tolist() == [2.0]


def test_median_and_extremes_pass_nan_on() -> None:
    inputs = [np.asarray([value]) for value in (1.0, math.nan, 2.0)]
    assert all(math.isnan(function(*inputs)[0]) for function in (median, minimum, maximum, mean))


def test_soft_vote_averages_before_it_decides() -> None:
    sure, unsure = np.asarray([[0.9, 0.1], [0.4, 0.6]]), np.asarray([[0.4, 0.6], [0.5, 0.5]])
    probabilities, index = soft_vote(sure, unsure)
    np.testing.assert_allclose(floats(probabilities), [[0.65, 0.35], [0.45, 0.55]])
    assert_array_equal(index, np.asarray([0, 1]), strict=True)
    _, weighted = soft_vote(sure, unsure, weights=[1, 9])
    assert weighted.tolist() == [1, 1]


def test_soft_vote_takes_the_first_of_equals_and_never_nan() -> None:
    _, index = soft_vote(np.asarray([[0.5, 0.5], [math.nan, 0.1], [math.nan, math.nan]]))
    assert index.tolist() == [0, 1, 0]


LETTERS = st.lists(st.lists(st.sampled_from("abc"), min_size=5, max_size=5), min_size=1, max_size=6)


def elected(labels: tuple[str, ...], weights: list[int]) -> str:
    votes: Counter[str] = Counter()
    for label, weight in zip(labels, weights, strict=True):
        votes[label] += weight
    most = max(votes.values())
    return next(label for label in labels if votes[label] == most)


@few
@given(LETTERS, st.data())
def test_hard_vote_counts_as_a_counter_does(tensors: list[list[str]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(tensors), max_size=len(tensors)).filter(sum))
    inputs = [bytes_array([label.encode() for label in labels], (5,)) for labels in tensors]
    voted = list(zip(*tensors, strict=True))
    ones = [1] * len(tensors)
    assert hard_vote(*inputs).tolist() == [elected(labels, ones).encode() for labels in voted]
    assert hard_vote(*inputs, weights=weights).tolist() == [
        elected(labels, weights).encode() for labels in voted
    ]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_hard_vote_keeps_the_datatype(dtype: str) -> None:
    one, zero = np.ones((2, 1), dtype), np.zeros((2, 1), dtype)
    assert_array_equal(hard_vote(zero, one, one), one, strict=True)


def test_hard_vote_ties_go_to_the_earliest_input_among_the_tied() -> None:
    three, one, two = (np.asarray([value]) for value in (3, 1, 2))
    assert hard_vote(three, one, two, two, one).tolist() == [1]
    assert hard_vote(three, one).tolist() == [3]


def test_hard_vote_sees_the_tie_that_binary_fractions_hide() -> None:
    one, two = np.asarray([1]), np.asarray([2])
    assert 0.1 + 0.2 > 0.3
    assert hard_vote(one, two, two, weights=[0.3, 0.1, 0.2]).tolist() == [1]


def test_hard_vote_gives_nan_no_company() -> None:
    nan, one = np.asarray([math.nan]), np.asarray([1.0])
    assert hard_vote(nan, nan, one).tolist() == [1.0]


def test_stack_and_concat_join_in_order() -> None:
    left, right = np.asarray([[1], [2]]), np.asarray([[3], [4]])
    assert concat(left, right).tolist() == [[1, 3], [2, 4]]
    assert stack(left, right).tolist() == [[[1, 3]], [[2, 4]]]
    assert stack(left, right, axis=1).tolist() == [[[1], [3]], [[2], [4]]]
    assert stack(left[:, 0], right[:, 0]).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("function", [mean, median, minimum, maximum, hard_vote, stack, soft_vote])
def test_nothing_is_broadcast(function: object) -> None:
    assert callable(function)
    with pytest.raises(ComponentError, match=r"different shapes: \(2, 1\) and \(2, 3\)"):
        function(np.ones((2, 1)), np.ones((2, 3)))


def test_concat_says_which_shapes_do_not_join() -> None:
    with pytest.raises(ComponentError, match=r"shapes \(2, 1\) and \(3, 1\) do not join along axis -1"):
        concat(np.ones((2, 1)), np.ones((3, 1)))
