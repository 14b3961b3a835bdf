"""YAML is written alike with libyaml and without it."""

import pytest
import yaml
from graphc import documents
from graphc.documents import write_yaml
from graphc.ir.graph import Value
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = [
    "",
    "yes",
    "1.5",
    "null",
    "~",
    "- a",
    "a: b",
    "#c",
    "{",
    "a #b",
    "!x",
    "&x",
    "*x",
    "%",
    "@",
    "1e3",
    "=",
]
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150),
    st.text(st.sampled_from("ab:#-{ \n\t"), max_size=30),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
LEAVES = TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def never(_: object) -> bool:
    return False


def write_without_libyaml(data: dict[str, Value]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_is_written_alike", never)
        return write_yaml([data])


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="there is only one writer without libyaml")
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXTS, DATA, max_size=5))
def test_libyaml_writes_the_same(data: dict[str, Value]) -> None:
    assert write_yaml([data]) == write_without_libyaml(data)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="there is only one writer without libyaml")
@pytest.mark.parametrize("text", ["x" * 100_000, "line\n" * 20_000, "a b " * 30_000])
def test_long_texts_are_written_alike(text: str) -> None:
    assert documents._is_written_alike(text)  # pyright: ignore[reportPrivateUsage]
    assert write_yaml([{"text": text}]) == write_without_libyaml({"text": text})
