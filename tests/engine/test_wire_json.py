"""Numbers, texts and errors as Go's JSON library has them."""

import json

import pytest
from graphc.engine.scan import ScanError, scan
from graphc.engine.wire_json import WireError, check, decode, encode, write_number
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (10.0, "10"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (1.25e-10, "1.25e-10"),
        (9007199254740993.0, "9007199254740992"),
        (-576460752303423488.0, "-576460752303423500"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, text: str) -> None:
    assert write_number(value) == text
    assert encode([value, value]) == f"[{text},{text}]".encode()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_list_is_written_number_by_number(values: list[float]) -> None:
    expected = "[" + ",".join(map(write_number, values)) + "]"
    assert encode([*values]) == expected.encode()
    assert decode(encode([*values])) == values


def test_keys_are_sorted_and_markup_is_escaped() -> None:
    message = decode('{"z": 1, "a": "<b> & é\u2028", "m": [true, null, {"y": 2, "x": 1}]}'.encode())
    expected = '{"a":"\\u003cb\\u003e \\u0026 é\\u2028","m":[true,null,{"x":1,"y":2}],"z":1}'
    assert encode(message) == expected.encode()


def test_a_lone_surrogate_is_replaced() -> None:
    assert encode(decode(b'["\\ud800x"]')) == '["\ufffdx"]'.encode()


def test_integers_pass_through_float64() -> None:
    assert encode(decode(b"[9007199254740993]")) == b"[9007199254740992]"


def test_a_number_beyond_float64_is_json_and_cannot_be_read() -> None:
    assert check(b"[1e400]")
    with pytest.raises(WireError, match="cannot unmarshal number 1e400 into Go value of type float64"):
        decode(b"[1e400]")
    with pytest.raises(WireError, match="Go value of type float64"):
        decode(b"[" + b"9" * 400 + b"]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a": [1, 2', "unexpected end of JSON input"),
        (b'"abc', "unexpected end of JSON input"),
        (b"tru", "unexpected end of JSON input"),
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"\x1f\x8b", "invalid character '\\x1f' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"[NaN]", "invalid character 'N' looking for beginning of value"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{1: 2}", "invalid character '1' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"[01]", "invalid character '1' after array element"),
        (b"[-x]", "invalid character 'x' in numeric literal"),
        (b"[1.x]", "invalid character 'x' after decimal point in numeric literal"),
        (b"[1e+]", "invalid character ']' in exponent of numeric literal"),
        (b"[nuul]", "invalid character 'u' in literal null (expecting 'l')"),
        (b'["a\nb"]', "invalid character '\\n' in string literal"),
        (b'["\\x"]', "invalid character 'x' in string escape code"),
        (b'["\\u12g4"]', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"[" * 10_001, "exceeded max depth"),
    ],
)
def test_a_fault_is_named_as_go_does(text: bytes, message: str) -> None:
    assert not check(text)
    with pytest.raises(WireError) as raised:
        decode(text)
    assert str(raised.value) == message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES)
def test_json_has_no_fault(value: object) -> None:
    scan(json.dumps(value).encode())


@given(st.binary(max_size=12) | st.text('[]{}":,0-e.tru \\').map(str.encode))
def test_both_readers_agree_on_what_is_json(data: bytes) -> None:
    try:
        scan(data)
    except ScanError:
        assert not check(data)
    else:
        assert check(data)


@given(st.lists(st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)))
def test_mixed_numbers_are_read_as_pythons_own_reader_does(values: list[float]) -> None:
    data = json.dumps({"data": values}).encode()
    found = decode(data)
    expected = json.loads(data, parse_int=float)
    assert json.dumps(found) == json.dumps(expected)


def test_a_zero_keeps_its_sign() -> None:
    assert encode(decode(b"[-0, 0, -0.0, 1]")) == b"[-0,0,-0,1]"


def test_what_nests_deep_is_still_json() -> None:
    data = b"[" * 300 + b"]" * 300
    assert check(data)
    assert encode(decode(data)) == data
