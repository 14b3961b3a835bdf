"""Checks the parameters of a component, and describes them as a JSON Schema."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Protocol, cast

from graphc_components.component import Parameter, ParameterKind, Scalar, Value
from graphc_components.tensors import DATATYPES, FLOAT_LIMITS

_PHRASES: Final = {
    ParameterKind.NUMBER: "a number",
    ParameterKind.INTEGER: "a whole number",
    ParameterKind.BOOLEAN: "`true` or `false`",
    ParameterKind.STRING: "a text",
    ParameterKind.DATATYPE: "a datatype such as `FP32`",
    ParameterKind.NUMBERS: "a list of numbers",
    ParameterKind.INTEGERS: "a list of whole numbers",
    ParameterKind.STRINGS: "a list of texts",
    ParameterKind.LABELS: "a list of texts or a list of whole numbers",
    ParameterKind.VALUES: "a list of texts, numbers or booleans",
    ParameterKind.NUMBER_OR_NUMBERS: "a number or a list of numbers",
    ParameterKind.STRINGS_OR_MAPPING: "a list of texts or a mapping of values to texts",
}


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """What is wrong with a parameter, and the name or text that may have been meant."""

    name: str
    message: str
    nearest: str | None = None


class Parametered(Protocol):
    """What has parameters: a component, or a kind of server."""

    @property
    def name(self) -> str:
        """The name by which messages call it."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its parameters."""
        ...


class _WrongValueError(ValueError):
    def __init__(self, message: str, nearest: str | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


def check_parameters(
    component: Parametered, values: Mapping[str, object]
) -> tuple[dict[str, Value], list[ParameterProblem]]:
    """Return the sound parameters with defaults filled in, in declared order, and every problem found."""
    known = {parameter.name: parameter for parameter in component.parameters}
    problems = [_unknown(component, name, known) for name in values if name not in known]
    meant = {problem.nearest for problem in problems}
    checked: dict[str, Value] = {}
    for name, parameter in known.items():
        if name in values:
            try:
                checked[name] = _read(parameter, values[name])
            except _WrongValueError as error:
                problems.append(ParameterProblem(name, f"`{name}` {error}", error.nearest))
        elif parameter.required and name not in meant:  # else it is there under another name
            problems.append(ParameterProblem(name, f"`{component.name}` needs the parameter `{name}`"))
        elif parameter.default is not None:
            checked[name] = parameter.default
    return checked, problems


def parameters_schema(component: Parametered) -> dict[str, object]:
    """Return the JSON Schema of a component's parameters, as plain data."""
    return {
        "type": "object",
        "properties": {parameter.name: _schema(parameter) for parameter in component.parameters},
        "required": [parameter.name for parameter in component.parameters if parameter.required],
        "additionalProperties": False,
    }


def _unknown(component: Parametered, name: str, known: Mapping[str, Parameter]) -> ParameterProblem:
    message = f"`{name}` is not a parameter of `{component.name}`"
    return ParameterProblem(name, message, _nearest(name, known))


def _nearest(word: str, words: Mapping[str, object] | Sequence[str]) -> str | None:
    by_case = {each.lower(): each for each in words}
    return next((by_case[each] for each in get_close_matches(word.lower(), by_case, n=1)), None)


def _read(parameter: Parameter, value: object) -> Value:
    read = _READERS[parameter.kind](value)
    if read is None:
        raise _WrongValueError(f"must be {_PHRASES[parameter.kind]}, not {_show(value)}")
    elements: list[Scalar] = []
    if isinstance(read, str | bool | int | float):
        elements.append(read)
    else:
        _check_length(parameter, read)
        elements.extend(read if not isinstance(read, Mapping) else ())
    for element in elements:
        _check_limits(parameter, element)
    return read


def _check_length(parameter: Parameter, read: Sequence[Scalar] | Mapping[str, str]) -> None:
    if not read and not parameter.empty:
        raise _WrongValueError("must not be empty")
    if parameter.unique and len(set(read)) < len(read):
        twice = next(element for index, element in enumerate(read) if element in list(read)[:index])
        raise _WrongValueError(f"has {_show(twice)} twice")


def _check_limits(parameter: Parameter, element: Scalar) -> None:
    options = parameter.options or (DATATYPES if parameter.kind is ParameterKind.DATATYPE else ())
    if isinstance(element, str) and options and element not in options:
        listed = ", ".join(f"`{option}`" for option in options)
        raise _WrongValueError(f"must be one of {listed}, not `{element}`", _nearest(element, options))
    if isinstance(element, str):
        return
    if parameter.minimum is not None and element < parameter.minimum:
        raise _WrongValueError(f"must be at least {parameter.minimum:g}, not {_show(element)}")
    if parameter.above is not None and element <= parameter.above:
        raise _WrongValueError(f"must be above {parameter.above:g}, not {_show(element)}")


def _show(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case str() | int() | float():
            text = str(value)
            return f"`{text}`" if len(text) <= 40 else f"`{text[:40]}...`"
        case Mapping():
            return "a mapping"
        case list():
            return (
                f"`{text}`"
                if len(text := json.dumps(value, default=str)) <= 40
                else "a list of something else"
            )
        case _:
            return "something else"


# A reader returns None for a value that is not of its kind.
_Reader = Callable[[object], Value | None]


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # JSON has no NaN and no infinity, and a region is written as JSON.
    return value if abs(value) <= FLOAT_LIMITS["FP64"] else None


def _integer(value: object) -> int | None:
    number = _number(value)
    # JSON Schema counts 3.0 as an integer, and so do we.
    return int(number) if number is not None and number == int(number) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _scalar(value: object) -> Scalar | None:
    return value if isinstance(value, bool | str) else _number(value)


def _many(element: Callable[[object], Scalar | None]) -> _Reader:
    def read(value: object) -> Sequence[Scalar] | None:
        if not isinstance(value, list):
            return None
        elements = [element(each) for each in cast("list[object]", value)]
        present = [each for each in elements if each is not None]
        return present if len(present) == len(elements) else None

    return read


def _either(*readers: _Reader) -> _Reader:
    def read(value: object) -> Value | None:
        return next((found for reader in readers if (found := reader(value)) is not None), None)

    return read


def _mapping(value: object) -> Mapping[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    pairs = [(_key(key), label) for key, label in cast("Mapping[object, object]", value).items()]
    read = {key: label for key, label in pairs if key is not None and isinstance(label, str)}
    return read if len(read) == len(pairs) else None


def _key(key: object) -> str | None:
    # YAML reads the keys `1` and `true` as a number and a boolean; JSON keeps texts only.
    if isinstance(key, bool):
        return str(key).lower()
    return str(key) if isinstance(key, int | str) else None


_READERS: Final[Mapping[ParameterKind, _Reader]] = {
    ParameterKind.NUMBER: _number,
    ParameterKind.INTEGER: _integer,
    ParameterKind.BOOLEAN: _boolean,
    ParameterKind.STRING: _string,
    ParameterKind.DATATYPE: _string,
    ParameterKind.NUMBERS: _many(_number),
    ParameterKind.INTEGERS: _many(_integer),
    ParameterKind.STRINGS: _many(_string),
    ParameterKind.LABELS: _either(_many(_string), _many(_integer)),
    ParameterKind.VALUES: _many(_scalar),
    ParameterKind.NUMBER_OR_NUMBERS: _either(_number, _many(_number)),
    ParameterKind.STRINGS_OR_MAPPING: _either(_many(_string), _mapping),
}


def _schema(parameter: Parameter) -> dict[str, object]:
    return {"description": parameter.doc} | _defaulted(parameter) | _form(parameter)


def _defaulted(parameter: Parameter) -> dict[str, object]:
    return {} if parameter.default is None else {"default": parameter.default}


def _form(parameter: Parameter) -> dict[str, object]:
    match parameter.kind:
        case ParameterKind.NUMBERS:
            return _array(parameter, "number")
        case ParameterKind.INTEGERS:
            return _array(parameter, "integer")
        case ParameterKind.STRINGS:
            return _array(parameter, "string")
        case ParameterKind.VALUES:
            return _array(parameter, "string", "number", "boolean")
        case ParameterKind.LABELS:
            return {"anyOf": [_array(parameter, "string"), _array(parameter, "integer")]}
        case ParameterKind.NUMBER_OR_NUMBERS:
            return {"anyOf": [_element(parameter, "number"), _array(parameter, "number")]}
        case ParameterKind.STRINGS_OR_MAPPING:
            return {"anyOf": [_array(parameter, "string"), _object(parameter)]}
        case ParameterKind.STRING | ParameterKind.DATATYPE:
            return _element(parameter, "string")
        case kind:
            return _element(parameter, kind.value)


def _array(parameter: Parameter, *types: str) -> dict[str, object]:
    schema: dict[str, object] = {"type": "array", "items": _element(parameter, *types)}
    if not parameter.empty:
        schema["minItems"] = 1
    if parameter.unique:
        schema["uniqueItems"] = True
    return schema


def _object(parameter: Parameter) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object", "additionalProperties": {"type": "string"}}
    return schema if parameter.empty else schema | {"minProperties": 1}


def _element(parameter: Parameter, *types: str) -> dict[str, object]:
    schema: dict[str, object] = {"type": types[0] if len(types) == 1 else list(types)}
    if "number" in types or "integer" in types:
        limits = {"minimum": parameter.minimum, "exclusiveMinimum": parameter.above}
        schema |= {name: limit for name, limit in limits.items() if limit is not None}
    if parameter.kind is ParameterKind.DATATYPE:
        return schema | {"enum": list(parameter.options or DATATYPES)}
    return schema | {"enum": list(parameter.options)} if parameter.options else schema
