"""Every file here is rejected, or warned of, exactly as its own comments say.

A comment at the end of the guilty line states the problem, and `; ` separates several:

    - rihgt  # error[GC201]: `mean` reads `rihgt`, which is not a node

What has no place, or whose line can hold no comment, stands on line 1: `# error[GC004] (line 7): ...`,
`# error[GC021] (no place): ...`, `# error[GC501] (model.json:3): ...`. A line `# run: --set limit=3` gives
options, which may name files of the case's folder. A case is a file, or a folder with a graph.yaml or graph.py
and what belongs to it.
"""

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.diagnostics.printable import printable
from graphc.diagnostics.rules import RULES

HERE: Final = Path(__file__).parent
CASES: Final = sorted([*HERE.glob("*.yaml"), *HERE.glob("*/graph.yaml"), *HERE.glob("*/graph.py")])
NO_FILE: Final = {"GC001", "GC307", "GC420", "GC508", "GC510", "GC520"}
"""Rules about a file that cannot be here: tests with files of their own break them."""

NO_PLACE: Final = "no place"
_START: Final = r"(?:error|warning)\[GC\d{3}\]"
_STATED: Final = re.compile(rf"\s*# (?={_START})")
_NEXT: Final = re.compile(rf"; # (?={_START})")
_PROBLEM: Final = re.compile(
    r"(?P<severity>error|warning)\[(?P<code>GC\d{3})\](?: \((?P<place>[^)]+)\))?: (?P<message>.*)"
)
_RUN: Final = re.compile(r"^# run: (.*)$", re.MULTILINE)


class Reported(TypedDict):
    """One object of `graphc check --output-format json`."""

    code: str
    severity: str
    message: str
    file: str | None
    line: int | None


@dataclass(frozen=True, order=True)
class Problem:
    """A diagnostic as reject files state it; the place is `line 9`, `model.json:3` or `no place`."""

    place: str
    code: str
    severity: str
    message: str

    @property
    def line(self) -> int | None:
        return int(self.place.removeprefix("line ")) if self.place.startswith("line ") else None

    def moved(self, lines: int) -> "Problem":
        return self if self.line is None else replace(self, place=f"line {self.line + lines}")

    def stated(self, *, with_place: bool) -> str:
        place = f" ({self.place})" if with_place else ""
        return f"# {self.severity}[{self.code}]{place}: {self.message}"


def read(case: Path) -> str:
    """A case's text; it may hold bytes that are not UTF-8."""
    return case.read_bytes().decode("utf-8", "surrogateescape")


def write(case: Path, text: str) -> None:
    case.write_bytes(text.encode("utf-8", "surrogateescape"))


def parse(text: str) -> list[Problem]:
    """The problems that a case's comments state."""
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if start := _STATED.search(line):
            for statement in _NEXT.split(line[start.end() :]):
                found = _PROBLEM.fullmatch(statement)
                assert found, f"line {number} states a problem that cannot be read: {statement}"
                place = found["place"] or f"line {number}"
                problems.append(Problem(place, found["code"], found["severity"], found["message"]))
    return sorted(problems)


def strip(text: str) -> str:
    """The text without the comments that state problems."""
    lines = text.split("\n")
    kept = (line for line in lines if not (start := _STATED.search(line)) or start.start() > 0)
    return "\n".join(line[: start.start()] if (start := _STATED.search(line)) else line for line in kept)


def check(case: Path) -> list[Problem]:
    """The problems that `graphc check` reports."""
    words = shlex.split(found[1]) if (found := _RUN.search(read(case))) else []
    beside = case.parent if case.stem == "graph" else None
    options = [str(beside / word) if beside and (beside / word).is_file() else word for word in words]
    result = CliRunner().invoke(main, ["check", "--output-format", "json", *options, str(case)])
    assert result.exit_code in (0, 1), (result.stdout, result.stderr, result.exception)
    reported: list[Reported] = json.loads(result.stdout)
    has_errors = any(each["severity"] == "error" for each in reported)
    assert result.exit_code == int(has_errors)
    return sorted(to_problem(each, case) for each in reported)


def to_problem(each: Reported, case: Path) -> Problem:
    file, line = each["file"], each["line"]
    if file is None:
        place = NO_PLACE
    elif Path(file) == case:
        place = f"line {line}"
    else:
        place = f"{Path(file).relative_to(case.parent).as_posix()}:{line}"
    return Problem(place, each["code"], each["severity"], printable(each["message"]))


def compose(base: str, problems: list[Problem], *, at_lines: bool) -> str:
    """The text with comments that state the problems, at their lines or all of them on line 1."""
    inline = [each for each in problems if at_lines and each.line is not None]
    lines = base.split("\n")
    for number in {each.line for each in inline if each.line is not None}:
        statements = (each.stated(with_place=False) for each in inline if each.line == number)
        lines[number - 1] += "  " + "; ".join(statements)
    if header := [each.moved(1).stated(with_place=True) for each in problems if each not in inline]:
        lines.insert(0, "; ".join(header))
    return "\n".join(lines)


def update_case(case: Path) -> None:
    """Rewrite a case's comments so that they state what `graphc check` reports."""
    base = strip(read(case))
    if not any(settle(case, base, at_lines=at_lines) for at_lines in (True, False)):
        pytest.fail(f"no comments state what `graphc check` reports for {case.name}")


def settle(case: Path, base: str, *, at_lines: bool) -> bool:
    """Write comments that state what is reported then; False if there are none of that kind."""
    write(case, base)
    problems = check(case)
    codes = sorted(each.code for each in problems)
    # A comment on line 1 moves the others, and messages name lines: until nothing changes any more.
    for _ in range(3):
        text = compose(base, problems, at_lines=at_lines)
        write(case, text)
        now = check(case)
        if now == parse(text):
            # Inside a text that goes on, a comment would be part of it and change what is wrong.
            return sorted(each.code for each in now) == codes
        added = text.count("\n") - base.count("\n")
        problems = [each.moved(-added) for each in now]
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.relative_to(HERE).as_posix())
def test_reject(case: Path, update: bool) -> None:
    if update:
        update_case(case)
    stated = parse(read(case))
    assert stated, "a reject file states at least one problem"
    assert check(case) == stated


def test_every_rule_has_a_case() -> None:
    stated = {problem.code for case in CASES for problem in parse(read(case))}
    assert stated | NO_FILE == set(RULES)


def test_unreadable_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--output-format", "json", str(tmp_path / "missing.yaml")])
    assert result.exit_code == 1
    assert [each["code"] for each in json.loads(result.stdout)] == ["GC001"]


GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {x: "FP32[batch, 4]"}
nodes:
  near: %s
outputs: {y: near.y}
"""
LARGE: Final = (GRAPH % '{model: own.pkl, in: x, out: {predict: "FP32[batch]"}}').replace("near.y", "near")


def test_module_that_does_not_parse(tmp_path: Path) -> None:
    case = tmp_path / "graph.yaml"
    (tmp_path / "post.py").write_text("def score(x)\n    return x\n")
    case.write_text(GRAPH % '{python: "post:score", in: {x: x}, out: {y: "FP32[batch]"}}')
    message = "`near`: `post.py` does not parse: expected ':' at line 1"
    assert check(case) == [Problem("line 6", "GC508", "error", message)]


def test_builder_that_does_not_parse(tmp_path: Path) -> None:
    case = tmp_path / "graph.py"
    case.write_text('from graphc.builder import Graph\n\ngraph = Graph("score"\n')
    message = "the file fails: SyntaxError: '(' was never closed"
    assert check(case) == [Problem("line 3", "GC030", "error", message)]


@pytest.mark.parametrize("store", ["", "artifacts: s3://bucket/models\n"])
def test_model_too_large_for_a_config_map(store: str, tmp_path: Path) -> None:
    case = tmp_path / "graph.yaml"
    # A pickle's value ends it: what follows is never read.
    (tmp_path / "own.pkl").write_bytes(b"(isix\nScore\n." + bytes(1_100_000))
    case.write_text(LARGE + store)
    message = "`near`: `own.pkl` has 1,100,013 bytes, and a config map holds 1,048,576"
    assert check(case) == ([] if store else [Problem("line 6", "GC510", "error", message)])


def test_model_too_large_for_a_client_side_apply(tmp_path: Path) -> None:
    case = tmp_path / "graph.yaml"
    (tmp_path / "own.pkl").write_bytes(b"(isix\nScore\n." + bytes(300_000))
    case.write_text(LARGE)
    (problem,) = check(case)
    assert (problem.code, problem.severity) == ("GC307", "warning")
    assert "`kubectl apply` keeps a copy in an annotation of 261,120" in problem.message


TWICE: Final = "a: 1  # error[GC011]: an old message\nb: 2\na: 3\n"
LONG_KEYS: Final = "? 'a\n  b'\n: 1\n? 'a\n  b'\n: 2\n"
"""A comment inside a key would make it another key."""


def test_update_writes_at_the_guilty_line(tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    write(case, TWICE)
    update_case(case)
    assert read(case) == "a: 1\nb: 2\na: 3  # error[GC010]: `a` is already a key of this mapping\n"


def test_update_writes_on_line_1_where_no_comment_fits(tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    write(case, LONG_KEYS)
    update_case(case)
    assert read(case) == "# error[GC010] (line 5): `a b` is already a key of this mapping\n" + LONG_KEYS


@pytest.mark.parametrize("text", [TWICE, LONG_KEYS])
def test_update_is_stable(text: str, tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    write(case, text)
    update_case(case)
    first = read(case)
    update_case(case)
    assert read(case) == first


@pytest.mark.parametrize(
    "wrong",
    ["a: 1\na: 3\n", "a: 1  # error[GC010]: `a` is already a key of this mapping\na: 3\n", TWICE],
)
def test_what_is_not_stated_exactly_is_a_failure(wrong: str, tmp_path: Path) -> None:
    case = tmp_path / "case.yaml"
    write(case, wrong)
    assert check(case) != parse(wrong)


def test_several_problems_on_a_line() -> None:
    text = "x\ny  # error[GC010]: one; # warning[GC024]: two; more"
    assert parse(text) == [
        Problem("line 2", "GC010", "error", "one"),
        Problem("line 2", "GC024", "warning", "two; more"),
    ]
    assert compose(strip(text), parse(text), at_lines=True) == text
