"""The one layout: nothing that a file says changes, no comment is lost, and a second time changes nothing."""

import random
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from generated_graphs import Generated, generated_graphs
from graphc.diagnostics import Sink
from graphc.layout.format_text import LayoutError, format_text
from graphc.layout.read_nodes import read_nodes
from graphc.layout.write_nodes import UnwritableError
from graphc.source.located import to_plain
from graphc.source.yaml_reader import read_documents
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = sorted((ROOT / "graphs").rglob("graph*.yaml"))
FILES: Final = sorted(
    path for folder in ("graphs", "tests", "k8s") for path in (ROOT / folder).rglob("*.y*ml")
)


def form(text: str) -> str:
    sink = Sink()
    formatted = format_text(text, "graph.yaml", sink)
    assert formatted is not None, [each.message for each in sink]
    return formatted


def read(text: str) -> list[object]:
    sink = Sink()
    documents = read_documents(text, "graph.yaml", sink)
    assert not sink.has_errors, text
    return [to_plain(each) for each in documents]


def comments_of(text: str) -> list[str]:
    return sorted(each.text for each in read_nodes(text).comments)


# --- The layout ----------------------------------------------------------------------------------------

UGLY: Final = """\


# head

apiVersion:   graphc/v1   # version
kind: 'InferenceGraph'
metadata: { name: ugly   }


inputs:

    x:   'FP32[batch, 3]'
    y: {type: "FP32[batch, 3]", # why
        description: "a long
          text"}
nodes:
    a:
        component: mean
        in: [x,
             y,   # second
             # third
             x]
        # end of a
    # end of nodes

    big: {component: label-map, in: [aaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccc, ddd]} # big
    c:
      branches:
      - {take: x,   until: 0.9}
      -   take: y
          until: 0.8
      # before the last
      - take: z

      # after the list
    d: &anchor
       k: |  # literal
           one
             two



    e: *anchor
    f: !!str 12
    g: >-
        folded
        text
    h:
    -   - 1
        - 2
    - []
    i:   # about i
       plain
    ? j
    : it's


# tail
"""
NEAT: Final = """\
# head

apiVersion: graphc/v1  # version
kind: "InferenceGraph"
metadata: {name: ugly}

inputs:
  x: "FP32[batch, 3]"
  y:
    type: "FP32[batch, 3]"  # why
    description: "a long
      text"
nodes:
  a:
    component: mean
    in:
      - x
      - y  # second
      # third
      - x
    # end of a
  # end of nodes

  big:  # big
    component: label-map
    in: [aaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccc, ddd]
  c:
    branches:
      - {take: x, until: 0.9}
      - take: y
        until: 0.8
      # before the last
      - take: z

    # after the list
  d: &anchor
    k: |  # literal
      one
        two

  e: *anchor
  f: !!str 12
  g: >-
    folded
    text
  h:
    - - 1
      - 2
    - []
  i:  # about i
    plain
  j: it's

# tail
"""


def test_the_layout() -> None:
    assert form(UGLY) == NEAT
    assert form(NEAT) == NEAT
    assert form(UGLY.replace("\n", "\r\n")) == NEAT


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("a: 1", "a: 1\n"),
        ("--- # first\na: 1\n---\nb:   2\n...\n# between\n---\nc: 3\n", None),
        ("%YAML 1.2\n---\na:   1\n", "%YAML 1.2\n---\na: 1\n"),
        ("{a: 1,   b: {}}", "{a: 1, b: {}}\n"),
        ("a: [ # c\n  ]\nb: 1\n", "a: []  # c\nb: 1\n"),
        ("a: [x: 1, {y}]\n", "a: [{x: 1}, {y: null}]\n"),
        ("a: 'it''s'\nb: 'a \"b\"'\nc: 'a\\b'\n", "a: \"it's\"\nb: 'a \"b\"'\nc: 'a\\b'\n"),
        ("a: |+\n    x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"),
        ("a: |2-\n     x\n    y\n", "a: |2-\n     x\n    y\n"),
        ("a: |\n    x", "a: |-\n  x\n"),
        ("a: &x\n    b: 1\nc: [*x, *x]\n", "a: &x\n  b: 1\nc: [*x, *x]\n"),
        ("- &x\n  a: 1\n- *x\n", "- &x\n  a: 1\n- *x\n"),
        ("a: &k v\n*k : 1\n", "a: &k v\n*k : 1\n"),
        ("a:\n# low\n  b: 1\n", "a:\n  # low\n  b: 1\n"),
        ("a:\n  - b\n\n\n# next\nc: 1\n", "a:\n  - b\n\n# next\nc: 1\n"),
        ("a:\n- b\n# next\nc: 1\n", "a:\n  - b\n# next\nc: 1\n"),
        ("a: # one\n  b # two\nc: 1\n", "a:  # one\n  b  # two\nc: 1\n"),
        ("-\n  # c\n  - 1\n", "-\n  # c\n  - 1\n"),
    ],
)
def test_a_case_of_the_layout(text: str, formatted: str | None) -> None:
    found = form(text)
    assert formatted is None or found == formatted
    assert form(found) == found
    assert comments_of(found) == comments_of(text)


@pytest.mark.parametrize(
    "text", ["a: >1\n   x\n  y\n", "a: [!!null , 1]\n", '? "a\n  b"\n: 1\n', f"? {'k' * 1100}\n: 1\n"]
)
def test_what_the_layout_has_no_form_for_is_told(text: str) -> None:
    read(text)
    with pytest.raises(UnwritableError):
        form(text)


def test_a_layout_that_says_something_else_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_other(_: object) -> str:
        return "a: 2\n"

    def write_less(_: object) -> str:
        return "a: 1\n"

    monkeypatch.setattr("graphc.layout.format_text.write_nodes", write_other)
    with pytest.raises(LayoutError):
        form("a: 1\n")
    monkeypatch.setattr("graphc.layout.format_text.write_nodes", write_less)
    assert form("a: 1\n") == "a: 1\n"
    with pytest.raises(LayoutError):
        form("a: 1  # kept\n")


# --- Files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_formatted(path: Path) -> None:
    text = path.read_text("utf-8")
    assert form(text) == text


def test_every_file_that_can_be_read_says_the_same_afterwards() -> None:
    formatted = 0
    for path in FILES:
        try:
            text = path.read_text("utf-8")
            found = format_text(text, str(path), Sink())
        except (UnicodeDecodeError, UnwritableError):
            continue
        if found is not None:
            formatted += 1
            assert repr(read(found)) == repr(read(text)), path
            assert form(found) == found, path
    assert formatted > 300


# --- Generated files -----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(generated_graphs(), st.integers(0, 2**32), st.sampled_from([None, True, False]), st.integers(1, 6))
def test_generated_graphs_read_equal_before_and_after(
    graph: Generated, seed: int, flow: bool | None, indent: int
) -> None:
    written = yaml.safe_dump(
        graph.document, sort_keys=False, default_flow_style=flow, indent=indent, width=10_000
    )
    text = strew(written, random.Random(seed))
    found = form(text)
    assert read(found) == [graph.document]
    assert comments_of(found) == comments_of(text)
    assert form(found) == found


def strew(text: str, drawn: random.Random) -> str:
    """Put comments and empty lines between lines, and comments behind them."""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines()):
        for _ in range(drawn.choice((0, 0, 1, 2))):
            lines.append(drawn.choice(("", f"{' ' * drawn.randrange(9)}#{number}'s {drawn.random()}", "   ")))
        lines.append(line + drawn.choice(("", "", f"   # {number} | : - [")))
    return "\n".join(lines) + drawn.choice(("", "\n", "\n\n# tail\n\n"))


WORDS: Final = (
    *("a", "b c", "it's", "x#y", "1", "0.5", "true", "", "- a", "# no", "a: b", "[", "*x", "é", '"q"', "\\"),
    *(
        "one\ntwo",
        "one\n\n  two\n",
        " lead\n",
        "tail\n\n",
        "\n",
        "\tx\ny\n",
        "long " * 30,
        "~",
        "k:",
        "\n\nz",
    ),
)


class Drawn:
    """Writes values in every style, with comments and empty lines where YAML has room for them."""

    def __init__(self, seed: int) -> None:
        self.drawn = random.Random(seed)

    def value(self, depth: int) -> Any:
        kind = self.drawn.choice(("scalar", "scalar", "map", "list") if depth else ("scalar",))
        if kind == "scalar":
            return self.drawn.choice((*WORDS, 3, 0.25, True, None))
        size = self.drawn.randrange(4)
        if kind == "list":
            return [self.value(depth - 1) for _ in range(size)]
        keys = self.drawn.sample(("a", "b", "c d", "it's", "e#f", "long-" * 9), size)
        return {key: self.value(depth - 1) for key in keys}

    def write(self) -> str:
        value = {"root": self.value(4), "next": self.value(3)}
        return "\n".join(self._noise(0) + self._block(value, 0)) + "\n"

    def _noise(self, indent: int) -> list[str]:
        return [
            self.drawn.choice(("", f"{' ' * self.drawn.randrange(indent + 5)}# {self.drawn.random()}"))
            for _ in range(self.drawn.choice((0, 0, 0, 1, 2)))
        ]

    def _tail(self) -> str:
        return self.drawn.choice(("", "", "", f" # {self.drawn.random()}"))

    def _block(self, value: dict[str, Any] | list[Any], indent: int) -> list[str]:
        lines: list[str] = []
        named = value.items() if isinstance(value, dict) else (("-", each) for each in value)
        for key, each in named:
            head = "-" if isinstance(value, list) else f"{self._flat(key)}:"
            lines += [*self._noise(indent), *self._entry(" " * indent + head, each, indent)]
        return lines

    def _entry(self, head: str, value: Any, indent: int) -> list[str]:
        if isinstance(value, dict | list) and value and self.drawn.random() < 0.6:
            is_level = isinstance(value, list) and head.endswith(":") and self.drawn.random() < 0.3
            inner = indent if is_level else indent + self.drawn.randrange(1, 5)
            return [head + self._tail(), *self._block(value, inner)]  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, str) and "\n" in value and value.strip() and self.drawn.random() < 0.7:
            return self._literal(head, value, indent)
        if isinstance(value, dict | list) and self.drawn.random() < 0.5:
            return [head, *self._tall(value, indent + 2)]  # pyright: ignore[reportUnknownArgumentType]
        return [f"{head}{' ' * self.drawn.randrange(1, 4)}{self._flat(value)}{self._tail()}"]

    def _literal(self, head: str, value: str, indent: int) -> list[str]:
        inner = self.drawn.randrange(1, 5)
        number = str(inner) if value.lstrip("\n")[0].isspace() else ""
        end = "-" if not value.endswith("\n") else "+" if value.endswith("\n\n") else ""
        lines = value.removesuffix("\n").split("\n")
        return [
            f"{head} |{number}{end}{self._tail()}",
            *(" " * (indent + inner) + line if line else "" for line in lines),
        ]

    def _tall(self, value: dict[str, Any] | list[Any], indent: int) -> list[str]:
        """Write a collection in brackets on several lines."""
        flat = (
            [f"{self._flat(key)}: {self._flat(each)}" for key, each in value.items()]
            if isinstance(value, dict)
            else [self._flat(each) for each in value]
        )
        parts = [" " * indent + each for each in flat]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        lines = [" " * indent + opening + self._tail()]
        for part in parts:
            lines += [*self._noise(indent), f"{part},{self._tail()}"]
        return [*lines, *self._noise(indent), " " * indent + closing + self._tail()]

    def _flat(self, value: Any) -> str:
        # Line breaks can be written in double quotes alone, on one line.
        style = '"' if "\\n" in repr(value) else self.drawn.choice((None, "'", '"'))
        only_text = isinstance(value, str) or style == '"'
        written = yaml.safe_dump(
            value, default_flow_style=True, width=10**9, default_style=style if only_text else None
        )
        return written.removesuffix("...\n").strip()


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_generated_yaml_says_the_same_and_keeps_its_comments(seed: int) -> None:
    text = Drawn(seed).write()
    found = form(text)
    assert yaml.safe_load(found) == yaml.safe_load(text), text
    assert comments_of(found) == comments_of(text)
    assert form(found) == found, text
