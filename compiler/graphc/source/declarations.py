"""The `parameters` of a graph file: which names are declared, with which types and defaults."""

import re
from dataclasses import replace
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.reading import BAD_DECLARATION, PARAMETER_TYPE
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record
from graphc.source.located import Entry, Fields, Items, Located, Scalar
from graphc.source.scalars import Value

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""What a parameter can be called."""

TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
"""The types a parameter can declare; bool is no number here, though it is for Python."""

_FIELDS: Final = ("default", "env", "type", "description")


@record
class Declaration:
    """One declared parameter; a default of None is none."""

    name: str
    at: Span
    default: Value = None
    env: str | None = None
    type: str | None = None
    is_sound: bool = True

    def takes(self, value: Value) -> bool:
        """Say whether a value is of the declared type."""
        return self.type is None or type(value) in TYPES[self.type]


def read_declarations(entry: Entry | None, sink: Sink) -> dict[str, Declaration]:
    """Return the declared parameters by name, those that are not sound included."""
    if entry is None or is_null(entry.value):
        return {}
    if not isinstance(entry.value, Fields):
        _refuse(sink, f"`{entry.key}` is {kind(entry.value)}, not a mapping", entry.value.span)
        return {}
    return {each.key: _declaration(each, sink) for each in entry.value.entries}


def kind(value: Located) -> str:
    """Return what a value is, in words."""
    match value:
        case Fields():
            return "a mapping"
        case Items():
            return "a list"
        case Scalar(value=str()):
            return "a text"
        case Scalar(value=bool()):
            return "a boolean"
        case Scalar(value=None):
            return "empty"
        case Scalar():
            return "a number"


def is_null(value: Located) -> bool:
    """Say whether a value is null or left out."""
    return isinstance(value, Scalar) and value.value is None


def _refuse(sink: Sink, message: str, at: Span, hint: str | None = None) -> None:
    sink.report(Diagnostic(BAD_DECLARATION, message, at=at, help=hint))


def _declaration(entry: Entry, sink: Sink) -> Declaration:
    before = len(sink)
    if not NAME.fullmatch(entry.key):
        hint = "use letters, digits, `_` and `-`, and start with a letter"
        _refuse(sink, f"{quoted(entry.key)} cannot be a parameter's name", entry.key_span, hint)
    if isinstance(entry.value, Fields):
        read = _read_fields(entry, entry.value, sink)
    else:
        read = Declaration(entry.key, entry.key_span, default=_default(entry.value, sink))
    return replace(read, is_sound=len(sink) == before)


def _read_fields(entry: Entry, fields: Fields, sink: Sink) -> Declaration:
    for each in fields.entries:
        if each.key not in _FIELDS:
            hint = did_you_mean(each.key, _FIELDS) or "use " + ", ".join(f"`{name}`" for name in _FIELDS)
            _refuse(sink, f"{quoted(each.key)} is not a field of a parameter", each.key_span, hint)
    _text(fields, "description", sink)
    default = fields.find("default")
    declaration = Declaration(
        entry.key,
        entry.key_span,
        default=_default(default.value, sink) if default else None,
        env=_text(fields, "env", sink),
        type=_type(fields, sink),
    )
    if default and declaration.default is not None and not declaration.takes(declaration.default):
        _refuse_default(declaration, default.value.span, sink)
        return replace(declaration, default=None)
    return declaration


def _default(value: Located, sink: Sink) -> Value:
    if isinstance(value, Scalar):
        return value.value
    _refuse(sink, f"the default is {kind(value)}, not a single value", value.span)
    return None


def _text(fields: Fields, key: str, sink: Sink) -> str | None:
    found = fields.find(key)
    if found is None:
        return None
    if isinstance(found.value, Scalar) and isinstance(found.value.value, str) and found.value.value:
        return found.value.value
    _refuse(sink, f"`{key}` is {kind(found.value)}, not a text", found.value.span)
    return None


def _type(fields: Fields, sink: Sink) -> str | None:
    name = _text(fields, "type", sink)
    if name is None or name in TYPES:
        return name
    hint = did_you_mean(name, TYPES) or "use " + ", ".join(f"`{each}`" for each in TYPES)
    found = fields.find("type")
    _refuse(
        sink, f"{quoted(name)} is not a parameter's type", found.value.span if found else fields.span, hint
    )
    return None


def _refuse_default(declaration: Declaration, at: Span, sink: Sink) -> None:
    hint = "put it in quotes" if declaration.type == "string" else None
    message = f"the default of {quoted(declaration.name)} is not of type `{declaration.type}`"
    sink.report(Diagnostic(PARAMETER_TYPE, message, at=at, help=hint))
