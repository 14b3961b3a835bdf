"""Building documents from a YAML parser's events, with bounds and without recursion."""

from dataclasses import dataclass, field
from typing import Final

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from graphc.diagnostics import Diagnostic, Rule, Sink, Span
from graphc.diagnostics.codes import reading as rules
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record
from graphc.source.located import Entry, Fields, Items, Located, Scalar
from graphc.source.scalars import OutOfRange, Value, is_boolean_word, misreading, resolve

MOST_VALUES: Final = 1_000_000
"""Values and keys of one file; a graph of 50,000 nodes has 800,000."""
MOST_ALIASED: Final = 200_000
"""Values and keys that aliases stand for: few lines of them can ask for a lot of work."""
MOST_PROBLEMS: Final = 10_000
"""Reading ends at this number of problems: such a file was not written by hand."""
MOST_NESTING: Final = 100
"""Levels; far below Python's recursion limit, which the later stages may come near."""

_CORE: Final = "tag:yaml.org,2002:"
SCALAR_TAGS: Final[dict[str, tuple[type, ...]]] = {
    "!!str": (str,),
    "!!int": (int,),
    "!!float": (int, float),
    "!!bool": (bool,),
    "!!null": (type(None),),
}


@record
class _Anchored:
    """A value that an alias can stand for, and what each use of it costs."""

    value: Located
    values: int
    height: int


@record
class Key:
    """A key that waits for its value; `text` is None where it was refused, or merges a mapping instead."""

    text: str | None
    span: Span
    merges: bool = False


@dataclass(slots=True)
class Open:
    """A collection whose end is still to come."""

    start: Span
    anchor: str | None
    is_mapping: bool
    values_before: int
    height: int = 1
    items: list[Located] = field(default_factory=list[Located])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    key: Key | None = None
    merged: set[str] | None = None
    """Keys of entries that came from another mapping."""

    @property
    def awaits_key(self) -> bool:
        """Say whether the next value is a key."""
        return self.is_mapping and self.key is None

    def close(self, end: Span) -> Located:
        """Return the finished collection."""
        span = self._span(end)
        return (
            Fields(tuple(self.entries.values()), span) if self.is_mapping else Items(tuple(self.items), span)
        )

    def _span(self, end: Span) -> Span:
        # A block has no closing mark: PyYAML ends it at the next one's start, we at its last value's end.
        is_block = (end.line, end.column) == (end.end_line, end.end_column)
        if is_block and self.items:
            end = self.items[-1].span
        elif is_block and self.entries:
            end = next(reversed(self.entries.values())).value.span
        elif is_block:
            end = self.start
        last = max((self.start.end_line, self.start.end_column), (end.end_line, end.end_column))
        return Span(self.start.file, self.start.line, self.start.column, *last)


class Builder:
    """Takes the events of a file; `stopped` says that a bound was passed and no more are wanted."""

    def __init__(self, file: str, sink: Sink) -> None:
        self.documents: list[Located] = []
        self.stopped = False
        self._file = file
        self._sink = sink
        self._stack: list[Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._values = 0
        self._aliased = 0
        self._known: dict[str, Value] = {}
        """Plain scalars in which nothing is to be reported, with their values: most stand there many times."""

    def take(self, event: Event) -> None:
        """Take the next event."""
        # Most events are scalars, and a large graph has a hundred thousand.
        if isinstance(event, ScalarEvent):
            self._take_scalar(event, self._span(event))
        elif isinstance(event, CollectionStartEvent):
            self._take_start(event, self._span(event))
        elif isinstance(event, CollectionEndEvent):
            self._take_end(self._span(event))
        elif isinstance(event, AliasEvent):
            self._take_alias(event.anchor or "", self._span(event))
        elif isinstance(event, DocumentStartEvent):
            self._anchors.clear()

    def _span(self, event: Event) -> Span:
        start, end = event.start_mark, event.end_mark
        if start is None or end is None:
            raise ValueError("the parser gives each event its place")
        return Span(self._file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _report(
        self, rule: Rule, message: str, at: Span, hint: str | None = None, *, tolerated: bool = False
    ) -> None:
        self._sink.report(Diagnostic(rule, message, at=at, help=hint, tolerated=tolerated))
        self.stopped = self.stopped or len(self._sink) >= MOST_PROBLEMS

    def _count(self, at: Span) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            self._stop(f"the file holds more than {MOST_VALUES:,} values", at)

    def _count_aliased(self, values: int, at: Span) -> None:
        self._aliased += values
        if self._aliased > MOST_ALIASED:
            self._stop(f"aliases stand for more than {MOST_ALIASED:,} values", at)

    def _stop(self, message: str, at: Span) -> None:
        self._report(rules.TOO_LARGE, message, at, "keep data in files of its own")
        self.stopped = True

    def _fits(self, height: int, at: Span) -> bool:
        if len(self._stack) + height <= MOST_NESTING:
            return True
        self._report(rules.TOO_DEEP, f"values nest here more than {MOST_NESTING} levels deep", at)
        self.stopped = True
        return False

    def _take_scalar(self, event: ScalarEvent, span: Span) -> None:
        self._count(span)
        if self._stack and self._stack[-1].awaits_key:
            self._stack[-1].key = self._key(event, span)
            self._remember(event.anchor, Scalar(event.value, span))
            return
        value = Scalar(self._scalar(event, span), span)
        self._remember(event.anchor, value)
        self._add(value)

    def _remember(self, anchor: str | None, value: Located, values: int = 1, height: int = 0) -> None:
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, values, height)

    def _take_alias(self, name: str, span: Span) -> None:
        if name not in self._anchors:
            hint = did_you_mean(name, self._anchors) or "quote the text if the `*` is part of it"
            self._report(rules.UNKNOWN_ALIAS, f"no value above has the anchor {quoted(name)}", span, hint)
            found = None
        elif (found := self._anchors[name]) is None:
            self._report(rules.RECURSIVE_ALIAS, f"{quoted(name)} stands inside the value that it names", span)
        if found is None:
            self._add(Scalar(None, span))
            return
        self._count_aliased(found.values, span)
        if self._fits(found.height, span):
            self._add(found.value, found.height, at=span)

    def _take_start(self, event: CollectionStartEvent, span: Span) -> None:
        self._count(span)
        if not self._fits(1, span):
            return
        is_mapping = isinstance(event, MappingStartEvent)
        if event.tag not in (None, "!", _CORE + ("map" if is_mapping else "seq")):
            self._refuse_tag(event.tag or "", span)
        self._stack.append(Open(span, event.anchor, is_mapping, self._values + self._aliased))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _take_end(self, end: Span) -> None:
        done = self._stack.pop()
        value = done.close(end)
        values = self._values + self._aliased - done.values_before + 1
        self._remember(done.anchor, value, values, done.height)
        self._add(value, done.height)

    def _add(self, value: Located, height: int = 0, *, at: Span | None = None) -> None:
        if not self._stack:
            if not _is_nothing(value):
                self.documents.append(value)
            return
        parent = self._stack[-1]
        merges = parent.key is not None and parent.key.merges
        parent.height = max(parent.height, height if merges else height + 1)
        if not parent.is_mapping:
            parent.items.append(value)
        elif parent.key is None:
            parent.key = self._key_of(value, at or value.span)
        else:
            self._add_entry(parent, parent.key, value)
            parent.key = None

    def _add_entry(self, parent: Open, key: Key, value: Located) -> None:
        if key.text is None:
            return
        if (first := parent.entries.get(key.text)) is not None:
            hint = f"remove one of the two; the first is on line {first.key_span.line}"
            self._report(
                rules.DUPLICATE_KEY, f"{quoted(key.text)} is already a key of this mapping", key.span, hint
            )
            return
        parent.entries[key.text] = Entry(key.text, key.span, value)

    def _key_of(self, value: Located, at: Span) -> Key:
        if isinstance(value, Scalar) and isinstance(value.value, str):
            return Key(value.value, at)
        self._report(rules.KEY_NOT_TEXT, f"{_kind(value)} is a key here", at, "write the key as text")
        return Key(None, at)

    def _key(self, event: ScalarEvent, span: Span) -> Key:
        return Key(self._key_text(event, span), span)

    def _key_text(self, event: ScalarEvent, span: Span) -> str | None:
        value = self._scalar(event, span, is_key=True)
        if event.implicit[0] and event.value == "<<":
            hint = "write the keys out, or let an alias stand for a whole value"
            self._report(rules.MERGE_KEY, "`<<` merges mappings for some readers only", span, hint)
            return None
        if value is None or isinstance(value, bool):
            name = quoted(event.value) if event.value else "nothing"
            hint = f"write `'{event.value}'` if the word itself is meant" if event.value else "write the key"
            self._report(rules.KEY_NOT_TEXT, f"{name} is a key here, and is not text", span, hint)
            return None
        return event.value

    def _scalar(self, event: ScalarEvent, span: Span, *, is_key: bool = False) -> Value:
        text = event.value
        if event.tag is None and event.implicit[0] and text in self._known:
            return self._known[text]
        if event.tag is not None and event.tag != "!":
            return self._tagged(event, event.tag, span)
        if event.tag == "!" or not event.implicit[0]:
            return event.value
        return self._plain(text, span, is_key=is_key)

    def _plain(self, text: str, span: Span, *, is_key: bool) -> Value:
        is_sound = self._check_word(text, span)
        try:
            value = resolve(text)
        except OutOfRange:
            if not is_key:
                hint = "put it in quotes if it is text"
                self._report(
                    rules.NUMBER_OUT_OF_RANGE, f"{quoted(text)} does not fit into 64 bits", span, hint
                )
            return text
        if is_sound:
            self._known[text] = value
        return value

    def _check_word(self, text: str, span: Span) -> bool:
        """Report a plain scalar that readers take differently; returns whether there was nothing to report."""
        if is_boolean_word(text):
            meant = "true" if text.lower() in ("yes", "on") else "false"
            message = f"{quoted(text)} is a boolean to some YAML readers and text to others"
            self._report(
                rules.AMBIGUOUS_BOOLEAN, message, span, f"write `{meant}`, or `'{text}'` for the word"
            )
        elif taken := misreading(text):
            message = f"{quoted(text)} is {taken} to some YAML readers and not to others"
            self._report(rules.AMBIGUOUS_SCALAR, message, span, "put it in quotes if it is text")
        else:
            return True
        return False

    def _tagged(self, event: ScalarEvent, tag: str, span: Span) -> Value:
        short = short_tag(tag)
        if short == "!!str":
            return event.value
        value = self._resolve(event.value)
        types = SCALAR_TAGS.get(short)
        if types is None:
            self._refuse_tag(tag, span)
        elif type(value) not in types:
            self._report(
                rules.UNKNOWN_TAG, f"{quoted(event.value)} is no {quoted(short)}", span, "remove the tag"
            )
        elif short == "!!float" and isinstance(value, int):
            return float(value)
        return value

    def _resolve(self, text: str) -> Value:
        try:
            return resolve(text)
        except OutOfRange:
            return text

    def _refuse_tag(self, tag: str, span: Span) -> None:
        message = f"{quoted(short_tag(tag))} is not a tag that graphc knows"
        self._report(
            rules.UNKNOWN_TAG, message, span, "remove the tag, or quote the text if the `!` is part of it"
        )


def short_tag(tag: str) -> str:
    """Return a tag as people write it."""
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _kind(value: Located) -> str:
    match value:
        case Fields():
            return "a mapping"
        case Items():
            return "a list"
        case Scalar():
            return quoted(str(value.value).lower())


def _is_nothing(value: Located) -> bool:
    # What stands between two `---`, or after the last one.
    start, end = (value.span.line, value.span.column), (value.span.end_line, value.span.end_column)
    return isinstance(value, Scalar) and value.value is None and start == end
