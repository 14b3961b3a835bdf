"""Replacing `${name}` in a document's values."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Rule, Sink, Span
from graphc.diagnostics.codes import reading as rules
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record
from graphc.source.declarations import NAME
from graphc.source.located import Entry, Fields, Items, Located, Scalar
from graphc.source.scalars import Value

LONGEST: Final = 8 * 1024 * 1024
"""Characters that may be written for `${name}` in one document: few references can ask for a lot of text."""

_PART: Final = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}|\$\{")
_ONLY: Final = re.compile(r"\$\{(?P<name>[^{}]*)\}")


@record
class Binding:
    """A parameter's value, and the text that stands for it inside a longer one."""

    value: Value
    text: str


class Substitution:
    """Replaces `${name}` by the values, and remembers which names were `used`."""

    def __init__(self, declared: Collection[str], bindings: Mapping[str, Binding], sink: Sink) -> None:
        self.used: set[str] = set()
        self._declared = declared
        self._bindings = bindings
        self._sink = sink
        self._left = LONGEST

    def apply(self, value: Located) -> Located:
        """Return the value with every `${name}` in it replaced."""
        match value:
            case Scalar(value=str(text)) if "${" in text:
                return Scalar(self._replace(text, value.span), value.span)
            case Scalar():
                return value
            case Items():
                return Items(tuple(map(self.apply, value.items)), value.span)
            case Fields():
                return self.apply_to_fields(value)

    def apply_to_fields(self, fields: Fields) -> Fields:
        """Return the mapping with every `${name}` in its values replaced; keys stay."""
        entries = (Entry(each.key, each.key_span, self.apply(each.value)) for each in fields.entries)
        return Fields(tuple(entries), fields.span)

    def _replace(self, text: str, at: Span) -> Value:
        if only := _ONLY.fullmatch(text):
            bound = self._bound(only["name"], at, text)
            return self._write(bound.value, at) if isinstance(bound.value, str) else bound.value
        parts: list[str] = []
        end = 0
        for part in _PART.finditer(text):
            parts += (text[end : part.start()], self._part(part, at))
            end = part.end()
            if self._left < 0:
                break
        return "".join((*parts, text[end:]))

    def _part(self, part: re.Match[str], at: Span) -> str:
        if part[0] == "$${":
            return "${"
        if part["name"] is None:
            self._report(rules.BAD_SUBSTITUTION, "a `${` is never closed", at, "write `$${` for a plain `${`")
            return part[0]
        return self._write(self._bound(part["name"], at, part[0]).text, at)

    def _write(self, text: str, at: Span) -> str:
        before, self._left = self._left, self._left - len(text)
        if self._left >= 0:
            return text
        if before >= 0:
            message = f"parameters write more than {LONGEST // 1024**2} MiB of text here"
            self._report(rules.TOO_LARGE, message, at, "keep data in files of its own")
        return ""

    def _bound(self, name: str, at: Span, reference: str) -> Binding:
        if not NAME.fullmatch(name):
            hint = "write `${name}`, or `$${` for a plain `${`"
            self._report(rules.BAD_SUBSTITUTION, f"{quoted(reference)} does not name a parameter", at, hint)
        elif name in self._declared:
            self.used.add(name)
            return self._bindings.get(name, Binding(reference, reference))
        else:
            hint = did_you_mean(name, self._declared) or f"declare `{name}` under `parameters`"
            self._report(rules.UNKNOWN_PARAMETER, f"{quoted(name)} is not a declared parameter", at, hint)
        return Binding(reference, reference)

    def _report(self, rule: Rule, message: str, at: Span, hint: str) -> None:
        self._sink.report(Diagnostic(rule, message, at=at, help=hint))
