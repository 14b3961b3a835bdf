"""Building documents as kubectl reads them, for manifests that other people wrote for it."""

import base64
import binascii

from yaml.events import ScalarEvent

from graphc.diagnostics import Span
from graphc.diagnostics.codes import reading as rules
from graphc.diagnostics.printable import quoted
from graphc.source.kubectl_scalars import as_json, is_octal, key_text, resolve_plain
from graphc.source.located import Entry, Fields, Items, Located, Scalar
from graphc.source.scalars import Value
from graphc.source.yaml_builder import SCALAR_TAGS, Builder, Key, Open, short_tag


class KubectlBuilder(Builder):
    """Takes what kubectl takes, and warns where that is hardly what was meant."""

    def _key(self, event: ScalarEvent, span: Span) -> Key:
        is_tagged = event.tag is not None and short_tag(event.tag) == "!!merge"
        if event.value == "<<" and (event.implicit[0] or is_tagged):
            return Key(None, span, merges=True)
        if event.tag is not None or not event.implicit[0]:
            return self._key_of(Scalar(self._scalar(event, span, is_key=True), span), span)
        return Key(self._named(event.value, resolve_plain(event.value), span), span)

    def _key_of(self, value: Located, at: Span) -> Key:
        if isinstance(value, Scalar):
            return Key(self._named(str(value.value), value.value, at), at)
        return super()._key_of(value, at)

    def _named(self, text: str, value: Value, span: Span) -> str | None:
        name = key_text(value)
        if name is None:
            shown = quoted(text) if text else "nothing"
            self._report(rules.KEY_NOT_TEXT, f"{shown} is a key here", span, "write the key as text")
        elif name != text and not isinstance(value, str):
            message = f"kubectl takes the key {quoted(text)} for {quoted(name)}"
            hint = f"write `'{text}'` if the text itself is meant"
            self._report(rules.KEY_NOT_TEXT, message, span, hint, tolerated=True)
        return name

    def _add_entry(self, parent: Open, key: Key, value: Located) -> None:
        if key.merges:
            self._merge(parent, key.span, value)
            return
        if key.text is None:
            return
        first = parent.entries.pop(key.text, None)
        if parent.merged and key.text in parent.merged:
            parent.merged.remove(key.text)
        elif first is not None:
            message = f"{quoted(key.text)} is already a key of this mapping, and kubectl takes the last"
            hint = f"remove one of the two; the first is on line {first.key_span.line}"
            self._report(rules.DUPLICATE_KEY, message, key.span, hint, tolerated=True)
        parent.entries[key.text] = Entry(key.text, key.span, value)

    def _merge(self, parent: Open, at: Span, value: Located) -> None:
        # An alias for a whole list of mappings does not do for kubectl, though the list itself does.
        mappings = value.items if isinstance(value, Items) and value.span > at else (value,)
        for each in reversed(mappings):
            if not isinstance(each, Fields):
                self._report(rules.MERGE_KEY, "`<<` merges mappings, and this is none", at)
                return
            # An alias has been counted; mappings merged within each other are few lines for much work too.
            if each.span > at:
                self._count_aliased(len(each.entries), at)
            if self.stopped:
                return
            self._merge_mapping(parent, at, each)

    def _merge_mapping(self, parent: Open, at: Span, mapping: Fields) -> None:
        parent.merged = set() if parent.merged is None else parent.merged
        for entry in mapping.entries:
            replaced = parent.entries.pop(entry.key, None)
            if replaced is not None and entry.key not in parent.merged:
                self._warn_of_replaced(replaced, at)
            parent.entries[entry.key] = entry
            parent.merged.add(entry.key)

    def _warn_of_replaced(self, entry: Entry, at: Span) -> None:
        line = entry.key_span.line
        message = f"`<<` replaces {quoted(entry.key)} of line {line} for kubectl, and for no other reader"
        self._report(rules.MERGE_KEY, message, at, "put `<<` before the mapping's own keys", tolerated=True)

    def _plain(self, text: str, span: Span, *, is_key: bool) -> Value:
        value = as_json(resolve_plain(text))
        if not is_octal(text):
            self._known[text] = value
        elif not (is_key or self._is_mode()):
            message = f"kubectl reads {quoted(text)} in base 8, as {value}"
            hint = "write it without the zero, or in quotes if it is text"
            self._report(rules.AMBIGUOUS_SCALAR, message, span, hint, tolerated=True)
        return value

    def _is_mode(self) -> bool:
        """Say whether the value here is the mode of a file, which is what base 8 is for."""
        key = self._stack[-1].key if self._stack else None
        return key is not None and key.text is not None and key.text.lower().endswith("mode")

    def _resolve(self, text: str) -> Value:
        return as_json(resolve_plain(text))

    def _tagged(self, event: ScalarEvent, tag: str, span: Span) -> Value:
        short = short_tag(tag)
        if short in SCALAR_TAGS:
            return as_json(super()._tagged(event, tag, span))
        if short == "!!binary":
            return self._binary(event.value, span)
        if short != "!!timestamp":
            self._refuse_tag(tag, span)
        return event.value

    def _binary(self, text: str, span: Span) -> str:
        try:
            return base64.b64decode(text.replace("\n", ""), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            self._report(rules.UNKNOWN_TAG, f"{quoted(text)} is no `!!binary`", span, "remove the tag")
            return text

    def _refuse_tag(self, tag: str, span: Span) -> None:
        message = f"kubectl passes over the tag {quoted(short_tag(tag))}"
        hint = "remove the tag, or quote the text if the `!` is part of it"
        self._report(rules.UNKNOWN_TAG, message, span, hint, tolerated=True)
