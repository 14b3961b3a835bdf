"""What a stranger may send as a V2 request: each kind of bad body is refused in words, and what is sound is read."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from graphc_components.datatypes import Array, to_numpy
from graphc_runtimes import numerals, packed
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.messages import decode
from graphc_runtimes.reading import MOST_PARAMETERS, MOST_TENSORS, read_infer, read_message, read_messages
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

MIB: Final = 2**20


def ask(data: str = "[1, 2]", shape: str = "[1, 2]", datatype: str = '"FP32"', name: str = '"x"') -> bytes:
    return f'{{"inputs":[{{"name":{name},"shape":{shape},"datatype":{datatype},"data":{data}}}]}}'.encode()


def read(body: bytes) -> Array:
    (tensor,) = read_infer(body, {}).message.tensors.values()
    return decode(tensor)


def refusal(body: bytes) -> str:
    with pytest.raises((RequestError, ArrayError)) as raised:
        read(body)
    text = str(raised.value)
    # An error is short, and says nothing of Python.
    assert len(text.encode()) < 4096
    for word in ("NoneType", "dict", "str ", "Traceback", "Error", "msgspec", "memoryview", "numpy"):
        assert word not in text
    return text


BAD: Final[dict[str, tuple[bytes, str]]] = {
    "null as data": (ask("null"), "tensor `x` has a null as `data`, where a list should be"),
    "number as data": (ask("3.0"), "tensor `x` has a number as `data`, where a list should be"),
    "truth as data": (ask("true"), "tensor `x` has a truth value as `data`, where a list should be"),
    "text as data": (ask('"abc"'), "tensor `x` has a text as `data`, where a list should be"),
    "object as data": (ask('{"a": 1}'), "tensor `x` has an object as `data`, where a list should be"),
    "no data": (ask().replace(b'"data"', b'"date"'), "tensor `x` has no `data`"),
    "no shape": (ask().replace(b'"shape"', b'"shap"'), "tensor `x` has no `shape`"),
    "no datatype": (ask().replace(b'"datatype"', b'"type"'), "tensor `x` has no `datatype`"),
    "no name": (ask().replace(b'"name"', b'"nam"'), "`inputs[0]` has no `name`"),
    "name of no text": (ask(name="7"), "`inputs[0].name` is a number, where a text should be"),
    "null as name": (ask(name="null"), "`inputs[0].name` is a null, where a text should be"),
    "empty objects": (b'{"inputs":[{},{}]}', "`inputs[0]` has no `name`"),
    "numbers as tensors": (b'{"inputs":[1]}', "`inputs[0]` is a number, where an object should be"),
    "lists as tensors": (b'{"inputs":[[]]}', "`inputs[0]` is a list, where an object should be"),
    "no inputs": (b"{}", "a V2 request has a list of `inputs`"),
    "null as inputs": (b'{"inputs":null}', "`inputs` is a null, where a list should be"),
    "a list": (b"[]", "the body is a list, where an object should be"),
    "a number": (b"1", "the body is a number, where an object should be"),
    "nothing": (b"", "the body is empty, where JSON should be"),
    "no JSON": (b"hello", "the body is not JSON"),
    "cut off": (ask()[:-3], "the body is not JSON: it ends too early"),
    "more behind it": (ask() + b"x", "the body is not JSON"),
    "a number that JSON lacks": (ask("[1, NaN]"), "the body is not JSON"),
    "no UTF-8": (ask(name='"z"').replace(b"z", b"\xff"), "the body is not UTF-8"),
    "UTF-16": (ask().decode().encode("utf-16"), "the body is not JSON"),
    "half a character": (ask(name='"\\ud800"'), "the body is not JSON"),
    "nested lists": (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "the body has too many lists or objects"),
    "nested objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "the body has too many lists or objects"),
    "nested data": (ask("[" * 40 + "1" + "]" * 40, "[1]"), "has more than 32 lists within lists"),
    "unknown datatype": (ask(datatype='"FP33"'), "tensor `x` has the datatype `FP33`, which the V2 protocol"),
    "number as datatype": (
        ask(datatype="32"),
        "tensor `x` has a number as `datatype`, where a text should be",
    ),
    "null as shape": (ask(shape="null"), "tensor `x` has a null as `shape`, where a list should be"),
    "text as shape": (ask(shape='"1,2"'), "tensor `x` has a text as `shape`, where a list should be"),
    "negative size": (ask(shape="[-1, -2]"), "tensor `x` has a negative size in its shape [-1, -2]"),
    "huge size": (
        ask(shape=f"[{2**63}, 0]"),
        "a size in its shape [9223372036854775808, 0] that no tensor can",
    ),
    "size of 4000 digits": (ask(shape=f"[{'9' * 4000}]"), "tensor `x` has a size in its shape ["),
    "truth as size": (ask(shape="[true, 2]"), "tensor `x` has a size in its `shape` that is no whole number"),
    "half a size": (ask(shape="[1.5, 2]"), "tensor `x` has a size in its `shape` that is no whole number"),
    "null as size": (ask(shape="[null, 2]"), "tensor `x` has a size in its `shape` that is no whole number"),
    "too many dimensions": (
        ask(shape=f"[{'1,' * 32}2]"),
        "tensor `x` has 33 dimensions; a tensor has at most 32",
    ),
    "endless shape": (ask(shape=f"[{'1,' * 9000}2]"), "tensor `x` has a `shape` of too many sizes"),
    "no elements, absurd sizes": (
        ask("[]", "[0, 4611686018427387904, 4]"),
        "has no elements, and the shape [0, 4611686018427387904, 4], which nobody can mean",
    ),
    "absurd sizes": (ask("[1]", "[4611686018427387904, 4]"), "has 1 elements, which is not the shape"),
    "too few elements": (ask("[1]"), "has 1 elements, which is not the shape [1, 2]"),
    "too many elements": (ask("[1, 2, 3]"), "has 3 elements, which is not the shape [1, 2]"),
    "rows that differ": (ask("[[1], [2, 3]]", "[3]"), "has rows that differ in length"),
    "null among whole numbers": (ask("[1, null]", datatype='"INT32"'), "holds a null where a whole number"),
    "null among truth values": (ask("[true, null]", datatype='"BOOL"'), "holds a null where a truth value"),
    "null among texts": (ask('["a", null]', datatype='"BYTES"'), "holds a null where a text should be"),
    "text among numbers": (ask('[1, "2"]'), "holds a text where a number should be"),
    "object among numbers": (ask("[1, {}]"), "holds an object where a number should be"),
    "number among texts": (ask('["a", 1]', datatype='"BYTES"'), "holds a number where a text should be"),
    "a fraction": (ask("[1, 2.5]", datatype='"INT32"'), "holds a number with a fraction"),
    "out of range": (ask("[1, 300]", datatype='"UINT8"'), "holds a number that is out of range for UINT8"),
    "beyond a double": (ask("[1, 1e999]", datatype='"FP64"'), "holds something that is not JSON"),
    "twice": (
        json.dumps({"inputs": json.loads(ask())["inputs"] * 2}).encode(),
        "tensor `x` is there twice",
    ),
    "too many tensors": (
        json.dumps(
            {"inputs": [{"name": str(each), "data": []} for each in range(MOST_TENSORS + 1)]}
        ).encode(),
        f"the message has more than {MOST_TENSORS} tensors",
    ),
    "id of no text": (b'{"id":7,"inputs":[]}', "`id` is a number, where a text should be"),
    "endless id": (b'{"id":"%b","inputs":[]}' % (b"i" * 5000), "the `id` has more than 4096 characters"),
    "list as parameters": (
        b'{"parameters":[],"inputs":[]}',
        "the request has a list as `parameters`, where an object should be",
    ),
    "endless parameters": (
        b'{"parameters":{"a":"%b"},"inputs":[]}' % (b"a" * MOST_PARAMETERS),
        f"the request has more than {MOST_PARAMETERS} bytes of parameters",
    ),
    "nested parameters": (
        b'{"parameters":{"a":%b},"inputs":[]}' % (b"[" * 300 + b"]" * 300),
        "the request has parameters with too many lists or objects within each other",
    ),
    "content type of no text": (
        b'{"parameters":{"content_type":1},"inputs":[]}',
        "the request has a `content_type` that is no text",
    ),
    "outputs without a name": (b'{"inputs":[],"outputs":[{}]}', "`outputs[0]` has no `name`"),
    "outputs of texts": (
        b'{"inputs":[],"outputs":["y"]}',
        "`outputs[0]` is a text, where an object should be",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_of_bad_body_is_refused_in_words(kind: str) -> None:
    body, reason = BAD[kind]
    assert reason in refusal(body)


def test_a_name_is_cut_and_escaped() -> None:
    text = refusal(ask(name=f'"{"n" * MIB}"', data="null"))
    assert text == f"tensor `{'n' * 80}...` has a null as `data`, where a list should be"
    text = refusal(ask(name='"a\\u001b[31m`\\n"', data="null"))
    assert text == "tensor `a\\u001b[31m\\u0060\\u000a` has a null as `data`, where a list should be"


def test_no_refusal_repeats_what_was_sent() -> None:
    secret = "4111222233334444"
    for body in (
        ask(f'["{secret}", 1]'),
        ask(f"[{secret}.5, 1]", datatype='"INT64"'),
        ask(f"[{secret}, 1]", datatype='"INT8"'),
        ask(f'["{secret}"]', datatype='"BYTES"'),
        ask(f'["!{secret}"]').replace(b'"data"', b'"parameters":{"encoding":"base64"},"data"'),
        ask(f'{{"{secret}": 1}}'),
    ):
        assert secret not in refusal(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ask("[[1, 2]]"), [[1, 2]]),
        (ask(" [ 1 , 2 ] "), [[1, 2]]),
        (ask("[1, null]", "[2]"), [1, np.nan]),
        (ask("[true, 0]", datatype='"BOOL"'), [[True, False]]),
        (ask("[1.0, 1e2]", datatype='"INT16"'), [[1, 100]]),
        (ask("[]", "[0, 3]"), np.empty((0, 3))),
        (ask("[[], []]", "[2, 0]"), np.empty((2, 0))),
        (ask(shape='["1", 2.0]'), [[1, 2]]),
        (ask().replace(b'"inputs"', b'"model_name":"m","more":[{}],"inputs"'), [[1, 2]]),
        (ask().replace(b'"name"', b'"more":{"a":[1]},"name"'), [[1, 2]]),
        (ask().replace(b'"data"', b'"data":[9,9],"data"'), [[1, 2]]),
        (ask().replace(b'"inputs"', b'"parameters":null,"id":null,"outputs":null,"inputs"'), [[1, 2]]),
        (ask().replace(b'"inputs"', b'"parameters":{"headers":{"a":"b"},"x":[[1]]},"inputs"'), [[1, 2]]),
    ],
)
def test_what_mlserver_tolerates_is_read(body: bytes, expected: Any) -> None:
    np.testing.assert_array_equal(read(body), expected)


def test_messages_of_units_are_read_as_strictly() -> None:
    tensor = json.loads(ask())["inputs"][0]
    union = read_messages(json.dumps([{"outputs": [tensor]}, {"inputs": [tensor]}]).encode(), {})
    assert decode(union.tensors["x"]).tolist() == [[1, 2]]
    for body in (b"[]", b"{}", b"[1]", b"[{}]", b'[{"outputs":[{}]}]', b"", b"[", b'[{"outputs":null}]'):
        with pytest.raises(RequestError):
            read_messages(body, {})
    for body in (b"[]", b"{}", b"null", b'{"outputs":{}}', b'{"outputs":[{"name":"x"}]}'):
        with pytest.raises(RequestError):
            read_message(body, {})


# --- Long lists ----------------------------------------------------------------------------------------


@pytest.fixture(name="in_pieces")
def in_pieces_fixture() -> Iterator[None]:
    """Have every text taken for a long one, and read in pieces of a few numbers."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (numerals, "_SHORT", 0),
            (numerals, "_PIECE", 16),
            (packed, "_SHORT", 0),
            (packed, "_WINDOW", 16),
        ):
            patch.setattr(module, name, value)
        yield


NUMBERS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "FP32": st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-999, 999)),
    "FP64": st.one_of(
        st.floats(allow_nan=False, allow_infinity=False), st.none(), st.integers(-(2**63), 2**64)
    ),
    "INT64": st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([1e3, -0.0])),
    "UINT8": st.integers(0, 255),
    "BOOL": st.booleans(),
}


@st.composite
def nested(draw: st.DrawFn) -> tuple[str, list[int], Any]:
    datatype = draw(st.sampled_from(sorted(NUMBERS)))
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    flat = draw(st.lists(NUMBERS[datatype], min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    if draw(st.booleans()):
        return datatype, shape, flat
    rows: Any = flat
    for size in reversed(shape[1:]):
        rows = [rows[at : at + size] for at in range(0, len(rows), size)]
    return datatype, shape, rows


@pytest.mark.usefixtures("in_pieces")
@given(nested(), st.sampled_from([None, 1]))
def test_pieces_make_the_same_array(case: tuple[str, list[int], Any], indent: int | None) -> None:
    datatype, shape, data = case
    dtype = to_numpy(datatype)
    expected = np.array([float("nan") if each is None else each for each in _flat(data)], object)
    text = json.dumps(data, indent=indent).encode()
    found = numerals.read_numbers(text, datatype, shape)
    wanted = np.array([dtype.type(each) for each in expected], dtype).reshape(shape)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, wanted)


def _flat(data: Any) -> Iterator[Any]:
    for each in data:
        yield from _flat(each) if isinstance(each, list) else (each,)


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize(
    ("text", "shape", "reason"),
    [
        ("[[1,2],[3]]", [3], "has rows that differ in length"),
        ("[[1,2],3]", [3], "has rows that differ in length"),
        ("[1,[2,3]]", [3], "has rows that differ in length"),
        ("[[[1],[2]],[[3]]]", [3], "has rows that differ in length"),
        ("[[],[1]]", [1], "has rows that differ in length"),
        ("[[[[]]],[]]", [0], "has rows that differ in length"),
        ("[[1,2],[3,4]]", [3], "has 4 elements, which is not the shape [3]"),
        ("[1,2,3,4,5,6,7,8,9,10,11,12]", [11], "has more elements than its shape [11] says"),
        ("[1,2,3,4,5,6,7,8,9,10,11,12]", [13], "has 12 elements, which is not the shape [13]"),
        ("[1,2]", [9], "has fewer elements than its shape [9] says"),
        ('[1,2,3,4,5,6,7,8,9,10,11,"12"]', [12], "holds a text where a number should be"),
        ('[["1","2"]]', [1, 2], "holds a text where a number should be"),
        ("[1,2,3,4,5,6,7,8,9,10,11,{}]", [12], "holds an object where a number should be"),
        ("[" * 40 + "1" + "]" * 40, [1], "has more than 32 lists within lists"),
    ],
)
def test_long_lists_are_refused_with_the_reason(text: str, shape: list[int], reason: str) -> None:
    with pytest.raises(ArrayError) as raised:
        numerals.read_numbers(text.encode(), "FP32", shape)
    assert str(raised.value) == reason


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize(
    "text", ["1,2,", ",1", "1,,2,3,4,5,6,7,8,9", "1 2", "1,2,3,4,5,6,7,8,9,", "0x1", "1,2,3,4,5,6,7, ,8"]
)
def test_what_is_cut_out_and_no_list_is_refused(text: str) -> None:
    body = ask(f"[{text}]", "[9]")
    assert packed.cut_lists(body) is not None
    assert "JSON" in refusal(body) or "elements" in refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        ask().replace(b'"inputs"', b'"parameters":{"data":[%b1]},"inputs"' % (b" " * 2000)),
        ask().replace(b'"data":', b'"data":[%b1],"data":' % (b" " * 2000)),
        ask().replace(b'"name"', b'"\\"data":[%b1],"name"' % (b" " * 2000)),
        ask().replace(b'"name"', b'"a\\\\"   :   1,"more":{"data":[%b1]},"name"' % (b" " * 2000)),
    ],
)
def test_lists_that_are_no_tensors_data_are_left_where_they_are(body: bytes) -> None:
    padded = body + b" " * numerals.LEAST
    assert read(padded).tolist() == [[1, 2]]
    assert read_infer(padded, {}).message.parameters == read_infer(body, {}).message.parameters


# --- What a refusal costs ------------------------------------------------------------------------------


LARGE: Final[dict[str, bytes]] = {
    "empty objects": b'{"inputs":[' + b"{}," * (MIB // 3) + b"{}]}",
    "numbers as tensors": b'{"inputs":[' + b"1," * (MIB // 2) + b"1]}",
    "open lists": b"[" * MIB,
    "a field of objects, and no inputs": b'{"more":[' + b"{}," * (MIB // 3) + b"{}]}",
    "a name": ask(name=f'"{"n" * MIB}"', data="null"),
    "a shape": ask(shape=f"[{'1,' * (MIB // 2)}1]"),
    "parameters": b'{"parameters":{%b"a":1},"inputs":[]}' % b'"a":1,'.join([b""] * (MIB // 3)),
    "too few numbers": ask(f"[{'1,' * (MIB // 2)}1]", f"[{MIB}]"),
    "too many numbers": ask(f"[{'1,' * (MIB // 2)}1]", "[7]"),
    "a null at the end": ask(f"[{'1,' * (MIB // 2)}null]", f"[{MIB // 2 + 1}]", '"INT32"'),
    "a text at the end": ask(f'[{"1," * (MIB // 2)}"a"]', f"[{MIB // 2 + 1}]"),
    "rows that differ": ask(f"[{'[1,2],' * (MIB // 6)}[1]]", f"[{MIB // 3 + 1}]"),
    "cut off": ask(f"[{'1,' * (MIB // 2)}1]", f"[{MIB // 2 + 1}]")[:-2],
    "many lists of numbers": b'"data":[1],' * (MIB // 11),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_refusal_takes_no_more_memory_than_a_few_times_the_body(kind: str) -> None:
    body = LARGE[kind]
    refusal(body)
    tracemalloc.start()
    try:
        refusal(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The numbers of such a body take as much when it is answered: a float in the place of two bytes.
    assert peak < 5 * len(body)
