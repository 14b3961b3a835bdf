"""Each rule has a page, and the examples on it do what the page says."""

import json
import re
import shlex
from codecs import escape_decode
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.diagnostics import pages
from graphc.diagnostics.diagnostic import Rule
from graphc.diagnostics.pages import find_rule, names_rule, nearest_rule, read_page
from graphc.diagnostics.rules import RULES

PAGES: Final = Path(pages.__file__).parent / "explain"
EXPLAINED: Final = [rule for rule in RULES.values() if (PAGES / f"{rule.code}.md").exists()]

ELSEWHERE: Final = {"GC520", "GC530"}
"""Rules whose breach takes a missing library or a link: tests of their own break them."""

_EXAMPLE: Final = re.compile(r"^```(\w+) (bad|good)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(
    r"^```\w+ file=(\S+)(?: padded=(\d+))?( escaped)?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Example:
    """A fenced example: YAML for standard input with options for `graphc check`, or a command line."""

    language: str
    kind: str
    options: tuple[str, ...]
    text: str

    def run(self) -> Result:
        if self.language == "console":
            _, *arguments = shlex.split(self.text.removeprefix("$ "))
            return CliRunner().invoke(main, [*arguments, "--output-format", "json"])
        options = [each for each in self.options if each != "escaped"]
        data = to_bytes(self.text, escaped="escaped" in self.options)
        return CliRunner().invoke(main, ["check", "--output-format", "json", *options, "-"], input=data)


def to_bytes(text: str, *, escaped: bool) -> bytes:
    """What stands on a page as bytes; with escapes, a backslash at the end of a line joins the next."""
    data = escape_decode(text.encode())[0] if escaped else text.encode()
    assert isinstance(data, bytes)
    return data


def write_files(rule: Rule, folder: Path) -> None:
    """Write the files of a page, filled up with blanks where the page says so."""
    for name, size, escaped, text in _FILE.findall(read_page(rule)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(to_bytes(text, escaped=bool(escaped)).ljust(int(size or 0)))


def examples(rule: Rule, kind: str) -> list[Example]:
    found = (Example(m[1], m[2], tuple(m[3].split()), m[4]) for m in _EXAMPLE.finditer(read_page(rule)))
    return [example for example in found if example.kind == kind]


def codes(result: Result) -> dict[str, str]:
    """The severity by code of what `graphc check` reported."""
    assert result.exit_code in (0, 1), (result.stdout, result.stderr, result.exception)
    return {each["code"]: each["severity"] for each in json.loads(result.stdout)}


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run the examples in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("rule", EXPLAINED, ids=lambda rule: rule.code)
def test_examples(rule: Rule, beside: Path) -> None:
    write_files(rule, beside)
    bad, good = examples(rule, "bad"), examples(rule, "good")
    assert bad or rule.code in ELSEWHERE, "the page has no bad example"
    assert good, "the page has no good example"
    for example in bad:
        assert codes(example.run()).get(rule.code) == rule.severity.value
    for example in good:
        found = codes(example.run())
        assert "error" not in found.values(), found
        assert rule.code not in found


@pytest.mark.parametrize("rule", EXPLAINED, ids=lambda rule: rule.code)
def test_page_opens_with_its_rule(rule: Rule) -> None:
    assert read_page(rule).startswith(f"# {rule.code}: {rule.name}\n")


def test_no_page_is_an_orphan() -> None:
    assert {page.stem for page in PAGES.iterdir()} <= set(RULES)


def test_every_rule_has_a_page() -> None:
    assert {rule.code for rule in EXPLAINED} == set(RULES)


@pytest.mark.parametrize("target", ["GC010", "gc010", "duplicate-key", "Duplicate-Key", "duplicate_key"])
def test_explain_prints_the_page(target: str) -> None:
    result = CliRunner().invoke(main, ["explain", target])
    assert result.exit_code == 0
    assert result.stdout == read_page(RULES["GC010"])


@pytest.mark.parametrize(("target", "hint"), [("GC0100", "GC010"), ("duplicat-key", "duplicate-key")])
def test_explain_suggests(target: str, hint: str) -> None:
    result = CliRunner().invoke(main, ["explain", target])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"did you mean `{hint}`?" in result.stderr


def test_explain_lists_every_rule() -> None:
    result = CliRunner().invoke(main, ["explain"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(RULES)


@pytest.mark.parametrize("target", ["graph.yaml", "./graph", "graphs/fraud.json", "-", ""])
def test_a_file_is_no_rule(target: str) -> None:
    assert not names_rule(target)


def test_rules_are_found_by_what_users_call_them() -> None:
    assert find_rule("gc010") is RULES["GC010"]
    assert find_rule("GC999") is None
    assert nearest_rule("GC999999999") is None
