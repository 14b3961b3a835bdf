"""Reading YAML 1.2 (and so JSON) into values that know their place, for input that may be hostile."""

import re
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import yaml
from yaml.error import MarkedYAMLError
from yaml.events import Event

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes import reading as rules
from graphc.diagnostics.printable import escape
from graphc.source.json_stream import split_objects
from graphc.source.located import Located
from graphc.source.yaml_builder import Builder
from graphc.source.yaml_syntax import syntax_diagnostic

# U+0085, U+2028 and U+2029 break a line for YAML 1.1 and do not for YAML 1.2: places would disagree.
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]")
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
# libyaml compares each %TAG directive with all before it: many take quadratic time.
_TAG_DIRECTIVE: Final = re.compile(r"^%TAG\b", re.MULTILINE)


def read_documents(text: str, file: str, sink: Sink) -> list[Located]:
    """Return the documents of a file's text; none where the text has a fault.

    Half a document would only give rise to more complaints, about what is missing from it.
    """
    faults = Sink()
    return _finish(_read(text, file, faults, Builder), faults, sink)


def read_manifests(text: str, file: str, sink: Sink) -> list[Located]:
    """Return the documents of a text as kubectl reads them; none where the text has a fault."""
    faults = Sink()
    return _finish(_read_as_kubectl(text, file, faults), faults, sink)


def read_for_cluster(
    text: str, file: str, sink: Sink, is_manifest: Callable[[Located], bool]
) -> list[Located]:
    """Return the documents of a text, read as kubectl reads them where each is a manifest; else as graphs are.

    What kubectl takes and hardly means is warned of.
    """
    strict = Sink()
    documents = _read(text, file, strict, Builder)
    if all(map(is_manifest, documents)):
        found = Sink()
        manifests = _read_as_kubectl(text, file, found)
        if manifests and all(map(is_manifest, manifests)):
            return _finish(manifests, found, sink)
    return _finish(documents, strict, sink)


def _read_as_kubectl(text: str, file: str, sink: Sink) -> list[Located]:
    # Most graphs' checks need no second builder.
    from graphc.source.kubectl_builder import KubectlBuilder

    return _read(text, file, sink, KubectlBuilder)


def _finish(documents: list[Located], faults: Sink, sink: Sink) -> list[Located]:
    for fault in faults:
        sink.report(fault)
    return [] if faults.has_errors else documents


def _read(text: str, file: str, sink: Sink, build: Callable[[str, Sink], Builder]) -> list[Located]:
    text = text.removeprefix("\ufeff")
    if unreadable := _unreadable(text, file):
        sink.report(unreadable)
        return []
    builder = build(file, sink)
    for part in split_objects(text):
        try:
            for event in _events(part):
                builder.take(event)
                if builder.stopped:
                    return builder.documents
        except MarkedYAMLError as error:
            sink.report(syntax_diagnostic(error, part, file))
            return builder.documents
    if not builder.documents:
        sink.report(Diagnostic(rules.EMPTY_FILE, "the file holds no document", at=Span(file, 1, 1, 1, 1)))
    return builder.documents


class _Parser(Protocol):
    def get_event(self) -> Event | None: ...
    def dispose(self) -> None: ...


def _parser(text: str) -> _Parser:
    # libyaml where PyYAML was built with it: thirty times as fast, with the same events and marks.
    return yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)


def _events(text: str) -> Iterator[Event]:
    parser = _parser(text)
    try:
        while event := parser.get_event():
            yield event
    finally:
        parser.dispose()


def _unreadable(text: str, file: str) -> Diagnostic | None:
    if found := _FORBIDDEN.search(text):
        character = found[0]
        message = f"the character U+{ord(character):04X} stands here"
        hint = f"remove it, or write `{escape(character)}` in double quotes"
        if "\ud800" <= character <= "\udfff":
            hint = "remove it"
        return Diagnostic(rules.CONTROL_CHARACTER, message, at=_place(text, found.start(), file), help=hint)
    if found := _TAG_DIRECTIVE.search(text):
        at = _place(text, found.start(), file, width=4)
        return Diagnostic(rules.UNKNOWN_TAG, "`%TAG` declares tags, and graphc knows none", at=at)
    return None


def _place(text: str, index: int, file: str, width: int = 1) -> Span:
    breaks = list(_LINE_BREAK.finditer(text, 0, index))
    line, column = len(breaks) + 1, index - (breaks[-1].end() if breaks else 0) + 1
    return Span(file, line, column, line, column + width)
