"""What is read without an object for each number is what the usual reader reads, or is left to it."""

import json
from typing import Any, Final

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.lists import convert, flatten
from graphc_runtimes.messages import decode
from graphc_runtimes.numerals import LEAST, read_numbers
from graphc_runtimes.packed import cut_lists, read_packed
from graphc_runtimes.reading import Asked, read_infer
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

PADDING: Final = " " * LEAST
"""Makes a body large without a meaning."""

DATATYPES: Final = ["INT8", "INT64", "UINT8", "UINT64", "FP32", "FP64", "FP16", "BOOL", "BYTES"]

numbers: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64 - 1, 2**64, -0.0, 1e39, 1e-46, 3.4028236e38]
    ),
)
values: st.SearchStrategy[Any] = st.one_of(numbers, st.sampled_from([True, None, "1", [1], {}]))


@st.composite
def tensors(draw: st.DrawFn) -> Json:
    data: list[Any] = draw(st.one_of(st.lists(numbers, max_size=6), st.lists(values, max_size=6)))
    shape = draw(st.sampled_from([[len(data)], [1, len(data)], [len(data), 1], [-1], [len(data) + 1], [2.0]]))
    tensor: Json = {"name": "x", "shape": shape, "datatype": draw(st.sampled_from(DATATYPES)), "data": data}
    return tensor | draw(
        st.sampled_from([{}, {"parameters": {"encoding": "base64"}}, {"parameters": {"a": [1]}}])
    )


def outcome(text: str) -> tuple[Json, list[Array]] | str:
    """Return what is read of a body, or why it is refused."""
    try:
        asked = read_infer(text.encode(), {})
        message = asked.message
        arrays = [decode(each) for each in message.tensors.values()]
    except (RequestError, ArrayError) as error:
        return str(error)
    told = [
        (each.name, each.datatype, list(each.shape), each.parameters) for each in message.tensors.values()
    ]
    return {"id": message.id, "parameters": message.parameters, "tensors": told}, arrays


@given(
    st.lists(tensors(), max_size=2),
    st.sampled_from(
        [{}, {"id": "a"}, {"outputs": [{"name": "y"}]}, {"parameters": {"tier": "[gold]"}}, {"more": 1}]
    ),
)
def test_large_bodies_are_read_as_small_ones(inputs: list[Json], more: Json) -> None:
    text = json.dumps({"inputs": inputs, **more})
    small, large = outcome(text), outcome(text + PADDING)
    if not (isinstance(small, tuple) and isinstance(large, tuple)):
        assert small == large
        return
    assert small[0] == large[0]
    for left, right in zip(small[1], large[1], strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        np.testing.assert_array_equal(left, right)
        if left.dtype.kind != "O":
            assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("count", [1, 126, 127, 1000])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("power", [52, 53, 54, 55, 60])
def test_whole_numbers_are_rounded_once(power: int, sign: int, count: int) -> None:
    """Each lies one above the middle of two FP32 numbers; from 2**53 on, FP64 rounds it to that middle."""
    step = 2 ** (power - 23)
    number = sign * (2**power + step // 2 + 1)
    expected = [0, *[sign * (2**power + step)] * count]
    assert [int(each) for each in convert([0, *[number] * count], "FP32")] == expected
    text = json.dumps([0, *[number] * count])[:-1] + PADDING + "]"
    assert [int(each) for each in read_numbers(text.encode(), "FP32", [count + 1])] == expected


@pytest.mark.parametrize("numbers", [[1e39, 1], [1, -1e39, None]])
def test_one_number_out_of_range_is_enough(numbers: list[Any]) -> None:
    with pytest.raises(ArrayError, match="out of range for FP32"):
        convert(numbers, "FP32")


def test_whole_numbers_written_as_floats_reach_the_bounds() -> None:
    assert convert([1.0, -128, 127], "INT8").tolist() == [1, -128, 127]
    for beyond in (-129, 128):
        with pytest.raises(ArrayError, match="out of range for INT8"):
            convert([1.0, beyond], "INT8")


@pytest.mark.parametrize("numbers", [[1, 2], [2, 1], [0, -1]])
def test_each_truth_value_is_0_or_1(numbers: list[int]) -> None:
    with pytest.raises(ArrayError, match="not 0 or 1"):
        convert(numbers, "BOOL")
    assert convert([0, 1, True], "BOOL").tolist() == [False, True, True]


@pytest.mark.parametrize("rows", [[[1], [1, 2]], [[1], 2], [[1], [2], [3, 4]]])
def test_rows_are_of_one_length(rows: list[Any]) -> None:
    with pytest.raises(ArrayError, match="has rows that differ in length"):
        flatten(rows)


def write(inputs: list[Json], more: Json, blanks: list[str]) -> str:
    """Write a request with blanks before the end of each list of numbers, which make it long."""
    text = json.dumps({"inputs": [{**each, "data": f"@{at}@"} for at, each in enumerate(inputs)], **more})
    for at, each in enumerate(inputs):
        text = text.replace(f'"@{at}@"', json.dumps(each["data"])[:-1] + blanks[at] + "]")
    return text


@given(
    st.lists(tensors(), max_size=3),
    st.sampled_from(
        [{}, {"parameters": {"data": "[gold]"}}, {"parameters": {'a"data': [1] * 600}}, {"data": [1] * 600}]
    ),
    st.lists(st.sampled_from(["", " " * 2000, " " * 70_000]), min_size=3, max_size=3),
)
def test_long_lists_are_read_as_short_ones(inputs: list[Json], more: Json, blanks: list[str]) -> None:
    short, long = (outcome(write(inputs, more, each) + PADDING) for each in (["", "", ""], blanks))
    if not (isinstance(short, tuple) and isinstance(long, tuple)):
        # Of numbers that are too many, a long text says that before all of them are read.
        assert isinstance(short, str)
        assert isinstance(long, str)
        return
    assert short[0] == long[0]
    # As text, in which NaN is like NaN.
    assert [repr(each.tolist()) for each in short[1]] == [repr(each.tolist()) for each in long[1]]


def test_each_long_list_is_found_where_it_was() -> None:
    lists = [[each] * 600 for each in (1, 2, 3)]
    inputs = [
        {"name": f"x{at}", "shape": [600], "datatype": "INT32", "data": data} for at, data in enumerate(lists)
    ]
    read = outcome(json.dumps({"inputs": inputs, "parameters": {"a": 1}}) + PADDING)
    assert isinstance(read, tuple)
    assert [each.tolist() for each in read[1]] == lists


def number(length: int) -> bytes:
    """Return a list of one number, of that many bytes in all."""
    return b"[%b]" % (b"1" * (length - 2))


@pytest.mark.parametrize("length", [1024, 65_536, 65_537, 65_538, 131_072, 131_073, 131_074])
def test_a_long_flat_list_is_cut_out(length: int) -> None:
    cut = cut_lists(b'{"data": %b, "more": [1]}' % number(length))
    assert cut is not None
    assert [bytes(each) for each in cut.lists] == [number(length)]
    assert json.loads(cut.text)["more"] == [1]
    (mark,) = json.loads(cut.text)["data"]
    assert bytes(cut.find(json.dumps([mark]).encode())) == number(length)
    assert bytes(cut.find(b"[1]")) == b"[1]"


LONG: Final = number(2000)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(b'"data": %b' % number(1023), id="short"),
        pytest.param(b'"data": [%b]' % LONG, id="nested at once"),
        pytest.param(b'"data": [1, %b]' % LONG, id="nested later"),
        pytest.param(b'"data": ["%b"]' % (b"x" * 2000), id="a text at once"),
        pytest.param(b'"data": [1, "%b"]' % (b"x" * 2000), id="a text later"),
        pytest.param(b'"a\\"data": %b' % LONG, id="another key"),
    ],
)
def test_other_lists_stay_and_later_ones_are_cut_out(left: bytes) -> None:
    assert cut_lists(b"{%b}" % left) is None
    cut = cut_lists(b'[{%b}, {"data": %b}]' % (left, LONG))
    assert cut is not None
    assert [bytes(each) for each in cut.lists] == [LONG]
    assert left in cut.text


def test_at_most_64_lists_are_cut_out() -> None:
    cut = cut_lists(b"[%b]" % b",".join([b'{"data": %b}' % LONG] * 65))
    assert cut is not None
    assert len(cut.lists) == 64
    assert cut.text.endswith(b'{"data": %b}]' % LONG)


def test_a_list_that_has_no_end_is_not_cut_out() -> None:
    assert cut_lists(b'{"data": [%b' % (b"1" * 70_000)) is None


def test_plain_requests_are_read_without_objects() -> None:
    data = np.random.default_rng(0).random(1000, np.float32)
    for datatype in ("FP32", "FP64"):
        tensor = {"name": "x", "shape": [10, 100], "datatype": datatype, "data": data.tolist()}
        packed = read_packed(json.dumps({"inputs": [tensor, tensor], "id": "a"}).encode())
        assert packed is not None
        assert packed.fields["id"] == "a"
        arrays = [read_numbers(each, datatype, [1000]) for each in packed.texts]
        assert [each.tolist() for each in arrays] == [data.tolist()] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "1",
        '{"inputs": 1}',
        '{"inputs": [1]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": 1}]}',
        '{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [[1], 2%s]}]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1%s], "data": [2]}]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}], "data": [1%s]}',
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "more": {"data": [1%s]}}]}',
        '{"inputs": [{"name": "\ud800", "shape": [1], "datatype": "FP32", "data": [1%s]}]}',
        "[" * 2000,
    ],
)
def test_what_is_unusual_is_left_to_the_usual_reader(text: str) -> None:
    padded = text % PADDING if "%s" in text else text
    assert read_packed(padded.encode("utf-8", "surrogatepass")) is None


def test_a_parser_is_used_again_after_a_failure() -> None:
    good = b"[1%b]" % PADDING.encode()
    for bad in (good.replace(b"1", b"trux"), good.replace(b"1", b"1,"), b"[%b" % good):
        with pytest.raises(ArrayError):
            read_numbers(bad, "FP32", [1])
        assert read_numbers(good, "FP32", [1]).tolist() == [1]


def test_the_arrays_outlive_the_parser() -> None:
    first, second = (read_numbers(b"[%d%b]" % (each, PADDING.encode()), "FP64", [1]) for each in (1, 2))
    assert (first.tolist(), second.tolist()) == ([1], [2])


def test_the_fields_of_a_large_request_are_kept() -> None:
    tensor = {
        "name": "x",
        "shape": [2],
        "datatype": "INT32",
        "data": [1, 2],
        "parameters": {"content_type": "np"},
    }
    body = {"inputs": [tensor], "outputs": [{"name": "y", "parameters": {"binary_data": True}}], "id": "7"}
    asked = read_infer((json.dumps(body) + PADDING).encode(), {})
    assert isinstance(asked, Asked)
    assert asked.wants_raw("y")
    assert asked.message.wanted == ("y",)
    assert asked.message.tensors["x"].parameters == {"content_type": "np"}
