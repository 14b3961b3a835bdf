"""Turns pydantic's complaints into diagnostics at the guilty line."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import BAD_VALUE, MISSING_FIELD, NOT_A_CHOICE, UNKNOWN_FIELD, WRONG_KIND
from graphc.diagnostics.suggest import nearest
from graphc.source.located import Fields, Items, Located, Path, locate
from graphc.spec.declare import Spec
from graphc.spec.examine import model_of

_KINDS: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "a boolean",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}
_PLAIN_KINDS: Final[dict[type, str]] = {
    type(None): "empty",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


_UNQUOTED: Final = {
    "int_type": re.compile(r"-?\d+"),
    "float_type": re.compile(r"-?\d+(\.\d*)?"),
    "bool_type": re.compile(r"true|false"),
}
"""Texts that are of the kind wanted once their quotes are gone."""

_OTHER_WORDS: Final = {
    "args": "parameters",
    "count": "amount",
    "environment": "env",
    "fraction": "amount",
    "function": "python",
    "input": "in",
    "inputs": "in",
    "memory": "amount",
    "options": "parameters",
    "output": "out",
    "outputs": "out",
    "params": "parameters",
    "product": "model",
    "slice": "amount",
    "steps": "cascade",
}
"""What other formats call fields."""

_MISSING_HINTS: Final = {
    "amount": "say how much, as in `gpu: {amount: 1}`",
    "in": "say which tensors it reads, as in `in: {X: x}`",
    "out": 'declare the types, as in `out: {label: "BYTES[batch]"}`',
    "take": "say which tensor it answers with, as in `take: lr.probabilities`",
}


def report_problems(
    error: ValidationError, spec: type[Spec], root: Located, path: Path, what: str, sink: Sink
) -> None:
    """Report every problem of a validation; `what` is the thing in words, such as "a model node"."""
    problems, model = error.errors(include_url=False), model_of(spec)
    misspelt = {
        (*details["loc"][:-1], _meant(details["loc"], model))
        for details in problems
        if details["type"] == "extra_forbidden"
    }
    for details in problems:
        if details["type"] == "missing" and details["loc"] in misspelt:
            continue  # it is there under another name
        sink.report(_translate(details, model, root, _as_written(root, [*path, *details["loc"]]), what))


def _as_written(root: Located, path: Path) -> Path:
    """Leave out the fields of long forms that stand between a list and its items, where a file has the short one."""
    current: Located | None = root
    written: list[str | int] = []
    for step in path:
        if isinstance(current, Items) and not str(step).isdecimal():
            continue
        written.append(step)
        if isinstance(current, Items):
            current = current.items[int(step)] if int(step) < len(current.items) else None
        elif isinstance(current, Fields):
            entry = current.find(str(step))
            current = entry.value if entry else None
    return written


def _translate(
    details: ErrorDetails, model: type[BaseModel], root: Located, path: Path, what: str
) -> Diagnostic:
    kind, loc, found = details["type"], details["loc"], cast("object", details["input"])
    context = cast("dict[str, object]", details.get("ctx", {}))
    if kind == "extra_forbidden":
        return _translate_unknown(loc, model, root, path, what)
    if kind == "missing":
        field = str(path[-1])
        owner = _called(path[:-1]) or "the graph"
        reason = f", and {what} needs it" if len(loc) == 1 and len(path) > 1 else ""
        at = locate(root, path[:-1], key=True)
        return Diagnostic(MISSING_FIELD, f"{owner} has no `{field}`{reason}", at, _MISSING_HINTS.get(field))
    if kind in _KINDS:
        is_whole = isinstance(found, float) and "int" in kind
        shown = f"{found:g}" if is_whole else _PLAIN_KINDS.get(type(found), "something else")
        message = f"{_called(path)} is {shown}, not {_KINDS[kind]}"
        return Diagnostic(WRONG_KIND, message, locate(root, path), _kind_hint(kind, found))
    if kind == "literal_error":
        return _translate_choice(str(context["expected"]), str(found), root, path)
    if kind == "value_error":
        return Diagnostic(BAD_VALUE, str(context["error"]), locate(root, path))
    return Diagnostic(BAD_VALUE, f"{_called(path)} {_limit(kind, context, details)}", locate(root, path))


def _called(path: Path) -> str:
    """Return how a message calls the value at a path: by its key, or as an item of a list."""
    if path and (isinstance(path[-1], int) or path[-1].isdecimal()):
        return f"an item of `{path[-2]}`"
    named = [str(step) for step in path if step != ""]
    return f"`{named[-1]}`" if named else ""


def _translate_unknown(
    loc: Sequence[int | str], model: type[BaseModel], root: Located, path: Path, what: str
) -> Diagnostic:
    field, owner = str(path[-1]), what if len(loc) == 1 else _called(path[:-1])
    message = f"`{field}` is not a field of {owner}"
    if meant := _meant(loc, model):
        hint = f"did you mean `{meant}`?"
    elif inner := _find_inner(loc, model):
        hint = f"it belongs in {' or in '.join(f'`{name}`' for name in inner)}"
    else:
        hint = f"it takes {_listed(_field_names(model, loc[:-1]))}"
    return Diagnostic(UNKNOWN_FIELD, message, locate(root, path, key=True), hint)


def _meant(loc: Sequence[int | str], model: type[BaseModel]) -> str | None:
    """Return the field beside an unknown one that was probably meant by it."""
    field, names = str(loc[-1]), _field_names(model, loc[:-1])
    word = _OTHER_WORDS.get(field)
    if word in names:
        return word
    return None if _find_inner(loc, model) else nearest(field, names)


def _find_inner(loc: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """Return the fields beside an unknown one whose own fields have that name."""
    owner = _model_at(model, loc[:-1])
    inner = {
        info.alias or name: _model_in(info.annotation)
        for name, info in (owner.model_fields.items() if owner else ())
        if not _is_collection(info.annotation)
    }
    return [name for name, each in inner.items() if each and loc[-1] in _field_names(each, ())]


def _translate_choice(expected: str, found: str, root: Located, path: Path) -> Diagnostic:
    choices = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
    close = nearest(found, choices)
    hint = f"did you mean `{close}`?" if close else f"it takes {_listed(choices)}"
    return Diagnostic(NOT_A_CHOICE, f"{_called(path)} cannot be `{found}`", locate(root, path), hint)


def _limit(kind: str, context: dict[str, object], details: ErrorDetails) -> str:
    words = {
        "greater_than_equal": "is {input}, and has to be at least {ge}",
        "greater_than": "is {input}, and has to be more than {gt}",
        "less_than_equal": "is {input}, and has to be at most {le}",
        "finite_number": "is {input}, and has to be finite",
        "too_short": "has {actual_length} entries, and needs at least {min_length}",
    }
    template = words.get(kind)
    if template is None:
        return f"cannot be used: {details['msg'][:1].lower()}{details['msg'][1:]}"
    given = {name: _number(value) for name, value in (*context.items(), ("input", details["input"]))}
    return template.format(**given).replace("has 1 entries", "has 1 entry")


def _number(value: object) -> object:
    """Return a float as people write it; an integer whole, since digits of it are what is wrong."""
    return f"{value:g}" if isinstance(value, float) else value


def _kind_hint(kind: str, found: object) -> str | None:
    if kind == "string_type" and isinstance(found, bool | int | float):
        return "quote it, if a text is meant"
    if isinstance(found, str) and _UNQUOTED.get(kind, re.compile("(?!)")).fullmatch(found):
        return "write it without quotes"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _field_names(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the field names of the model at a place inside a model."""
    found = _model_at(model, loc)
    return [info.alias or name for name, info in found.model_fields.items()] if found else []


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model at a place inside a model."""
    current: type[BaseModel] | None = model
    for step in loc:
        if current is None:
            return None
        owner: type[BaseModel] = current
        fields = {info.alias or name: info for name, info in owner.model_fields.items()}
        if step not in fields:
            continue
        current = _model_in(fields[step].annotation)
    return current


def _is_collection(annotation: object) -> bool:
    return any(get_origin(part) in {dict, list} for part in (annotation, *get_args(annotation)))


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the one model that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model), None)
