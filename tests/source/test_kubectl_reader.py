"""Manifests are read as kubectl reads them: its values, its keys, its merges, and a warning where those surprise."""

import json
import math
import time
from collections.abc import Callable

import pytest
from graphc.diagnostics import Severity, Sink
from graphc.seldon.documents import is_manifest
from graphc.source.kubectl_scalars import is_octal, key_text, resolve_plain
from graphc.source.located import Fields, Located, Plain, to_plain
from graphc.source.yaml_builder import MOST_ALIASED
from graphc.source.yaml_reader import read_for_cluster
from hypothesis import given
from hypothesis import strategies as st

HEAD = "apiVersion: v1\nkind: ConfigMap\n"


def read(text: str) -> tuple[list[Located], list[str]]:
    sink = Sink()
    documents = read_for_cluster(text, "m.yaml", sink, is_manifest)
    return documents, [f"{each.severity} {each.rule.code} {each.at and each.at.line}" for each in sink]


def read_field(text: str) -> tuple[Plain, list[str]]:
    documents, problems = read(HEAD + text)
    plain = to_plain(documents[0]) if documents else None
    assert plain is None or isinstance(plain, dict)
    return plain and plain.get("data"), problems


# Each was read by kubectl 1.34 as it is here.
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("OFF", False),
        ("y", True),
        ("N", False),
        ("yEs", "yEs"),
        ("0420", 272),
        ("0o644", 420),
        ("0O7", 7),
        ("089", 89),
        ("08_0", 80),
        ("1_00", 100),
        ("+_1", 1),
        ("0_", 0),
        ("_1", "_1"),
        ("0x10", 16),
        ("-0x1", -1),
        ("0b11", 3),
        ("-0b11", -3),
        ("1_0.0", 10),
        ("1e0", 1),
        ("2.5", 2.5),
        (".5_0", 0.5),
        ("._5", "._5"),
        ("-9223372036854775809", -float(2**63)),
        ("1e999", "1e999"),
        ("99999999999999999999", 1e20),
        ("18446744073709551615", float(2**64 - 1)),
        ("9223372036854775807", 2**63 - 1),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("!!int '3'", 3),
        ("!!str 5", "5"),
        ("!!float 2", 2),
        ("!!binary aGFsbG8=", "hallo"),
        ("!!timestamp 2024-01-02", "2024-01-02"),
        ("'yes'", "yes"),
        ("! yes", "yes"),
        ("~", None),
    ],
)
def test_scalars(written: str, value: Plain) -> None:
    found, problems = read_field(f"data: {{mode: {written}}}\n")
    assert found == {"mode": value}
    assert isinstance(found, dict)
    assert type(found["mode"]) is type(value)
    assert not problems


@pytest.mark.parametrize(
    ("written", "key", "is_warned"),
    [
        ("1", "1", False),
        ("2024-01-02", "2024-01-02", False),
        ("true", "true", False),
        ("'0420'", "0420", False),
        ("0420", "272", True),
        ("1.50", "1.5", True),
        ("1.1", "1.1", False),
        ("1_0", "10", True),
        ("y", "true", True),
        ("Off", "false", True),
    ],
)
def test_keys(written: str, key: str, is_warned: bool) -> None:
    assert read_field(f"data: {{{written}: a}}\n") == ({key: "a"}, ["warning GC013 3"] * is_warned)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.1, "1.1"),
        (0.1, "0.1"),
        (1e5, "100000"),
        (1e6, "1e+06"),
        (123456.5, "123456.5"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (16777217.0, "1.6777216e+07"),
        (math.inf, ".inf"),
        (-1e300, "-.inf"),
        (math.nan, ".nan"),
    ],
)
def test_a_key_that_is_a_number_is_written_as_go_writes_it(number: float, text: str) -> None:
    assert key_text(number) == text


@pytest.mark.parametrize("key", ["~", "[a]", "{a: b}", "18446744073709551615"])
def test_what_kubectl_takes_for_no_key_is_an_error(key: str) -> None:
    assert read_field(f"data:\n  ? {key}\n  : a\n") == (None, ["error GC013 4"])


def test_the_last_of_equal_keys_counts_and_is_warned_of() -> None:
    found, problems = read_field("data:\n  a: 1\n  b: 2\n  a: 3\n")
    assert found == {"b": 2, "a": 3}
    assert problems == ["warning GC010 6"]


@pytest.mark.parametrize("value", ["010", "0_77", "-0420"])
def test_base_8_is_warned_of_where_nobody_uses_it(value: str) -> None:
    assert read_field(f"data: {{defaultMode: {value}, port: {value}}}\n")[1] == ["warning GC012 3"]


@pytest.mark.parametrize("value", ["0", "00", "7", "07", "089", "0o17", "0x10", "10"])
def test_what_is_the_same_number_in_base_8_is_not_warned_of(value: str) -> None:
    assert not is_octal(value)


@pytest.mark.parametrize(
    ("merges", "value", "problems"),
    [
        ("<<: *one\n  c: 9", {"a": 1, "b": 2, "c": 9}, []),
        ("<<: *one\n  a: 9", {"a": 9, "b": 2}, []),
        ("<<: [*one, *two]", {"a": 1, "b": 2, "c": 4}, []),
        ("<<: [*one, {d: 5}]", {"a": 1, "b": 2, "d": 5}, []),
        ("<<: *one\n  <<: *two", {"a": 1, "b": 3, "c": 4}, []),
        ("<<: {<<: *one, e: 6}", {"a": 1, "b": 2, "e": 6}, []),
        ("!!merge <<: *one", {"a": 1, "b": 2}, []),
        ("'<<': *one", {"<<": {"a": 1, "b": 2}}, []),
        # The own key loses, as the mapping that is merged comes after it.
        ("a: 9\n  <<: *one", {"a": 1, "b": 2}, ["warning GC014 8"]),
        ("<<: *one\n  a: 8\n  a: 9", {"b": 2, "a": 9}, ["warning GC010 9"]),
        ("<<: text", None, ["error GC014 7"]),
        ("<<: *both", None, ["error GC014 7"]),
        ("<<: [*one, 5]", None, ["error GC014 7"]),
    ],
)
def test_merges(merges: str, value: Plain, problems: list[str]) -> None:
    text = f"one: &one {{a: 1, b: 2}}\ntwo: &two {{b: 3, c: 4}}\nall: &both [*one]\ndata:\n  {merges}\n"
    assert read_field(text) == (value, problems)


def test_what_is_merged_stands_where_it_was_written() -> None:
    documents, _ = read(HEAD + "one: &one\n  a: 1\ndata:\n  <<: *one\n  b: 2\n")
    root = documents[0]
    data = root.find("data") if isinstance(root, Fields) else None
    assert data is not None
    assert isinstance(data.value, Fields)
    assert [(each.key, each.key_span.line) for each in data.value.entries] == [("a", 4), ("b", 7)]
    assert (data.value.span.line, data.value.span.end_line) == (6, 7)


def test_unknown_tags_are_warned_of() -> None:
    found, problems = read_field("data: !thing\n  a: !Ref 5\n")
    assert found == {"a": "5"}
    assert problems == ["warning GC015 3", "warning GC015 4"]


@pytest.mark.parametrize(
    "value", ["!!int a", "!!bool 1", "!!binary '?'", "*nothing", "&a [*a]", '"', "\t- a", "\x01"]
)
def test_what_kubectl_refuses_is_an_error(value: str) -> None:
    documents, problems = read(HEAD + f"data: {value}\n")
    assert not documents
    assert any(each.startswith("error") for each in problems)


GRAPH = "apiVersion: graphc/v1\nkind: InferenceGraph\n"


@pytest.mark.parametrize(
    "text",
    [
        GRAPH + "a: yes\na: 1\n",
        HEAD + "---\n" + GRAPH + "a: yes\na: 1\n",
        HEAD + "a: yes\na: 1\n---\n" + GRAPH,
        GRAPH + "a: yes\n---\n" + HEAD + "a: 1\na: 1\n",
        "a: yes\na: 1\n",
        HEAD + "kind: InferenceGraph\napiVersion: graphc/v1\na: yes\n",
        GRAPH + "kind: ConfigMap\napiVersion: v1\na: yes\n",
    ],
)
def test_a_file_with_anything_but_manifests_is_read_strictly(text: str) -> None:
    documents, problems = read(text)
    assert not documents
    assert {"error GC010", "error GC011"} & {each.rpartition(" ")[0] for each in problems}
    assert not any(each.startswith("warning") for each in problems)


def test_several_manifests_are_read_as_kubectl_reads_them() -> None:
    documents, problems = read(f"{HEAD}a: yes\n---\n# nothing\n---\n{HEAD}a: 0420\ndefaultMode: 0420\n")
    assert [to_plain(each) for each in documents] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "a": True},
        {"apiVersion": "v1", "kind": "ConfigMap", "a": 272, "defaultMode": 272},
    ]
    assert problems == ["warning GC012 9"]


def laugh(levels: int) -> str:
    lines = [f"l{level}: &l{level} {{<<: *l{level - 1}, n: [{'*l' + str(level - 1)},*l{level - 1}]}}"
             for level in range(1, levels)]  # fmt: skip
    return "l0: &l0 {a: 1}\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "make",
    [
        lambda: laugh(40),
        lambda: (
            "one: &one {" + ",".join(f"k{n}: 1" for n in range(1000)) + "}\ndata:\n" + "  <<: *one\n" * 1000
        ),
        lambda: (
            "data: "
            + "{<<: " * 90
            + "{"
            + ",".join(f"k{n}: 1" for n in range(MOST_ALIASED // 50))
            + "}"
            + "}" * 90
        ),
    ],
    ids=["doubled at each level", "merged again and again", "merged within each other"],
)
def test_merges_are_bounded(make: Callable[[], str]) -> None:
    text = HEAD + make()
    started = time.process_time()
    documents, problems = read(text)
    assert not documents
    assert any(each.startswith("error GC0") for each in problems)
    assert time.process_time() - started < 10


def test_mappings_may_be_merged_one_after_the_other() -> None:
    lines = "".join(f"m{n}: &m{n} {{<<: *m{n - 1}, k{n}: 1}}\n" for n in range(1, 200))
    documents, problems = read(f"{HEAD}m0: &m0 {{k0: 1}}\n{lines}")
    assert not problems
    plain = to_plain(documents[0])
    assert isinstance(plain, dict)
    assert plain["m199"] == {f"k{n}": 1 for n in range(200)}


@given(st.text("+-._:0123456789abefnoxyINFTZ ", max_size=30))
def test_any_plain_text_has_a_value(text: str) -> None:
    value = resolve_plain(text)
    assert isinstance(value, bool | int | float | str | None)
    assert value == text or not isinstance(value, str)
    assert key_text(value) is None or isinstance(key_text(value), str)


@given(st.integers(-(2**70), 2**70))
def test_integers_are_read_back(number: int) -> None:
    assert resolve_plain(str(number)) == (number if -(2**63) <= number < 2**64 else float(number))


@given(st.floats(allow_nan=False))
def test_floats_are_read_back(number: float) -> None:
    text = repr(number).replace("inf", ".inf")
    assert resolve_plain(text) == number


@given(
    st.recursive(
        st.text("abc", max_size=2), lambda inner: st.lists(inner) | st.dictionaries(st.text("kl"), inner)
    )
)
def test_any_json_is_read_alike(value: Plain) -> None:
    documents, problems = read(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": value}))
    assert not problems
    assert to_plain(documents[0]) == {"apiVersion": "v1", "kind": "ConfigMap", "data": value}


def test_tolerated_problems_are_warnings() -> None:
    sink = Sink()
    read_for_cluster(HEAD + "a: 1\na: 2\n", "m.yaml", sink, is_manifest)
    assert [(each.severity, each.rule.severity) for each in sink] == [(Severity.WARNING, Severity.ERROR)]
    assert not sink.has_errors
