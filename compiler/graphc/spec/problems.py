"""Turns pydantic's complaints into diagnostics at the guilty line."""

from collections.abc import Iterable, Sequence
from typing import Final, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import BAD_VALUE, MISSING_FIELD, NOT_A_CHOICE, UNKNOWN_FIELD, WRONG_KIND
from graphc.diagnostics.suggest import nearest
from graphc.source.located import Located, Path, locate

_KINDS: Final = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}
_PLAIN_KINDS: Final = {
    type(None): "empty",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


def report_problems(
    error: ValidationError, model: type[BaseModel], root: Located, path: Path, what: str, sink: Sink
) -> None:
    """Report every problem of a validation; `what` is the thing in words, such as "a model node"."""
    for details in error.errors(include_url=False):
        full = [*path, *(step for step in details["loc"])]
        sink.report(_translate(details, model, root, full, what))


def _translate(
    details: ErrorDetails, model: type[BaseModel], root: Located, path: Path, what: str
) -> Diagnostic:
    kind, loc = details["type"], details["loc"]
    field = str(path[-1]) if path else what
    context = cast("dict[str, object]", details.get("ctx", {}))
    if kind == "extra_forbidden":
        names = _field_names(model, loc[:-1])
        close = nearest(field, names)
        owner = what if len(loc) == 1 else f"`{loc[-2]}`"
        hint = f"did you mean `{close}`?" if close else f"it takes {_listed(names)}"
        return Diagnostic(
            UNKNOWN_FIELD, f"`{field}` is not a field of {owner}", locate(root, path, key=True), hint
        )
    if kind == "missing":
        owner = what if len(loc) == 1 else f"`{loc[-2]}`"
        hint = 'declare the types, as in `out: {label: "BYTES[batch]"}`' if field == "out" else None
        return Diagnostic(MISSING_FIELD, f"{owner} has no `{field}`", locate(root, path[:-1], key=True), hint)
    if kind in _KINDS:
        found = _PLAIN_KINDS.get(type(details["input"]), "something else")  # pyright: ignore[reportUnknownArgumentType]
        message = f"`{field}` is {found}, and takes {_KINDS[kind]}"
        return Diagnostic(WRONG_KIND, message, locate(root, path), _quote_hint(kind, details["input"]))
    if kind == "literal_error":
        return _translate_choice(details, field, root, path)
    if kind == "value_error":
        return Diagnostic(BAD_VALUE, str(context["error"]), locate(root, path))
    return Diagnostic(BAD_VALUE, f"`{field}`: {_limit(kind, context, details)}", locate(root, path))


def _translate_choice(details: ErrorDetails, field: str, root: Located, path: Path) -> Diagnostic:
    context = cast("dict[str, object]", details.get("ctx", {}))
    choices = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")]
    found = str(details["input"])
    close = nearest(found, choices)
    hint = f"did you mean `{close}`?" if close else f"it takes {_listed(choices)}"
    return Diagnostic(NOT_A_CHOICE, f"`{found}` is not a `{field}` known here", locate(root, path), hint)


def _limit(kind: str, context: dict[str, object], details: ErrorDetails) -> str:
    words = {
        "greater_than_equal": "it has to be at least {ge}",
        "greater_than": "it has to be more than {gt}",
        "less_than_equal": "it has to be at most {le}",
        "too_short": "it needs at least {min_length}",
        "string_pattern_mismatch": "`{input}` does not have the form that is needed",
    }
    template = words.get(kind)
    if template is None:
        return details["msg"][:1].lower() + details["msg"][1:]
    return template.format(**context, input=details["input"])


def _quote_hint(kind: str, found: object) -> str | None:
    if kind == "string_type" and isinstance(found, bool | int | float):
        return "quote it, if a text is meant"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _field_names(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the field names of the model at a place inside a model."""
    current: type[BaseModel] | None = model
    for step in loc:
        if current is None:
            return []
        owner: type[BaseModel] = current
        fields = {info.alias or name: info for name, info in owner.model_fields.items()}
        if step not in fields:
            continue
        current = _model_in(fields[step].annotation)
    return [info.alias or name for name, info in current.model_fields.items()] if current else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the one model that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model), None)
