"""The rules' table, suggestions, and words fit for a message."""

import re
import subprocess
import sys

import pytest
from graphc.diagnostics.diagnostic import Severity, error
from graphc.diagnostics.printable import printable, quoted
from graphc.diagnostics.rules import RULES, gather
from graphc.diagnostics.suggest import did_you_mean, nearest
from hypothesis import given
from hypothesis import strategies as st


def test_rules_are_well_formed() -> None:
    for code, rule in RULES.items():
        assert code == rule.code
        assert re.fullmatch(r"GC\d{3}", code)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert re.fullmatch(r"[A-Z`].*\.", rule.summary)


def test_names_are_unique() -> None:
    names = [rule.name for rule in RULES.values()]
    assert sorted(set(names)) == sorted(names)


def test_rules_are_in_order() -> None:
    assert list(RULES) == sorted(RULES)


def test_a_code_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two and one are GC999"):
        gather(iter([error("GC999", "one", "One."), error("GC999", "two", "Two.")]))


def test_only_reading_warns_of_unused_parameters() -> None:
    assert RULES["GC024"].severity is Severity.WARNING
    assert all(rule.severity is Severity.ERROR for code, rule in RULES.items() if code < "GC024")


@pytest.mark.parametrize(
    ("word", "candidates", "found"),
    [
        ("rihgt", ["left", "right"], "right"),
        ("Right", ["left", "right"], "right"),
        ("LR", ["rf", "lr"], "lr"),
        ("xyz", ["left", "right"], None),
        ("x", ["y", "z"], None),
        ("lr", ["rf", "nb"], None),
        ("right", ["right"], None),
        ("predict_prob", ["predict", "predict_proba"], "predict_proba"),
        ("", ["a"], None),
        ("a", [], None),
        ("a" * 10_000, ["a" * 9_999], None),
    ],
)
def test_nearest(word: str, candidates: list[str], found: str | None) -> None:
    assert nearest(word, candidates) == found
    assert nearest(word, reversed(candidates)) == found
    assert did_you_mean(word, candidates) == (f"did you mean `{found}`?" if found else None)


@given(st.text(), st.lists(st.text()))
def test_nearest_is_a_candidate(word: str, candidates: list[str]) -> None:
    found = nearest(word, candidates)
    assert found is None or (found in candidates and found != word)


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", shown)
    assert printable(shown) == shown


def test_quoted() -> None:
    assert quoted("a\nb") == "`a\\x0ab`"
    assert quoted("s3://bob:" + "x" * 99 + "@host/a") == "`s3://...@host/a`"
    assert quoted("x" * 61) == "`" + "x" * 59 + "…`"


def test_the_layer_loads_nothing_heavy() -> None:
    ours = "graphc.diagnostics.render, graphc.source.parameters, graphc.source.yaml_reader"
    code = f"import sys, {ours}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "onnx", "rich", "pydantic", "networkx", "click"} & set(done.stdout.split())
