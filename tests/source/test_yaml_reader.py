"""Reading YAML: values, places and every fault; nothing raises and nothing takes long."""

import json
import math
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import pytest
import yaml
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.source.files import LARGEST
from graphc.source.located import Fields, Items, Located, Plain, Scalar, to_plain
from graphc.source.yaml_builder import MOST_VALUES
from graphc.source.yaml_reader import read_documents
from hypothesis import example, given
from hypothesis import strategies as st

FILE: Final = "graph.yaml"


def read(text: str) -> tuple[list[Plain], list[Diagnostic]]:
    sink = Sink()
    documents = read_documents(text, FILE, sink)
    return [to_plain(each) for each in documents], list(sink)


def read_sound(text: str) -> Located:
    sink = Sink()
    (document,) = read_documents(text, FILE, sink)
    assert not list(sink)
    return document


def value_of(text: str) -> Plain:
    """The value of a scalar that stands as a value in a mapping."""
    document = to_plain(read_sound(f"k: {text}\n"))
    assert isinstance(document, dict)
    return document["k"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("y", "y"),
        ("n", "n"),
        ("0", 0),
        ("-0", 0),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", 2**64 - 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("-", "-x"),
        ("0xZZ", "0xZZ"),
        ("8080:80", "8080:80"),
        ("v1_000", "v1_000"),
        ("2024-05", "2024-05"),
        ("2024-05-01 x", "2024-05-01 x"),
        ("'010'", "010"),
        ('"yes"', "yes"),
        ("!!str 010", "010"),
        ("!!float 1", 1.0),
        ("!!int 1", 1),
        ("! 1", "1"),
        ("|\n  a\n  b", "a\nb\n"),
        (">-\n  a\n  b", "a b"),
        ('"\\u00e9\\x41"', "éA"),
    ],
)
def test_scalar(text: str, value: Plain) -> None:
    text = "-x" if text == "-" else text
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


def test_nan() -> None:
    value = value_of(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def spans(value: Located) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Every key and value with its place, in the file's order."""
    at = (value.span.line, value.span.column, value.span.end_line, value.span.end_column)
    match value:
        case Scalar():
            yield repr(value.value), at
        case Items():
            yield "list", at
            for item in value.items:
                yield from spans(item)
        case Fields():
            yield "mapping", at
            for entry in value.entries:
                key = entry.key_span
                yield entry.key, (key.line, key.column, key.end_line, key.end_column)
                yield from spans(entry.value)


PLACES: Final = """\
# a comment
名: é日本
list:
  - 'it''s'
  - {x: 1, y: [2,
      3]}

# between
empty:
text: |
  two
  lines

last: 5
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_places(newline: str) -> None:
    assert list(spans(read_sound(PLACES.replace("\n", newline)))) == [
        ("mapping", (2, 1, 14, 8)),
        ("名", (2, 1, 2, 2)),
        ("'é日本'", (2, 4, 2, 7)),
        ("list", (3, 1, 3, 5)),
        ("list", (4, 3, 6, 10)),
        ('"it\'s"', (4, 5, 4, 12)),
        ("mapping", (5, 5, 6, 10)),
        ("x", (5, 6, 5, 7)),
        ("1", (5, 9, 5, 10)),
        ("y", (5, 12, 5, 13)),
        ("list", (5, 15, 6, 9)),
        ("2", (5, 16, 5, 17)),
        ("3", (6, 7, 6, 8)),
        ("empty", (9, 1, 9, 6)),
        ("None", (9, 7, 9, 7)),
        ("text", (10, 1, 10, 5)),
        ("'two\\nlines\\n'", (10, 7, 14, 1)),
        ("last", (14, 1, 14, 5)),
        ("5", (14, 7, 14, 8)),
    ]


def test_a_byte_order_mark_takes_no_column() -> None:
    document = read_sound("\ufeffa: 1\n")
    assert document.span == Span(FILE, 1, 1, 1, 5)


def test_documents() -> None:
    assert read("a: 1\n---\n---\n- 2\n---\n# no more\n") == ([{"a": 1}, [2]], [])


def test_json_with_tabs() -> None:
    assert read('{\n\t"a": [1,\n\t\t2.5, null, true],\n\t"b\\/": "x"\n}\n') == (
        [{"a": [1, 2.5, None, True], "b/": "x"}],
        [],
    )


OBJECT: Final = '{"a": [1, 2.5, null], "b": {"c": "x\\ty"}}'
PLAIN: Final = {"a": [1, 2.5, None], "b": {"c": "x\ty"}}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"\t{OBJECT}", 1),
        (f"{OBJECT}\n\t\n", 1),
        (f" \r\n\t {OBJECT}\t", 1),
        (OBJECT.replace(" ", "\t"), 1),
        (f"{OBJECT}\n{OBJECT}\n", 2),
        (f"{OBJECT}{OBJECT} {OBJECT}", 3),
        ("\ufeff" + f"{OBJECT}\r\n\t{OBJECT}", 2),
    ],
)
def test_json_is_read_as_json(text: str, count: int) -> None:
    assert read(text) == (count * [PLAIN], [])


@pytest.mark.parametrize(
    "text",
    [f"{OBJECT}\n[1]\n", f"{OBJECT} x", f"{OBJECT},{OBJECT}", f"{OBJECT}\n\t{{", "{\t'a': 1}\n\t", "\ta: 1"],
)
def test_what_is_json_in_part_only_is_an_error(text: str) -> None:
    documents, problems = read(text)
    assert not documents
    assert problems


def test_objects_of_one_file_have_their_places() -> None:
    documents, (problem,) = read('{"a": 1}\n\t{"b": "\\ud83d\\ude00", "b": 2} {"c": 3}\n')
    assert not documents
    assert (problem.rule.code, problem.at) == ("GC010", Span(FILE, 2, 24, 2, 27))


# An escaped character takes up to 12, and YAML has no key of more than 1024.
_KEYS = st.text(max_size=80)


@given(st.lists(st.dictionaries(_KEYS, st.text() | st.floats(-1e9, 1e9) | st.none()), min_size=1, max_size=4))
def test_any_objects_are_read_alike(objects: list[dict[str, Plain]]) -> None:
    assert read("\t".join(map(json.dumps, objects))) == (objects, [])


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (f'{{"{"a" * 1100}": 1}}', 1, 1104),
        ('{"a"\n  : 1}', 2, 3),
        ('{"b": ["a"\n: 1]}', 2, 1),
        ('{"a": 1 "b": 2}', 1, 12),
    ],
)
def test_a_colon_without_a_key_is_told_as_one(text: str, line: int, column: int) -> None:
    documents, (problem,) = read(text)
    assert not documents
    assert problem.message == "a `:` stands where no key can be"
    assert problem.help == "write a key of at most 1024 characters, on one line with its `:`"
    assert problem.at == Span(FILE, line, column, line, column + 1)


def test_many_objects_take_no_longer_than_they_should() -> None:
    text = 200_000 * "{} "
    _, problems = read(text)
    assert [each.rule.code for each in problems] == ["GC004"]


def test_aliases_share_their_value_and_its_place() -> None:
    document = read_sound("a: &x {b: 1}\nc: *x\n&k d: *k\n")
    assert to_plain(document) == {"a": {"b": 1}, "c": {"b": 1}, "d": "d"}
    assert isinstance(document, Fields)
    assert document.entries[0].value is document.entries[1].value


def test_anchors_end_with_their_document() -> None:
    _, (problem,) = read("a: &x 1\n---\nb: *x\n")
    assert problem.rule.code == "GC009"


def test_numbers_as_keys_are_their_text() -> None:
    assert read("1: a\n2.50: b\n0x1F: c\n") == ([{"1": "a", "2.50": "b", "0x1F": "c"}], [])


def test_all_faults_of_a_file_are_found() -> None:
    documents, problems = read("a: yes\na: 010\n~: !x y\n<<: *z\n")
    assert [(each.rule.code, each.at and each.at.line) for each in problems] == [
        ("GC011", 1),
        ("GC010", 2),
        ("GC012", 2),
        ("GC013", 3),
        ("GC015", 3),
        ("GC014", 4),
        ("GC009", 4),
    ]
    assert documents == []


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "hint"),
    [
        ("a: 1\nb: 2\na: 3\n", "GC010", 3, 1, "remove one of the two; the first is on line 1"),
        ("a: Yes\n", "GC011", 1, 4, "write `true`, or `'Yes'` for the word"),
        ("off: 1\n", "GC011", 1, 1, "write `false`, or `'off'` for the word"),
        ("true: 1\n", "GC013", 1, 1, "write `'true'` if the word itself is meant"),
        ("a: &ab 1\nb: *abc\n", "GC009", 2, 4, "did you mean `ab`?"),
        ("a:\n\tb: 1\n", "GC004", 2, 1, "indent with spaces"),
        ("a: b: c\n", "GC004", 1, 5, "quote the text that holds it, or check the indentation"),
        ("a: @b\n", "GC004", 1, 4, "put the text in quotes"),
        ("a: [${b}, c]\n", "GC004", 1, 6, "put `${...}` in quotes"),
        ('a: "\\ud83d\\ude00"\n', "GC004", 1, 7, "write the character itself, or all of it as `\\UXXXXXXXX`"),
        ("a: \x00\n", "GC003", 1, 4, "remove it, or write `\\x00` in double quotes"),
        ("a: b\x85c\n", "GC003", 1, 5, "remove it, or write `\\x85` in double quotes"),
        ("a: \ud800\n", "GC003", 1, 4, "remove it"),
    ],
)
def test_place_and_help(text: str, code: str, line: int, column: int, hint: str) -> None:
    _, (problem,) = read(text)
    assert problem.rule.code == code
    assert problem.at
    assert (problem.at.line, problem.at.column) == (line, column)
    assert problem.help == hint


@pytest.mark.parametrize("text", ["", " ", "# only\n", "---\n", "---\n---\n", "\ufeff", "\n\n"])
def test_empty(text: str) -> None:
    documents, problems = read(text)
    assert documents == []
    assert [each.rule.code for each in problems] == ["GC005"]


def test_messages_are_short_whatever_the_file_holds() -> None:
    key = "k" * 1000
    _, problems = read(f"a: {'9' * 5000}\n{key}: !{'t' * 5000} b\n{key}: *{'c' * 5000}\n")
    assert [each.rule.code for each in problems] == ["GC016", "GC015", "GC010", "GC009"]
    assert all(len(each.message) < 200 for each in problems)


HOSTILE: Final[dict[str, Callable[[], str]]] = {
    "flow lists": lambda: "[" * LARGEST,
    "flow mappings": lambda: "{" * LARGEST,
    "flow pairs": lambda: "{a: " * (LARGEST // 4),
    "block lists": lambda: "- " * (LARGEST // 2),
    "block keys": lambda: "? " * (LARGEST // 2),
    "stairs": lambda: "".join(" " * level + "a:\n" for level in range(4000)),
    "one text": lambda: "a" * LARGEST,
    "one quoted text": lambda: '"' + "\n" * (LARGEST - 1),
    "escapes": lambda: '"' + "\\x41" * (LARGEST // 4) + '"',
    "long number": lambda: "9" * LARGEST,
    "long base 60": lambda: "1:1" * (LARGEST // 3),
    "long grouped number": lambda: "1_" * (LARGEST // 2),
    "long date": lambda: "2020-01-01" + " " * LARGEST,
    "long tag": lambda: "!" * LARGEST,
    "long key": lambda: "a" * LARGEST + ": 1",
    "many values": lambda: "[" + "a," * (LARGEST // 2),
    "many booleans": lambda: "- no\n" * (LARGEST // 5),
    "many keys": lambda: "".join(f"k{index}: 1\n" for index in range(LARGEST // 10)),
    "equal keys": lambda: "k: 1\n" * (LARGEST // 5),
    "many anchors": lambda: "".join(f"- &a{index} x\n" for index in range(LARGEST // 12)),
    "many tag directives": lambda: "".join(f"%TAG !a{index}! x\n" for index in range(LARGEST // 16)),
    "many documents": lambda: "--- x\n" * (LARGEST // 6),
    "comments": lambda: "#\n" * (LARGEST // 2),
    "blank lines": lambda: "\n" * LARGEST,
    "tabs": lambda: "\t" * LARGEST,
    "colons": lambda: ":" * LARGEST,
    "control characters": lambda: "a\0" * (LARGEST // 2),
    "laughs": lambda: (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 50))
    ),
    "deep aliases": lambda: "".join(
        f"- &a{i} {'[' * 90}{f'*a{i - 1}' if i else 'x'}{']' * 90}\n" for i in range(200)
    ),
}


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml reads one long text slowly")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_takes_little_time(name: str) -> None:
    # Beside the largest honest document, as a slow or busy machine reads both slowly; one that was read earlier will
    # do where the machine was no busier then.
    took = _measure(HOSTILE[name]())
    assert took < _measure_honest() or took < 3 * _measure_honest.__wrapped__()


@cache
def _measure_honest() -> float:
    return 5 * _measure(f"[{'a,' * (MOST_VALUES // 5)}]")


def _measure(text: str) -> float:
    sink = Sink()
    start = time.process_time()
    for document in read_documents(text, FILE, sink):
        to_plain(document)
    return time.process_time() - start


TEXTS: Final = st.text(
    st.one_of(st.sampled_from(" \t\n-:,?&*!|>'\"%@`#[]{}<~.0123456789aenosy\\"), st.characters())
)


@given(TEXTS)
@example("\ud800")
@example("a: \x00")
@example("? - ? -")
@example("%YAML 9.9\n---")
@example('"\\U00110000"')
def test_reading_never_raises(text: str) -> None:
    sink = Sink()
    documents = read_documents(text, FILE, sink)
    assert documents or sink.has_errors
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in sink:
        assert problem.at
        assert 1 <= problem.at.line <= len(lines) + 1
        assert (problem.at.end_line, problem.at.end_column) >= (problem.at.line, problem.at.column) >= (1, 1)


ANY_WORDS: Final = st.text(st.characters(exclude_categories=["Cs"]))
# JSON writes a character beyond U+FFFF as two escapes, which YAML does not take for one, and leaves U+007F raw.
JSON_WORDS: Final = st.text(
    # YAML reads keys of 1024 characters at most, and JSON may write six for each.
    st.characters(exclude_categories=["Cs"], exclude_characters="\x7f", max_codepoint=0xFFFF),
    max_size=150,
)
INTEGERS: Final = st.integers(-(2**63), 2**64 - 1)


def data_of(words: st.SearchStrategy[str], *, infinite: bool) -> st.SearchStrategy[Plain]:
    floats = st.floats(allow_nan=False, allow_infinity=infinite)
    return st.recursive(
        st.none() | st.booleans() | INTEGERS | floats | words,
        lambda inner: st.lists(inner) | st.dictionaries(words, inner),
        max_leaves=20,
    )


def is_text_in_both_versions(text: str) -> bool:
    """PyYAML leaves the quotes off texts that only YAML 1.2 reads as numbers, such as 1e3 and 0o7."""
    return text[:1] not in set("+-.0123456789") or text.strip("+-.:_0123456789eEoxabcdfABCDFtTzZ ") != ""


@given(data_of(ANY_WORDS.filter(is_text_in_both_versions), infinite=True))
def test_round_trip_through_yaml(data: Plain) -> None:
    assert to_plain(read_sound(yaml.safe_dump([data]))) == [data]


@given(data_of(JSON_WORDS, infinite=False))
def test_round_trip_through_json(data: Plain) -> None:
    assert to_plain(read_sound(json.dumps([data]))) == [data]
