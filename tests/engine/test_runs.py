"""Long lists of a message: kept as text, worked on in pieces, and the same in the end."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphc.engine import raw, runs
from graphc.engine.binary import RequestError, check_request, dump, load
from graphc.engine.runs import LONG, Run, TextRun, TooManyError, as_run
from graphc.engine.wire_json import WireError, check, decode, encode

NUMBERS: list[Any] = [round(random.Random(1).uniform(-9, 9), 3) for _ in range(40_000)]
MIXED: list[Any] = [*NUMBERS, None, True, False, 10**18, -0.5e-9]
TEXTS: list[Any] = [f'a,]"{each}\\ {{é [' for each in range(20_000)]
LISTS: dict[str, Any] = {
    "numbers": NUMBERS,
    "mixed": MIXED,
    "texts": TEXTS,
    "texts and numbers": [*TEXTS, *NUMBERS],
    "one long text": ["x," * LONG, "y"],
    "nested": [NUMBERS[at : at + 100] for at in range(0, 40_000, 100)],
    "nested texts": [TEXTS[at : at + 10] for at in range(0, 20_000, 10)],
}


def message(data: Any, **more: Any) -> dict[str, Any]:
    return {"id": "[1]", "outputs": [{"name": "x", "shape": [2], "data": data, **more}, {"data": [1, 2]}]}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("kind", LISTS)
def test_a_message_is_the_same_after_it(kind: str, indent: int | None) -> None:
    whole = message(LISTS[kind])
    text = json.dumps(whole, indent=indent, ensure_ascii=indent is None).encode()
    assert len(text) > LONG
    fields = load(text)
    assert json.loads(dump(fields)) == whole
    outputs: Any = fields["outputs"]
    if kind in {"numbers", "mixed", "texts", "nested", "one long text", "texts and numbers"}:
        run = as_run(outputs[0]["data"])
        assert run is not None
        assert kind == "nested" or [each for part in run.lists() for each in part] == LISTS[kind]
        assert kind in {"nested", "one long text"} or max(map(len, run.pieces())) < 2 * LONG


@pytest.mark.parametrize("kind", LISTS)
def test_the_executors_form_is_the_same(kind: str) -> None:
    text = json.dumps(message(LISTS[kind])).encode()
    whole = encode(json.loads(text, parse_int=float))
    assert encode(decode(text)) == whole
    assert check(text)


def test_a_list_within_a_text_is_no_list() -> None:
    text = json.dumps(message([json.dumps(NUMBERS)])).encode()
    assert json.loads(dump(load(text))) == json.loads(text)
    assert encode(decode(text)) == encode(json.loads(text, parse_int=float))


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda text: text[:-20],
    "cut within": lambda text: text[: len(text) // 2],
    "two commas": lambda text: text.replace(b", ", b",, ", 1),
    "a bracket more": lambda text: text.replace(b"}, {", b"]}, {", 1),
    "garbage": lambda text: text.replace(b", ", b", x", 1),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("kind", ["numbers", "texts", "nested"])
def test_what_is_no_json_is_found_where_it_is_read(kind: str, how: str) -> None:
    text = BROKEN[how](json.dumps({"data": LISTS[kind], "more": [{}, {}]}).encode())
    assert not check(text)
    with pytest.raises(WireError):
        decode(text)


def test_values_within_a_run_are_read_when_they_are_needed() -> None:
    text = json.dumps(message(NUMBERS)).encode().replace(b"-", b"--", 1)
    data: Any = load(text)["outputs"]
    with pytest.raises(raw.RawError, match="the data is not JSON"):
        raw.pack("FP64", data[0]["data"])


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64", "BF16"])
def test_raw_tensors_are_written_in_pieces_and_read_again(datatype: str) -> None:
    generator = np.random.default_rng(1)
    array = generator.normal(size=50_000).astype(raw.DTYPES.get(datatype, "<u2"))
    if datatype == "BF16":
        array = (generator.normal(size=50_000).astype("<f4").view("<u4") >> 16).astype("<u2")
    run = raw.write(datatype, array.tobytes())
    again = load(dump({"data": runs.as_value(run)}))["data"]
    assert raw.pack(datatype, again) == array.tobytes()


def test_a_missing_number_is_null_and_an_infinity_refused() -> None:
    array = np.zeros(50_000, "<f4")
    array[40_000] = np.nan
    assert b"null" in raw.write("FP32", array.tobytes()).text()
    array[40_000] = np.inf
    with pytest.raises(raw.RawError, match="infinity"):
        raw.write("FP32", array.tobytes())


def test_objects_are_counted_before_they_are_made() -> None:
    many = b'{"inputs":[' + b"{}," * 3_000_000 + b"{}]}"
    with pytest.raises(RequestError, match="more than 20000 JSON objects"):
        check_request(many)
    # Braces within texts are none.
    texts = json.dumps({"inputs": [{"name": "x", "data": ['{"a": {}}'] * 30_000}]}).encode()
    assert check_request(texts)["inputs"]
    with pytest.raises(TooManyError):
        runs.read(b'{"a": [' + b'{"b": "{{{"},' * 30_000 + b"{}]}", 20_000)


def test_pieces_of_texts_end_between_texts() -> None:
    run = TextRun([b",".join(json.dumps(each).encode() for each in TEXTS)])
    assert [each for part in run.lists() for each in part] == TEXTS
    assert len([*run.pieces()]) > 3
    assert isinstance(run.map(bytes.upper), Run)
