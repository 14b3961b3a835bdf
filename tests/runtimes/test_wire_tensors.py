import base64
import json
import math
import re
from typing import cast

import numpy as np
import orjson
import pytest
from graphc_components.datatypes import Array, bytes_array, to_numpy
from graphc_components.tensors import DATATYPES, FLOATS
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.messages import WireTensor, decode, encode, write_tensor
from graphc_runtimes.reading import read_message, read_messages
from hypothesis import given
from hypothesis import strategies as st

SHAPES = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)


def _elements(datatype: str, *, finite: bool) -> st.SearchStrategy[object]:
    if datatype == "BYTES":
        return st.one_of(st.binary(max_size=6), st.text(max_size=4).map(str.encode))
    dtype = to_numpy(datatype)
    if datatype == "BOOL":
        return st.booleans()
    if datatype in FLOATS:
        width = dtype.itemsize * 8
        return st.floats(width=width, allow_nan=not finite, allow_infinity=not finite)  # pyright: ignore[reportArgumentType]
    bounds = np.iinfo(cast("np.dtype[np.integer]", dtype))
    extremes = st.sampled_from([int(bounds.min), int(bounds.max), int(bounds.max) - 1])
    return st.one_of(extremes, st.integers(int(bounds.min), int(bounds.max)))


@st.composite
def _arrays(draw: st.DrawFn, *, finite: bool) -> tuple[str, Array]:
    datatype = draw(st.sampled_from(DATATYPES))
    shape = draw(SHAPES)
    size = math.prod(shape)
    elements = draw(st.lists(_elements(datatype, finite=finite), min_size=size, max_size=size))
    if datatype == "BYTES":
        return datatype, bytes_array(cast("list[bytes]", elements), shape)
    return datatype, cast("Array", np.array(elements, dtype=to_numpy(datatype)).reshape(shape))


def _through_json(tensor: WireTensor) -> WireTensor:
    message = orjson.dumps({"inputs": [write_tensor(tensor)]})
    return read_message(message, {}).tensors[tensor.name]


def _same(left: Array, right: Array) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind == "O":
        return left.ravel().tolist() == right.ravel().tolist()
    return left.tobytes() == right.tobytes()


@given(_arrays(finite=False))
def test_base64_carries_every_tensor_bit_for_bit(case: tuple[str, Array]) -> None:
    datatype, array = case
    tensor = _through_json(encode("t", array, "base64"))
    assert tensor.datatype == datatype
    assert _same(decode(tensor), array)


@given(_arrays(finite=True))
def test_plain_numbers_carry_every_finite_tensor_exactly(case: tuple[str, Array]) -> None:
    datatype, array = case
    tensor = _through_json(encode("t", array, "plain"))
    assert tensor.datatype == datatype
    assert _same(decode(tensor), array)


@given(_arrays(finite=True))
def test_nested_lists_mean_the_same_as_flat_ones(case: tuple[str, Array]) -> None:
    datatype, array = case
    flat = encode("t", array, "plain")
    nested = WireTensor("t", datatype, flat.shape, _nest(list(flat.data), flat.shape), flat.parameters)
    assert _same(decode(nested), decode(flat))


def _nest(data: list[object], shape: object) -> list[object]:
    sizes = cast("list[int]", shape)
    if len(sizes) == 1:
        return data
    step = math.prod(sizes[1:])
    return [_nest(data[at * step : (at + 1) * step], sizes[1:]) for at in range(sizes[0])]


def test_base64_is_the_little_endian_bytes_in_c_order() -> None:
    array = np.array([[1, 2], [3, 4]], dtype=">i4").T
    raw = base64.b64encode(np.array([1, 3, 2, 4], dtype="<i4").tobytes()).decode()
    assert encode("t", array, "base64") == WireTensor("t", "INT32", [2, 2], [raw], {"encoding": "base64"})


def test_base64_of_bytes_has_a_length_before_each_element() -> None:
    tensor = encode("t", bytes_array([b"", b"\x00a"], [2]), "base64")
    assert base64.b64decode(str(tensor.data[0])) == b"\0\0\0\0" + b"\x02\0\0\0\x00a"


def test_text_is_plain_and_other_bytes_are_base64_elements() -> None:
    assert encode("t", bytes_array(["é".encode()], [1]), "plain").data == ["é"]
    other = encode("t", bytes_array([b"a", b"\xff"], [2]), "plain")
    assert other.data == ["YQ==", "/w=="]
    assert other.parameters == {"content_type": "base64"}


def test_an_object_is_not_a_number() -> None:
    with pytest.raises(ArrayError, match="holds an object where a number should be"):
        decode(WireTensor("t", "FP32", [2], json.loads("[1.0, {}]")))


def test_a_null_among_floats_is_a_missing_value() -> None:
    array = decode(WireTensor("t", "FP32", [2], [1.0, None]))
    assert array.dtype == np.float32
    assert np.array_equal(
        cast("np.ndarray[tuple[int], np.dtype[np.float32]]", array), [1.0, np.nan], equal_nan=True
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("datatype", sorted(FLOATS))
def test_json_is_never_given_what_it_cannot_hold(value: float, datatype: str) -> None:
    array = np.array([1.0, value], dtype=to_numpy(datatype))
    with pytest.raises(ArrayError, match="holds NaN or Infinity, which JSON cannot carry"):
        encode("t", array, "plain")
    assert len(encode("t", array, "plain", finite=False).data) == 2
    assert _same(decode(encode("t", array, "base64")), array)


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("INT64", [9007199254740993, -(2**63)], [9007199254740993, -(2**63)]),
        ("UINT64", [2**64 - 1, 5], [2**64 - 1, 5]),
        ("INT32", [3.0, 1], [3, 1]),
        ("FP32", [1, 2], [1.0, 2.0]),
        ("FP64", [2**70, 0.5], [float(2**70), 0.5]),
        ("BOOL", [1, 0], [True, False]),
        ("BOOL", [True, False], [True, False]),
    ],
)
def test_numbers_are_read_as_what_they_mean(
    datatype: str, data: list[object], expected: list[object]
) -> None:
    array = decode(WireTensor("t", datatype, [2], data))
    assert array.dtype == to_numpy(datatype)
    assert array.tolist() == expected


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("FP23", [1], [1], "has the datatype `FP23`, which the V2 protocol lacks"),
        ("FP32", [2], [1.0], "has 1 elements, which is not the shape [2]"),
        ("FP32", [-1], [1.0], "has a negative size in its shape [-1]"),
        ("INT32", [2], [1, None], "holds a null where a whole number should be"),
        ("FP32", [2], [1.0, "2"], "holds a text where a number should be"),
        ("FP32", [2], ["1", "2"], "holds a text where a number should be"),
        ("FP32", [2], [True, False], "holds a truth value where a number should be"),
        ("FP32", [1], [1e300], "holds a number that is out of range for FP32"),
        ("FP16", [1], [70000], "holds a number that is out of range for FP16"),
        ("FP32", [3], [[1.0], [2.0, 3.0]], "has rows that differ in length"),
        ("UINT8", [1], [256], "holds a number that is out of range for UINT8"),
        ("UINT8", [1], [-1], "holds a number that is out of range for UINT8"),
        ("INT64", [1], [2**63], "holds a number that is out of range for INT64"),
        ("INT64", [2], [2**63, -1], "holds a number that is out of range for INT64"),
        ("INT32", [1], [1.5], "holds a number with a fraction where a whole number should be"),
        ("INT32", [1], ["1"], "holds a text where a whole number should be"),
        ("BOOL", [1], [2], "holds a number that is not 0 or 1, where a truth value should be"),
        ("BYTES", [1], [1], "holds a number where a text should be"),
        ("BYTES", [2], ["a"], "has 1 elements, which is not the shape [2]"),
        ("FP32", [1], [], "has 0 elements, which is not the shape [1]"),
    ],
)
def test_a_tensor_that_is_not_what_it_says_is_refused(
    datatype: str, shape: list[int], data: list[object], message: str
) -> None:
    tensor = WireTensor("t", datatype, shape, data)
    with pytest.raises(ArrayError, match=re.escape(message)):
        decode(tensor)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("FP32", [1], ["AAAA"], "has 3 bytes, which is not FP32 [1]"),
        ("FP32", [1], ["*"], "holds text that is not base64"),
        ("FP32", [1], [1.0], "is said to be base64, and is not one string"),
        ("BYTES", [1], [base64.b64encode(b"\x01\0").decode()], "has 2 bytes, which is not BYTES [1]"),
        ("BYTES", [1], [base64.b64encode(b"\x02\0\0\0a").decode()], "ends within an element"),
        (
            "BYTES",
            [2],
            [base64.b64encode(b"\x05\0\0\0abcde").decode()],
            "has 1 elements, which is not the shape [2]",
        ),
    ],
)
def test_base64_that_is_cut_short_is_refused(
    datatype: str, shape: list[int], data: list[object], message: str
) -> None:
    tensor = WireTensor("t", datatype, shape, data, {"encoding": "base64"})
    with pytest.raises(ArrayError, match=re.escape(message)):
        decode(tensor)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"inputs": {}}',
        '{"inputs": [1]}',
        '{"inputs": [{}]}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [true], "data": []}]}',
    ],
)
def test_what_is_not_a_message_is_refused(body: str) -> None:
    with pytest.raises(RequestError, match=r"V2 message|tensor|the body|has no `name`|where"):
        read_message(body.encode(), {})


def _message(name: str, value: int, identity: str) -> dict[str, object]:
    tensor = {"name": name, "datatype": "INT8", "shape": [1], "data": [value]}
    return {"id": identity, "parameters": {"from": identity}, "outputs": [tensor]}


def test_of_several_messages_the_first_tensor_of_a_name_counts() -> None:
    messages = [_message("a", 1, "one"), _message("a", 2, "two"), _message("b", 3, "three")]
    union = read_messages(json.dumps(messages).encode(), {"h": "v"})
    assert {name: decode(tensor).tolist() for name, tensor in union.tensors.items()} == {"a": [1], "b": [3]}
    assert (union.id, union.parameters, union.headers) == ("one", {"from": "one"}, {"h": "v"})


def test_of_several_messages_all_parameters_are_carried_on() -> None:
    first: dict[str, object] = {
        "outputs": [],
        "parameters": {"tier": "gold", "a.tag": 1, "graphc_fallbacks": ["a", "c"]},
    }
    second: dict[str, object] = {
        "outputs": [],
        "parameters": {"tier": "tin", "b.tag": 2, "graphc_fallbacks": ["b", "a"]},
    }
    third: dict[str, object] = {"outputs": []}
    union = read_messages(json.dumps([first, second, third]).encode(), {})
    assert union.parameters == {"tier": "gold", "a.tag": 1, "b.tag": 2, "graphc_fallbacks": ["a", "c", "b"]}
    odd: dict[str, object] = {"outputs": [], "parameters": {"graphc_fallbacks": "a"}}
    assert read_messages(json.dumps([odd, first]).encode(), {}).parameters["graphc_fallbacks"] == ["a", "c"]


def test_what_concerns_one_hop_only_is_not_carried_on() -> None:
    parameters = '{"tier": "gold", "headers": {}, "content_type": "np", "binary_data_output": true}'
    text = f'{{"inputs": [], "parameters": {parameters}}}'
    assert read_message(text.encode(), {}).carried == {"tier": "gold"}
