"""Rendering: the layout to the byte, and what machines read."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Final

import pytest
from graphc.diagnostics import Diagnostic, Span, render_text
from graphc.diagnostics.diagnostic import error, warning
from graphc.diagnostics.render import Format, render
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

UNKNOWN: Final = error("GC201", "unknown-input", "An input names a tensor that no node has.")
UNUSED: Final = warning("GC024", "parameter-unused", "A declared parameter is used nowhere.")
LINES: Final = [
    "nodes:",
    "  mean:",
    "      - rihgt",
    "\ttab: [one, two]",
    "  名前: '日本' x",
    "  esc: 'a\x1b[31mb\u202e'  # x",
    "k" * 200 + " bad " + "z" * 200,
    "",
    "last",
]
SOURCE: Final = "\n".join(LINES)


def at(
    line: int, column: int, end_column: int, *, end_line: int | None = None, file: str = "fraud.yaml"
) -> Span:
    return Span(file, line, column, end_line or line, end_column)


def text_of(*diagnostics: Diagnostic, source: str = SOURCE, color: bool = False) -> str:
    return render(diagnostics, "text", {"fraud.yaml": source}, color)


def excerpt(span: Span, source: str = SOURCE) -> list[str]:
    """The line that is shown and the one that marks the place."""
    return text_of(Diagnostic(UNKNOWN, "m", span), source=source).split("\n")[3:5]


def test_layout() -> None:
    found = [
        Diagnostic(
            UNKNOWN, "`mean` reads `rihgt`, which is not a node", at(3, 9, 14), "did you mean `right`?"
        ),
        Diagnostic(UNUSED, "`x` is declared and used nowhere", at(1, 1, 6)),
    ]
    assert text_of(*found) == (
        "error[GC201]: `mean` reads `rihgt`, which is not a node\n"
        " --> fraud.yaml:3:9\n"
        "  |\n"
        "3 |       - rihgt\n"
        "  |         ^^^^^\n"
        "  = help: did you mean `right`?\n"
        "\n"
        "warning[GC024]: `x` is declared and used nowhere\n"
        " --> fraud.yaml:1:1\n"
        "  |\n"
        "1 | nodes:\n"
        "  | ^^^^^\n"
        "\n"
        "1 error, 1 warning\n"
    )


def test_layout_with_a_wide_line_number() -> None:
    assert text_of(Diagnostic(UNKNOWN, "m", at(1234, 1, 2), "h"), source="\n" * 1233 + "x") == (
        "error[GC201]: m\n    --> fraud.yaml:1234:1\n     |\n1234 | x\n     | ^\n     = help: h\n\n1 error\n"
    )


def test_layout_without_a_place() -> None:
    assert text_of(Diagnostic(UNKNOWN, "m", help="h")) == "error[GC201]: m\n  = help: h\n\n1 error\n"


@pytest.mark.parametrize("span", [at(77, 1, 2), at(10, 1, 2, file="other.yaml")])
def test_layout_without_a_line_to_show(span: Span) -> None:
    place = f"{span.file}:{span.line}:{span.column}"
    assert text_of(Diagnostic(UNKNOWN, "m", span)).startswith(f"error[GC201]: m\n  --> {place}\n\n")


@pytest.mark.parametrize(
    ("counts", "summary"),
    [
        ((2, 0), "2 errors"),
        ((0, 1), "1 warning"),
        ((1, 2), "1 error, 2 warnings"),
        ((3, 3), "3 errors, 3 warnings"),
    ],
)
def test_summary(counts: tuple[int, int], summary: str) -> None:
    errors, warnings = counts
    found = [Diagnostic(UNKNOWN, "m")] * errors + [Diagnostic(UNUSED, "m")] * warnings
    assert text_of(*found).endswith(f"\n\n{summary}\n")


def test_nothing() -> None:
    assert text_of() == ""
    assert render([], "json", {}, False) == "[]\n"
    assert render([], "github", {}, False) == ""
    assert json.loads(render([], "sarif", {}, False))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("span", "shown", "mark"),
    [
        (at(4, 2, 5), "    tab: [one, two]", "    ^^^"),
        (at(4, 1, 2), "    tab: [one, two]", "^^^^"),
        (at(5, 3, 5), "  名前: '日本' x", "  ^^^^"),
        (at(5, 12, 13), "  名前: '日本' x", "               ^"),
        (at(6, 8, 17), "  esc: 'a\\x1b[31mb\\u202e'  # x", "       ^^^^^^^^^^^^^^^^^"),
        (at(9, 5, 5), "last", "    ^"),
        (at(9, 40, 50), "last", "    ^"),
        (at(3, 7, 3, end_line=5), "      - rihgt", "      ^^^^^^^"),
    ],
)
def test_the_mark_is_under_the_place(span: Span, shown: str, mark: str) -> None:
    assert excerpt(span) == [f"{span.line} | {shown}", f"  | {mark}"]


def test_an_empty_line() -> None:
    assert excerpt(at(8, 1, 1)) == ["8 |", "  | ^"]


@pytest.mark.parametrize("column", [1, 50, 95, 99, 100, 101, 150, 202, 350, 405])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    shown, mark = (line.partition("| ")[2] for line in excerpt(at(7, column, column + 1)))
    assert len(shown) <= 102
    assert len(mark) <= len(shown)
    assert shown[len(mark) - 1] == LINES[6][column - 1]
    assert shown.startswith("…") == (column > 100)
    assert shown.endswith("…") == (column < 330)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_split_as_the_reader_does(newline: str) -> None:
    source = newline.join(["a", "b\u2028c\x0cd", "e"])
    assert excerpt(at(3, 1, 2), source) == ["3 | e", "  | ^"]


@given(
    st.text(),
    st.integers(1, 4),
    st.integers(1, 200),
    st.integers(1, 200),
    st.text(),
    st.text(),
    st.booleans(),
)
def test_no_control_character_reaches_the_terminal(
    source: str, line: int, column: int, width: int, message: str, file: str, color: bool
) -> None:
    span = Span(file, line, column, line, column + width)
    text = render([Diagnostic(UNKNOWN, message, span, message)], "text", {file: source}, color)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[1;31m", "\x1b[1;34m"):
        text = text.replace(code, "")
    hidden = {each for each in text if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert hidden == {"\n"}


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("user", ["bob:hunter2", "hunter2", "bob:hun/ter2", "bob:hun@ter2"])
def test_no_format_shows_a_password(user: str, format: Format) -> None:  # noqa: A002
    uri = f"https://{user}@host/a@b"
    found = [Diagnostic(UNKNOWN, f"`{uri}` is none", at(1, 4, 8), f"name `{uri}`", tolerated=True)]
    said = render(found, format, {"fraud.yaml": f"a: {uri} b"}, False)
    assert "hun" not in said
    assert "ter2" not in said
    assert said.count("`https://...@") == 2
    assert '"level": "error"' not in said.partition("results")[2]


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("key", ["sig", "X-Amz-Signature", "token", "api_key", "password"])
def test_no_format_shows_a_secret_of_a_query(key: str, format: Format) -> None:  # noqa: A002
    uri = f"https://host/a.onnx?part=1&{key}=hunter2&b=3"
    found = [Diagnostic(UNKNOWN, f"`{uri}` is none", at(1, 4, 8), f"name `{uri}`")]
    said = render(found, format, {"fraud.yaml": f"a: {uri} b"}, False)
    assert "hunter2" not in said
    assert said.count(f"`https://host/a.onnx?part=1&{key}=...&b=3`") == 2


@pytest.mark.parametrize("uri", ["https://host:80/a@b", "https://host/a@b", "me@host", "https://host"])
def test_other_uris_are_shown(uri: str) -> None:
    said = text_of(Diagnostic(UNKNOWN, f"`{uri}` is none", at(1, 1, 5)), source=f"{uri} b")
    assert f"`{uri}` is none" in said
    assert f"| {uri} b" in said


def test_the_mark_is_under_the_place_behind_a_password() -> None:
    assert excerpt(at(1, 22, 23), "https://bob:s3@host b") == [
        "1 | https://******@host b",
        "  | " + " " * 21 + "^",
    ]
    assert excerpt(at(1, 22, 23), "https://host?sig=ab c") == [
        "1 | https://host?sig=** c",
        "  | " + " " * 21 + "^",
    ]


def test_a_long_line_is_searched_for_passwords_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    def conceal(line: str) -> str:
        searched.append(line)
        return line

    monkeypatch.setattr(render_text, "conceal_in_place", conceal)
    faults = [Diagnostic(UNKNOWN, "m", at(1, column, column + 1)) for column in range(1, 100)]
    assert "99 errors" in text_of(*faults, source="x" * 100)
    assert searched == ["x" * 100]


def test_colors_only_if_asked() -> None:
    found = Diagnostic(UNKNOWN, "m", at(3, 9, 14), "h")
    plain, colored = text_of(found), text_of(found, color=True)
    assert "\x1b" not in plain
    assert colored.startswith("\x1b[1;31merror[GC201]\x1b[0m\x1b[1m: m\x1b[0m\n")
    assert "\x1b[1;31m^^^^^\x1b[0m" in colored


def test_json() -> None:
    found = [Diagnostic(UNKNOWN, "é\x1b", at(3, 9, 14), "h"), Diagnostic(UNUSED, "m")]
    text = render(found, "json", {}, False)
    assert text.isascii()
    assert json.loads(text) == [
        {
            "code": "GC201",
            "name": "unknown-input",
            "severity": "error",
            "message": "é\x1b",
            "help": "h",
            "file": "fraud.yaml",
            "line": 3,
            "column": 9,
            "end_line": 3,
            "end_column": 14,
        },
        {"code": "GC024", "name": "parameter-unused", "severity": "warning", "message": "m", "help": None}
        | dict.fromkeys(["file", "line", "column", "end_line", "end_column"]),
    ]


def test_github() -> None:
    found = [
        Diagnostic(UNKNOWN, "100% bad", at(3, 9, 14, file="a,b:c%.yaml"), "two\nlines"),
        Diagnostic(UNUSED, "m\r::error::x"),
    ]
    assert render(found, "github", {}, False) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=3,col=9,title=GC201::100%25 bad%0Ahelp: two\\x0alines\n"
        "::warning title=GC024::m\\x0d::error::x\n"
    )


TEXT: Final = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
POSITIVE: Final = {"type": "integer", "minimum": 1}
LEVEL: Final = {"enum": ["none", "note", "warning", "error"]}
SARIF: Final = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "properties": {"shortDescription": TEXT},
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "items": {
                            "required": ["message", "ruleId", "level"],
                            "properties": {
                                "message": TEXT,
                                "level": LEVEL,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "locations": {
                                    "items": {
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "properties": {"uri": {"pattern": r"^[!-~]+$"}}
                                                    },
                                                    "region": {
                                                        "properties": dict.fromkeys(
                                                            [
                                                                "startLine",
                                                                "startColumn",
                                                                "endLine",
                                                                "endColumn",
                                                            ],
                                                            POSITIVE,
                                                        )
                                                    },
                                                },
                                            }
                                        }
                                    }
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}
"""What SARIF 2.1.0 requires of what graphc writes (sections 3.13 to 3.30 of the standard)."""


@pytest.mark.parametrize(
    "found",
    [
        [],
        [Diagnostic(UNKNOWN, "m", at(3, 9, 14), "h"), Diagnostic(UNUSED, "n"), Diagnostic(UNKNOWN, "o")],
        [
            Diagnostic(UNUSED, "m", at(1, 1, 1, file="/a b/é.yaml")),
            Diagnostic(UNUSED, "m", at(1, 1, 1, file="<stdin>")),
        ],
    ],
)
def test_sarif(found: Sequence[Diagnostic]) -> None:
    log = json.loads(render(found, "sarif", {}, False))
    validate(log, SARIF)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == sorted({each.rule.code for each in found})
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == [each.rule.code for each in found]
    assert ["locations" in each for each in run["results"]] == [each.at is not None for each in found]


def test_sarif_uris() -> None:
    found = [Diagnostic(UNKNOWN, "m", at(1, 1, 1, file=file)) for file in ("/a b/é.yaml", "a b/c.yaml")]
    results = json.loads(render(found, "sarif", {}, False))["runs"][0]["results"]
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results]
    assert uris == ["file:///a%20b/%C3%A9.yaml", "a%20b/c.yaml"]


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="xml"):
        render([], "xml", {}, False)


def test_formats() -> None:
    assert [each.value for each in Format] == ["text", "json", "github", "sarif"]
