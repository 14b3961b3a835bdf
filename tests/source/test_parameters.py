"""Parameters: declarations, where values come from, and `${name}`."""

from collections.abc import Mapping
from typing import Final

import pytest
from graphc.diagnostics import Diagnostic, Sink
from graphc.source.located import Entry, Fields, Plain, Scalar, to_plain
from graphc.source.parameters import SettingError, parse_settings, substitute
from graphc.source.scalars import Value
from graphc.source.yaml_reader import read_documents
from hypothesis import given
from hypothesis import strategies as st


def fields_of(text: str) -> Fields:
    sink = Sink()
    (document,) = read_documents(text, "graph.yaml", sink)
    assert not list(sink)
    assert isinstance(document, Fields)
    return document


def run(
    text: str, settings: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Plain, list[Diagnostic]]:
    sink = Sink()
    return to_plain(substitute(fields_of(text), settings or {}, environ or {}, sink)), list(sink)


def value(
    declaration: str, settings: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Plain:
    result, problems = run(f"parameters: {{x: {declaration}}}\nuse: ${{x}}\n", settings, environ)
    assert not problems
    assert isinstance(result, dict)
    assert list(result) == ["use"]
    return result["use"]


@pytest.mark.parametrize("default", [3, 2.5, True, False, "text", ""])
def test_a_default_keeps_its_type(default: Value) -> None:
    declaration = repr(default).lower() if isinstance(default, bool) else repr(default)
    assert value(declaration) == default
    assert type(value(f"{{default: {declaration}}}")) is type(default)


@pytest.mark.parametrize(
    ("declared", "given_text", "expected"),
    [
        ("string", "010", "010"),
        ("string", "", ""),
        ("string", "null", "null"),
        ("integer", "-3", -3),
        ("integer", "0x10", 16),
        ("number", "3", 3),
        ("number", "1e3", 1000.0),
        ("number", ".inf", float("inf")),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
    ],
)
def test_a_setting_has_the_declared_type(declared: str, given_text: str, expected: Value) -> None:
    for source in ({"settings": {"x": given_text}}, {"environ": {"X": given_text}}):
        found = value(f"{{type: {declared}, env: X}}", **source)
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("declared", "given_text"),
    [("integer", "1.5"), ("integer", "true"), ("integer", ""), ("integer", "9" * 40), ("number", "true")]
    + [("number", "x"), ("number", "1e999"), ("boolean", "yes"), ("boolean", "1")],
)
def test_a_setting_of_another_type(declared: str, given_text: str) -> None:
    text = f"parameters: {{x: {{type: {declared}, env: X}}}}\nuse: ${{x}}\n"
    for source in ({"settings": {"x": given_text}}, {"environ": {"X": given_text}}):
        result, (problem,) = run(text, **source)
        assert result == {"use": "${x}"}
        assert problem.rule.code == "GC022"
        assert problem.at
        assert (problem.at.line, problem.at.column) == (1, 14)


def test_the_message_does_not_repeat_the_environment() -> None:
    _, (problem,) = run("parameters: {x: {type: integer, env: X}}\nuse: ${x}\n", environ={"X": "secret"})
    assert problem.message == "the environment variable `X` is not of type `integer`"
    assert "secret" not in (problem.help or "")


@pytest.mark.parametrize(
    ("text", "expected"), [("3", 3), ("yes", "yes"), ("a b", "a b"), ("null", None), ("", None)]
)
def test_an_undeclared_type_is_that_of_a_plain_scalar(text: str, expected: Value) -> None:
    assert value("1", {"x": text}) == expected


def test_precedence() -> None:
    declaration = "{default: 1, env: X}"
    assert value(declaration) == 1
    assert value(declaration, environ={"X": "2", "x": "4"}) == 2
    assert value(declaration, {"x": "3"}, {"X": "2"}) == 3
    assert value("1", environ={"x": "2", "X": "2"}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a${x}b${x}", "a3b3"),
        ("$${x}", "${x}"),
        ("$$${x}", "$${x}"),
        ("${x}$${x}${x}", "3${x}3"),
        ("$x {x} $", "$x {x} $"),
        ("${x}}", "3}"),
    ],
)
def test_inside_a_longer_text(text: str, expected: str) -> None:
    result, problems = run(f"parameters: {{x: 3, y: 4}}\nuse: ['{text}', '${{x}}', '${{y}}']\n")
    assert result == {"use": [expected, 3, 4]}
    assert not problems


def test_text_forms() -> None:
    text = "parameters: {b: true, f: 1.50, s: x, n: 1}\nuse: '${b} ${f} ${s} ${n}'\n"
    assert run(text)[0] == {"use": "true 1.5 x 1"}
    assert run(text, {"b": "TRUE", "f": "1.50", "s": "", "n": "0x1"})[0] == {"use": "TRUE 1.50  0x1"}


def test_keys_and_other_values_stay_and_places_are_kept() -> None:
    document = fields_of(
        "parameters: {x: 3}\n${x}: 1\nnodes: {a: ['${x}', 'b${x}', 2], parameters: {c: 1}}\n"
    )
    result = substitute(document, {}, {}, Sink())
    assert to_plain(result) == {"${x}": 1, "nodes": {"a": [3, "b3", 2], "parameters": {"c": 1}}}
    before, after = document.entries[2].value, result.entries[1].value
    assert isinstance(before, Fields)
    assert isinstance(after, Fields)
    assert after.span == before.span
    assert after.entries[0].value.span == before.entries[0].value.span


def test_values_are_not_substituted_again() -> None:
    assert value("'${y}'") == "${y}"


@pytest.mark.parametrize("text", ["a: 1\n", "a: 1\nparameters:\n", "a: 1\nparameters: {}\n"])
def test_without_parameters(text: str) -> None:
    assert run(text) == ({"a": 1}, [])


PLAIN: Final = "write `$${` for a plain `${`"
NO_NAME: Final = "write `${name}`, or `$${` for a plain `${`"
UNSET: Final = "give it a default, or pass `--set x=...`"
UNSET_X: Final = f"{UNSET} or the environment variable `X`"
NEAR: Final = "did you mean `ab`?"
NEAR_ENV: Final = "did you mean `env`?"
DECLARED: Final = "did you mean `limit`? the graph declares `limit`, `a`"
NO_TYPE: Final = "use `string`, `number`, `integer`, `boolean`"


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        ("use: ${x}\n", "GC020", "`x` is not a declared parameter", "declare `x` under `parameters`"),
        ("parameters: {ab: 1}\nuse: '${ab} ${abc}'\n", "GC020", "`abc` is not a declared parameter", NEAR),
        ("parameters: {x: }\nuse: ${x}\n", "GC023", "`x` has no value", UNSET),
        ("parameters: {x: {default: ~}}\nuse: ${x}\n", "GC023", "`x` has no value", UNSET),
        ("parameters: {x: {env: X}}\nuse: ${x}\n", "GC023", "`x` has no value", UNSET_X),
        ("parameters: {x: 1}\n", "GC024", "`x` is declared and used nowhere", "use `${x}`, or remove the declaration"),
        ("parameters: {x: {type: flaot}}\nuse: ${x}\n", "GC025", "`flaot` is not a parameter's type", NO_TYPE),
        ("parameters: {x: {evn: X}}\nuse: ${x}\n", "GC025", "`evn` is not a field of a parameter", NEAR_ENV),
        ("use: a${\n", "GC026", "a `${` is never closed", PLAIN),
        ("use: '${a${b'\n", "GC026", "a `${` is never closed", PLAIN),
        ("use: '${ x }'\n", "GC026", "`${ x }` does not name a parameter", NO_NAME),
    ],
)  # fmt: skip
def test_fault(text: str, code: str, message: str, hint: str) -> None:
    _, (problem,) = run(text)
    assert (problem.rule.code, problem.message, problem.help) == (code, message, hint)
    assert problem.at


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("use: 1\n", "x", "the graph declares no parameters"),
        ("parameters: {limit: 1, a: 2}\nuse: '${limit}${a}'\n", "limt", DECLARED),
        ("parameters: {limit: 1}\nuse: '${limit}'\n", "x", "the graph declares `limit`"),
    ],
)
def test_a_setting_that_is_not_declared(text: str, name: str, hint: str) -> None:
    _, (problem,) = run(text, {name: "1"})
    assert problem.rule.code == "GC021"
    assert problem.message == f"`{name}` is set and is not a declared parameter"
    assert (problem.at, problem.help) == (None, hint)


def test_an_unsound_declaration_is_the_only_complaint() -> None:
    _, problems = run(
        "parameters: {x: {type: integer, default: a}, y: [1], z: {type: what}}\nuse: '${x}${y}'\n"
    )
    assert [each.rule.code for each in problems] == ["GC022", "GC025", "GC025"]


def test_text_without_end() -> None:
    reference = "${x}" * 1000
    text = f"parameters: {{x: '{'a' * 100_000}'}}\nuse: ['{reference}', '{reference}', '${{x}}']\n"
    result, (problem,) = run(text)
    assert problem.rule.code == "GC006"
    assert len(str(result)) < 9_000_000


def test_settings() -> None:
    assert parse_settings(["a=1", "b=c=d", "e="]) == {"a": "1", "b": "c=d", "e": ""}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["a"], "`a` is not `name=value`"),
        (["=1"], "`=1` is not `name=value`"),
        (["a=1", "a=2"], "`a` is set twice"),
    ],
)
def test_bad_settings(settings: list[str], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_settings(settings)
    assert str(caught.value) == message


@given(st.text("${}ax \n"), st.text("${}ax"))
def test_substitution_never_raises_and_escapes_hold(text: str, default: str) -> None:
    span = fields_of("a: 1\n").span
    entries = {
        "parameters": Fields((Entry("a", span, Scalar(default, span)),), span),
        "use": Scalar(text, span),
    }
    document = Fields(tuple(Entry(key, span, each) for key, each in entries.items()), span)
    result = to_plain(substitute(document, {}, {}, Sink()))
    assert isinstance(result, dict)
    if "${" not in text:
        assert result["use"] == text
    escaped = Fields((Entry("use", span, Scalar(text.replace("$", "").replace("{", "$${"), span)),), span)
    assert to_plain(substitute(escaped, {}, {}, Sink())) == {"use": text.replace("$", "").replace("{", "${")}
