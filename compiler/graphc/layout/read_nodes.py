"""Reads a YAML text as it is written, comments included; the text is one that graphc can read."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)
from yaml.tokens import BlockEntryToken, ScalarToken, Token

from graphc.layout.nodes import Collection, Comment, Document, Node, Place, Text, Written

_CORE: Final = "tag:yaml.org,2002:"
_HEADER: Final = re.compile(r"[|>][-+0-9]*[ \t]+(?=#)")
_COMMENT: Final = re.compile(r"#[^\n]*")
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_nodes(text: str) -> Text:
    """Return what a text holds; its lines end with line feeds alone."""
    tokens = list(_scan(text))
    reader = _Reader(text, tokens)
    for event in _parse(text):
        reader.take(event)
    lines = text.split("\n")
    return Text(lines, reader.documents, list(_find_comments(text, tokens)))


def list_meaning(text: str) -> list[tuple[object, ...]]:
    """Return what a text says, without its layout: two texts with equal lists are one to each reader."""
    found: list[tuple[object, ...]] = []
    for event in _parse(text):
        said: tuple[object, ...] = (type(event).__name__,)
        if isinstance(event, ScalarEvent):
            is_plain = event.implicit[0] and event.tag is None
            value = "null" if is_plain and not event.value else event.value
            said += (event.anchor, event.tag, is_plain, value)
        elif isinstance(event, CollectionStartEvent):
            said += (event.anchor, event.tag)
        elif isinstance(event, AliasEvent):
            said += (event.anchor,)
        elif isinstance(event, DocumentStartEvent):
            said += (event.version,)
        found.append(said)
    return found


def _parse(text: str) -> Iterator[Event]:
    yield from yaml.parse(text, Loader=_LOADER)


def _scan(text: str) -> Iterator[Token]:
    yield from yaml.scan(text, Loader=_LOADER)


def _place(of: Event | Token) -> Place:
    mark = of.start_mark
    assert mark is not None, "the parser gives each event its place"
    return Place(mark.index, mark.line, mark.column)


def _end(of: Event | Token) -> int:
    mark = of.end_mark
    assert mark is not None, "the parser gives each event its place"
    return mark.index


def _find_comments(text: str, tokens: Sequence[Token]) -> Iterator[Comment]:
    """Yield the comments: they stand between the tokens, and behind the signs that begin a text of several lines."""
    begins = [0, *(found.end() for found in re.finditer("\n", text))]

    def between(start: int, end: int) -> Iterator[Comment]:
        for found in _COMMENT.finditer(text, start, end):
            line = bisect_right(begins, found.start()) - 1
            at = Place(found.start(), line, found.start() - begins[line])
            yield Comment(found[0].rstrip(), at, not text[begins[line] : at.index].strip())

    last = 0
    for token in tokens:
        start = _place(token).index
        yield from between(last, start)
        last = max(last, _end(token))
        if isinstance(token, ScalarToken) and (header := _HEADER.match(text, start)):
            yield from between(header.end(), _line_end(text, start))
    yield from between(last, len(text))


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


class _Reader:
    """Makes nodes of the parser's events."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.documents: list[Document] = []
        self._text = text
        self._scalars = {_end(each): _place(each).index for each in tokens if isinstance(each, ScalarToken)}
        self._dashes = [_place(each) for each in tokens if isinstance(each, BlockEntryToken)]
        self._dash_indices = [each.index for each in self._dashes]
        self._open: list[Collection] = []
        self._begin, self._is_marked = 0, False
        self._version = ""

    def take(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, DocumentStartEvent):
            self._begin, self._is_marked = _place(event).index, bool(event.explicit)
            self._version = ".".join(map(str, event.version)) if event.version else ""
        elif isinstance(event, ScalarEvent):
            self._add(self._scalar(event))
        elif isinstance(event, AliasEvent):
            self._add(Written(_place(event), _end(event), "", f"*{event.anchor}", "alias"))
        elif isinstance(event, CollectionStartEvent):
            at, is_mapping = _place(event), isinstance(event, MappingStartEvent)
            made = Collection(at, _properties(event), is_mapping, bool(event.flow_style))
            self._mark(at)
            self._open.append(made)
        elif isinstance(event, CollectionEndEvent):
            made = self._open.pop()
            made.end = _end(event)
            made.end_line = event.end_mark.line if event.end_mark else 0
            self._add(made, marked=True)

    def _add(self, node: Node, *, marked: bool = False) -> None:
        if not self._open:
            self.documents.append(Document(node, self._begin, self._is_marked, self._version))
            return
        if not marked:
            self._mark(node.at)
        self._open[-1].items.append(node)

    def _mark(self, at: Place) -> None:
        """Note where a list's next entry begins: at its dash."""
        if self._open and not self._open[-1].is_mapping:
            parent = self._open[-1]
            dash = self._dashes[bisect_left(self._dash_indices, at.index) - 1] if not parent.is_flow else at
            parent.marks.append(dash)

    def _scalar(self, event: ScalarEvent) -> Written:
        at, end = _place(event), _end(event)
        start = self._scalars.get(end)
        if start is None or start < at.index:
            return Written(at, end, _properties(event), "", "plain")
        text = self._text[start:end]
        style = "block" if event.style in ("|", ">") else "quoted" if event.style else "plain"
        return Written(at, end, _properties(event), text, style, event.value)


def _properties(event: ScalarEvent | CollectionStartEvent) -> str:
    anchor = f"&{event.anchor}" if event.anchor else ""
    tag = event.tag or ""
    if tag.startswith(_CORE):
        tag = "!!" + tag.removeprefix(_CORE)
    return " ".join(each for each in (anchor, tag) if each)
