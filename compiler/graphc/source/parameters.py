"""The parameters of a graph file: their declarations, and `${name}` replaced by their values."""

from collections.abc import Iterable, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes import reading as rules
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record
from graphc.source.declarations import Declaration, is_null, read_declarations
from graphc.source.located import Fields, Located
from graphc.source.scalars import OutOfRange, Value, resolve
from graphc.source.substitution import Binding, Substitution

KEY: Final = "parameters"


class SettingError(ValueError):
    """A setting on the command line that is not `name=value`; the message is for the user."""


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """Return the settings of `--set name=value` by name; SettingError for what is none, or set twice."""
    parsed: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise SettingError(f"{quoted(setting)} is not `name=value`")
        if name in parsed:
            raise SettingError(f"{quoted(name)} is set twice")
        parsed[name] = value
    return parsed


def declared_names(document: Located) -> frozenset[str]:
    """Return the names of the parameters that a document declares."""
    declared = document.find(KEY) if isinstance(document, Fields) else None
    if declared is None or not isinstance(declared.value, Fields):
        return frozenset()
    return frozenset(entry.key for entry in declared.value.entries)


def substitute(
    document: Fields, settings: Mapping[str, str], environ: Mapping[str, str], sink: Sink
) -> Fields:
    """Return the document without its `parameters`, each `${name}` replaced by its value.

    A value comes from the settings, else from the environment variable that the declaration names, else from
    the default. A text that is only `${name}` takes the value with its type; `$${` stands for `${`.
    """
    entry = document.find(KEY)
    declared = read_declarations(entry, sink)
    if entry is not None and not isinstance(entry.value, Fields) and not is_null(entry.value):
        return document  # that no name is declared comes of this
    _check_settings(settings, declared, sink)
    given = {name: _given(each, settings, environ) for name, each in declared.items()}
    bindings = {name: bound for name, each in declared.items() if (bound := _bind(each, given[name], sink))}
    rest = tuple(entry for entry in document.entries if entry.key != KEY)
    substitution = Substitution(declared, bindings, sink)
    result = substitution.apply_to_fields(Fields(rest, document.span))
    for name, each in declared.items():
        is_unset = given[name] is None and each.default is None
        if each.is_sound:
            _check_use(each, sink, is_used=name in substitution.used, is_unset=is_unset)
    return result


@record
class _Given:
    """A value from outside the file, as text; `phrase` names it in a message."""

    text: str
    phrase: str


def _check_settings(settings: Mapping[str, str], declared: Mapping[str, Declaration], sink: Sink) -> None:
    for name in settings:
        if name not in declared:
            names = ", ".join(f"`{each}`" for each in declared)
            listed = f"the graph declares {names}" if declared else "the graph declares no parameters"
            hint = did_you_mean(name, declared)
            message = f"{quoted(name)} is set and is not a declared parameter"
            sink.report(
                Diagnostic(rules.UNKNOWN_SETTING, message, help=f"{hint} {listed}" if hint else listed)
            )


def _given(each: Declaration, settings: Mapping[str, str], environ: Mapping[str, str]) -> _Given | None:
    if (text := settings.get(each.name)) is not None:
        return _Given(text, f"the value {quoted(text)} set for {quoted(each.name)}")
    if each.env is not None and (text := environ.get(each.env)) is not None:
        # An environment variable may hold a secret: the message does not repeat it.
        return _Given(text, f"the environment variable {quoted(each.env)}")
    return None


def _bind(each: Declaration, given: _Given | None, sink: Sink) -> Binding | None:
    if given is None:
        return None if each.default is None else Binding(each.default, _as_text(each.default))
    value = given.text if each.type == "string" else _resolve(given.text)
    if each.takes(value):
        # Inside a longer text what was given stays as it is: `1.10` is no number there.
        return Binding(value, given.text)
    message = f"{given.phrase} is not of type `{each.type}`"
    hint = "write `true` or `false`" if each.type == "boolean" else None
    sink.report(Diagnostic(rules.PARAMETER_TYPE, message, at=each.at, help=hint))
    return None


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _resolve(text: str) -> Value:
    try:
        return resolve(text)
    except OutOfRange:
        return text


def _check_use(each: Declaration, sink: Sink, *, is_used: bool, is_unset: bool) -> None:
    name = quoted(each.name)
    if not is_used:
        hint = f"use `${{{each.name}}}`, or remove the declaration"
        sink.report(
            Diagnostic(rules.PARAMETER_UNUSED, f"{name} is declared and used nowhere", at=each.at, help=hint)
        )
    elif is_unset:
        hint = f"give it a default, or pass `--set {each.name}=...`"
        if each.env is not None:
            hint += f" or the environment variable `{each.env}`"
        sink.report(Diagnostic(rules.PARAMETER_UNSET, f"{name} has no value", at=each.at, help=hint))
