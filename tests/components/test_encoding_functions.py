"""Casts, labels and categories against definitions written without numpy."""

import math

import numpy as np
import pytest
from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, bytes_array, to_datatype, to_numpy
from graphc_components.tensors import DATATYPES, INTEGERS, NUMERIC, value_range
from graphc_components.transformers.cast import cast_to
from graphc_components.transformers.label_map import label_map
from graphc_components.transformers.one_hot import one_hot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

few = settings(max_examples=80, deadline=None)


def words(*values: str) -> Array:
    return bytes_array([value.encode() for value in values], (len(values),))


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    return draw(hnp.arrays(to_numpy(draw(st.sampled_from(sorted(NUMERIC)))), st.integers(0, 4)))


@few
@given(arrays())
def test_text_reads_back_as_the_same_value(x: Array) -> None:
    text = cast_to(x, datatype="BYTES")
    assert_array_equal(cast_to(text, datatype=to_datatype(x.dtype)), x, strict=True)


@few
@given(arrays(), st.sampled_from(sorted(INTEGERS)))
def test_cast_to_integers_is_exact_or_an_error(x: Array, datatype: str) -> None:
    least, greatest = value_range(datatype)
    values = x.tolist()
    if all(math.isfinite(value) and least <= math.trunc(value) <= greatest for value in values):
        assert_array_equal(
            cast_to(x, datatype=datatype),
            np.asarray([math.trunc(value) for value in values], to_numpy(datatype)),
            strict=True,
        )
    else:
        with pytest.raises(ComponentError, match=f"is not a value of {datatype}"):
            cast_to(x, datatype=datatype)


@pytest.mark.parametrize(
    ("value", "dtype", "datatype"),
    [
        (math.nan, "float32", "INT64"),
        (math.inf, "float32", "INT64"),
        (2.0**63, "float64", "INT64"),
        (2.0**64, "float64", "UINT64"),
        (-1, "int64", "UINT8"),
        (2**64 - 1, "uint64", "INT64"),
        (1e300, "float64", "FP32"),
        (70000, "int64", "FP16"),
    ],
)
def test_cast_out_of_range_is_an_error(value: float, dtype: str, datatype: str) -> None:
    with pytest.raises(ComponentError, match=f"is not a value of {datatype}"):
        cast_to(np.asarray([value], dtype), datatype=datatype)


def test_cast_between_floats_keeps_infinity_and_nan() -> None:
    x = np.asarray([math.inf, -math.inf, math.nan, 0.1])
    assert_array_equal(
        cast_to(x, datatype="FP32"), np.asarray([math.inf, -math.inf, math.nan, 0.1], "float32"), strict=True
    )


def test_cast_to_bool() -> None:
    assert cast_to(np.asarray([0.0, 0.5, math.inf]), datatype="BOOL").tolist() == [False, True, True]
    assert cast_to(np.asarray([True, False]), datatype="FP32").tolist() == [1.0, 0.0]
    with pytest.raises(ComponentError, match="NaN is neither true nor false"):
        cast_to(np.asarray([math.nan]), datatype="BOOL")


def test_cast_writes_decimal_text() -> None:
    assert cast_to(np.asarray([0.1, 1], "float32"), datatype="BYTES").tolist() == [b"0.1", b"1.0"]
    assert cast_to(np.asarray([-3]), datatype="BYTES").tolist() == [b"-3"]
    assert cast_to(np.asarray([True, False]), datatype="BYTES").tolist() == [b"true", b"false"]
    assert cast_to(np.asarray([math.nan, -math.inf]), datatype="BYTES").tolist() == [b"nan", b"-inf"]


@pytest.mark.parametrize(
    ("text", "datatype", "value"),
    [
        ("+7", "INT8", 7),
        ("007", "UINT8", 7),
        ("1e3", "FP32", 1000.0),
        ("true", "BOOL", True),
        ("0", "BOOL", False),
    ],
)
def test_cast_reads_text(text: str, datatype: str, value: float) -> None:
    expected = np.asarray([value], to_numpy(datatype))
    assert_array_equal(cast_to(words(text), datatype=datatype), expected, strict=True)


@pytest.mark.parametrize(
    ("text", "datatype"),
    [
        ("1.5", "INT64"),
        ("1_000", "INT64"),
        (" 1", "INT64"),
        ("", "FP64"),
        ("1e999", "FP64"),
        ("٣", "INT64"),
        ("yes", "BOOL"),
    ],
)
def test_cast_refuses_other_text(text: str, datatype: str) -> None:
    with pytest.raises(ComponentError) as caught:
        cast_to(words(text), datatype=datatype)
    assert str(caught.value) == f"`{text}` does not read as {datatype}"


@pytest.mark.parametrize(("text", "datatype"), [("256", "UINT8"), ("-1", "UINT64"), ("1e300", "FP32")])
def test_cast_refuses_text_out_of_range(text: str, datatype: str) -> None:
    with pytest.raises(ComponentError, match=f"is not a value of {datatype}"):
        cast_to(words(text), datatype=datatype)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_cast_to_the_same_datatype_changes_nothing(datatype: str) -> None:
    x = words("any text") if datatype == "BYTES" else np.ones(2, to_numpy(datatype))
    assert_array_equal(cast_to(x, datatype=datatype), x, strict=True)


@few
@given(st.lists(st.integers(0, 4), max_size=6))
def test_one_hot_has_its_one_where_the_category_is(values: list[int]) -> None:
    categories = [4, 0, 2]
    got = one_hot(np.asarray(values, dtype="int64"), categories=categories, unknown="ignore")
    assert got.dtype == "float32"
    assert got.tolist() == [[float(value == category) for category in categories] for value in values]


def test_one_hot_of_words_and_of_the_unknown() -> None:
    x = words("é", "no").reshape(2, 1)
    assert one_hot(x, categories=["no", "é"], datatype="BOOL").tolist() == [[[False, True]], [[True, False]]]
    with pytest.raises(ComponentError, match="`no` is not one of the categories"):
        one_hot(x, categories=["é"])
    with pytest.raises(ComponentError, match="`7` is not one of the categories"):
        one_hot(np.asarray([1, 7], "uint64"), categories=[1])


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_label_map_by_position(dtype: str) -> None:
    labels = ["no", "é"]
    assert label_map(np.asarray([[1, 0]], dtype), labels=labels).tolist() == [["é".encode(), b"no"]]
    with pytest.raises(ComponentError, match="`2` has no label"):
        label_map(np.asarray([2], dtype), labels=labels)
    assert label_map(np.asarray([2], dtype), labels=labels, default="").tolist() == [b""]


@pytest.mark.parametrize(
    ("x", "labels", "expected"),
    [
        (np.asarray([-1, 10]), {"-1": "low", "10": "high"}, [b"low", b"high"]),
        (np.asarray([True, False]), {"true": "yes", "false": "no"}, [b"yes", b"no"]),
        (words("a", "b"), {"a": "b", "b": "a"}, [b"b", b"a"]),
    ],
)
def test_label_map_by_value(x: Array, labels: dict[str, str], expected: list[bytes]) -> None:
    assert label_map(x, labels=labels).tolist() == expected
