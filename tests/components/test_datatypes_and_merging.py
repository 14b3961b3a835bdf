"""Datatypes as numpy dtypes, and what two shapes tell together."""

import math

import numpy as np
import pytest
from graphc_components.datatypes import bytes_array, bytes_of, to_datatype, to_numpy
from graphc_components.tensors import (
    DATATYPES,
    NUMERIC,
    Dim,
    MergeError,
    merge_dims,
    merge_shapes,
    value_range,
)
from hypothesis import given
from hypothesis import strategies as st

DIMS = st.none() | st.integers(0, 2) | st.sampled_from(["n", "m"])
SHAPES = st.lists(DIMS, max_size=3).map(tuple)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_datatypes_go_to_numpy_and_back(datatype: str) -> None:
    assert to_datatype(to_numpy(datatype)) == datatype


@pytest.mark.parametrize(
    ("dtype", "datatype"), [("S3", "BYTES"), ("U3", "BYTES"), (">f4", "FP32"), ("longlong", "INT64")]
)
def test_other_dtypes_are_known(dtype: str, datatype: str) -> None:
    assert to_datatype(dtype) == datatype


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]"])
def test_dtypes_without_a_datatype_are_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match=r"has no datatype in the V2 protocol"):
        to_datatype(dtype)


def test_unknown_datatypes_are_refused() -> None:
    with pytest.raises(ValueError, match="`FP8` is not a datatype"):
        to_numpy("FP8")


@pytest.mark.parametrize("datatype", sorted(NUMERIC))
def test_ranges_are_those_of_numpy(datatype: str) -> None:
    name = str(to_numpy(datatype))
    limits = np.finfo(name) if name.startswith("float") else np.iinfo(name)
    assert value_range(datatype) == (limits.min, limits.max)


@given(st.lists(st.binary(max_size=3), min_size=4, max_size=4))
def test_bytes_keep_their_zero_bytes(values: list[bytes]) -> None:
    array = bytes_array(values, (2, 2))
    assert array.shape == (2, 2)
    assert bytes_of(array) == values


@given(SHAPES, SHAPES)
def test_merging_is_symmetric_and_adds_nothing(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> None:
    try:
        merged = merge_shapes(left, right)
    except MergeError:
        pairs = list(zip(left, right, strict=False))
        assert len(left) != len(right) or any(None not in pair and len(set(pair)) == 2 for pair in pairs)
        with pytest.raises(MergeError):
            merge_shapes(right, left)
        return
    assert merged == merge_shapes(right, left)
    for dim, *pair in zip(merged, left, right, strict=True):
        assert dim in pair
        assert dim is not None or pair == [None, None]


@given(DIMS)
def test_an_unknown_dimension_gives_way(dim: Dim) -> None:
    assert merge_dims(None, dim) == merge_dims(dim, None) == merge_dims(dim, dim) == dim


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((1, 2), (1,), "a shape has both 2 and 1 dimensions"),
        (("n", 2), ("n", 3), "a dimension is both `2` and `3`"),
        (("n",), (4,), "a dimension is both `n` and `4`"),
    ],
)
def test_what_cannot_merge(left: tuple[Dim, ...], right: tuple[Dim, ...], message: str) -> None:
    with pytest.raises(MergeError) as caught:
        merge_shapes(left, right)
    assert str(caught.value) == message


def test_a_scalar_shape_is_one_element() -> None:
    assert bytes_array([b"a"], ()).size == math.prod(())
