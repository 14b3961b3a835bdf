"""Each transformer of numbers and shapes against a definition written without numpy."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from graphc_components.component import ComponentError
from graphc_components.datatypes import floats
from graphc_components.transformers.argmax import argmax
from graphc_components.transformers.clip import clip
from graphc_components.transformers.normalise import normalise
from graphc_components.transformers.rename import rename
from graphc_components.transformers.reshape import reshape
from graphc_components.transformers.scale import scale
from graphc_components.transformers.select import select
from graphc_components.transformers.softmax import softmax
from graphc_components.transformers.threshold import threshold
from graphc_components.transformers.top_k import top_k
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

Floats = npt.NDArray[np.float64]
REALS = st.floats(-1e6, 1e6)
MATRICES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(REALS, min_size=width, max_size=width), min_size=1, max_size=4)
)
few = settings(max_examples=60, deadline=None)


def matrix(rows: list[list[float]]) -> Floats:
    return np.asarray(rows, dtype=np.float64)


@few
@given(MATRICES, REALS, st.floats(0.1, 100))
def test_scale_by_numbers(rows: list[list[float]], mean: float, by: float) -> None:
    expected = [[(value - mean) / by for value in row] for row in rows]
    assert scale(matrix(rows), mean=mean, scale=by).tolist() == expected


@few
@given(MATRICES)
def test_scale_by_columns(rows: list[list[float]]) -> None:
    means, scales = list(range(len(rows[0]))), [1 + index for index in range(len(rows[0]))]
    expected = [[(value - i) / (i + 1) for i, value in enumerate(row)] for row in rows]
    assert scale(matrix(rows), mean=means, scale=scales).tolist() == expected


def test_scale_repeats_no_column() -> None:
    with pytest.raises(ComponentError, match="the last axis has 1 columns, and the parameters are for 3"):
        scale(np.ones((2, 1)), mean=[1, 2, 3])


@few
@given(MATRICES)
def test_norms_become_one(rows: list[list[float]]) -> None:
    for row, l1, l2, most in zip(
        rows,
        normalise(matrix(rows), norm="l1").tolist(),
        normalise(matrix(rows), norm="l2").tolist(),
        normalise(matrix(rows), norm="max").tolist(),
        strict=True,
    ):
        if not any(row):
            assert l1 == l2 == most == row
            continue
        assert math.fsum(map(abs, l1)) == pytest.approx(1)
        assert math.hypot(*l2) == pytest.approx(1)
        assert max(abs(value) for value in most) == pytest.approx(1)
        norm = math.hypot(*row)
        # Very small values lose digits in a quotient.
        assert_allclose(l2, [value / norm for value in row], rtol=1e-9, atol=1e-300)


@few
@given(MATRICES)
def test_minmax_spans_zero_to_one(rows: list[list[float]]) -> None:
    for row, got in zip(rows, normalise(matrix(rows), norm="minmax").tolist(), strict=True):
        low, high = min(row), max(row)
        expected = [(value - low) / (high - low) if high > low else 0.0 for value in row]
        assert_allclose(got, expected, rtol=1e-9, atol=1e-300)


def test_norms_of_large_numbers_do_not_overflow() -> None:
    assert_allclose(floats(normalise(np.asarray([[3e200, 4e200]]))), [[0.6, 0.8]])


def test_normalise_along_an_inner_axis() -> None:
    x = np.asarray([[[3.0, 1.0], [4.0, 1.0]]])
    assert_allclose(floats(normalise(x, norm="l2", axis=1))[0, :, 0], [0.6, 0.8])


@few
@given(MATRICES, st.floats(0.1, 10))
def test_softmax_sums_to_one_and_keeps_ratios(rows: list[list[float]], temperature: float) -> None:
    small = matrix(rows) / 1e5
    got = softmax(small, temperature=temperature)
    assert_allclose(floats(got).sum(axis=-1), 1)
    for row, probabilities in zip(small.tolist(), got.tolist(), strict=True):
        powers = [math.exp(value / temperature - max(row) / temperature) for value in row]
        assert_allclose(probabilities, [power / sum(powers) for power in powers], rtol=1e-9, atol=1e-12)


def test_softmax_of_large_scores_does_not_overflow() -> None:
    assert softmax(np.asarray([[1000.0, 1000.0]])).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float16", "float16"), ("float32", "float32"), ("int32", "float64")]
)
def test_scalers_keep_a_float_datatype(dtype: str, expected: str) -> None:
    x = np.ones((2, 2), dtype)
    assert {scale(x).dtype, normalise(x).dtype, softmax(x).dtype} == {np.dtype(expected)}


@few
@given(MATRICES, REALS, st.floats(0, 100))
def test_clip_is_min_and_max(rows: list[list[float]], low: float, span: float) -> None:
    high = low + span
    assert clip(matrix(rows), low=low, high=high).tolist() == [
        [min(max(value, low), high) for value in row] for row in rows
    ]


def test_clip_keeps_datatype_and_nan() -> None:
    got = clip(np.asarray([math.nan, 2], dtype="float32"), low=0, high=1)
    assert got.dtype == "float32"
    assert_array_equal(got, [math.nan, 1])
    assert_array_equal(
        clip(np.asarray([0, 255], dtype="uint8"), low=-5, high=300),
        np.asarray([0, 255], "uint8"),
        strict=True,
    )


@few
@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=4))
def test_argmax_is_the_first_of_the_greatest(rows: list[list[int]]) -> None:
    assert argmax(np.asarray(rows)).tolist() == [row.index(max(row)) for row in rows]


def test_argmax_along_an_inner_axis_and_past_nan() -> None:
    x = np.asarray([[[1.0, math.nan], [2.0, -5.0]]])
    assert argmax(x, axis=1).tolist() == [[1, 1]]
    with pytest.raises(ComponentError, match="axis -1 is empty"):
        argmax(np.ones((2, 0)))


@few
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from(["uint8", "int64", "float16"]),
)
def test_top_k_is_a_stable_sort(rows: list[list[int]], k: int, dtype: str) -> None:
    values, indices = top_k(np.asarray(rows, dtype=dtype), k=k)
    ranked = [sorted(range(4), key=lambda i, row=row: -row[i])[:k] for row in rows]
    assert indices.tolist() == ranked
    assert values.tolist() == [[row[i] for i in order] for row, order in zip(rows, ranked, strict=True)]


def test_top_k_puts_nan_last_and_knows_the_size() -> None:
    x = np.asarray([[math.nan, 1.0, 3.0]])
    assert top_k(x, k=3)[1].tolist() == [[2, 1, 0]]
    with pytest.raises(ComponentError, match="the last axis has 3 columns, and `k` is 4"):
        top_k(x, k=4)


@pytest.mark.parametrize(
    ("x", "at", "expected"),
    [
        (np.asarray([0.7], "float32"), 0.7, [True]),
        (np.asarray([0.7], "float16"), 0.7, [True]),
        (np.asarray([math.nan, math.inf, -math.inf]), 0.0, [False, True, False]),
        (np.asarray([0, 1]), 0.5, [False, True]),
        (np.asarray([2**62, 2**62 + 1]), 2**62 + 1, [False, True]),
        (np.asarray([2**62 - 1, 2**62]), float(2**62), [False, True]),
        (np.asarray([0, 255], "uint8"), -1, [True, True]),
        (np.asarray([0, 255], "uint8"), 1e300, [False, False]),
        (np.asarray([65504], "float16"), 1e300, [False]),
    ],
)
def test_threshold_compares_as_written(x: npt.NDArray[np.number], at: float, expected: list[bool]) -> None:
    assert_array_equal(threshold(x, at=at), np.asarray(expected), strict=True)
    assert_array_equal(
        threshold(x, at=at, datatype="INT64"), np.asarray(expected, dtype="int64"), strict=True
    )


def test_select_takes_columns_in_order() -> None:
    assert select(np.asarray([[1, 2, 3], [4, 5, 6]]), columns=[2, 0, 2]).tolist() == [[3, 1, 3], [6, 4, 6]]
    with pytest.raises(ComponentError, match="the last axis has 2 columns, and `columns` names 5"):
        select(np.ones((1, 2)), columns=[0, 5])


def test_reshape_keeps_each_row() -> None:
    x = np.arange(12).reshape(2, 6)
    assert reshape(x, shape=[2, -1]).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    assert reshape(np.asarray([[1], [2]]), shape=[]).tolist() == [1, 2]
    assert reshape(np.ones((0, 6)), shape=[3, -1]).shape == (0, 3, 2)
    for shape in ([4], [4, -1], []):
        with pytest.raises(ComponentError, match="a row of 6 values does not have the shape"):
            reshape(x, shape=shape)


def test_rename_passes_on() -> None:
    first, second = np.ones(2), np.asarray([b"a"], dtype=object)
    assert_array_equal(rename(first, second)[0], first, strict=True)
    assert_array_equal(rename(first, second)[1], second, strict=True)
