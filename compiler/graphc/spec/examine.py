"""Judges what is not plainly right by pydantic, which says all that is wrong with it; made from the declarations."""

from collections.abc import Callable
from functools import cache
from inspect import get_annotations
from types import GenericAlias, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from graphc.spec.declare import (
    REQUIRED,
    AfterValidator,
    BeforeValidator,
    Declared,
    Spec,
    WithJsonSchema,
)

_S = TypeVar("_S", bound=Spec)
_SPECS: Final[dict[type[BaseModel], type[Spec]]] = {}
"""The declarations that models were made of."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)


def examine(model: type[_S], plain: object) -> _S | ValidationError:
    """Read values, or return all that is wrong with them."""
    try:
        return cast("_S", _declared(model_of(model).model_validate(plain)))
    except ValidationError as error:
        return error


@cache
def model_of(spec: type[Spec]) -> type[BaseModel]:
    """Return the pydantic model of a declaration."""
    if spec is Spec:
        return _Strict
    (base,) = spec.__bases__
    own = {name: spec.spec_fields[name] for name in get_annotations(spec)}
    fields: dict[str, Any] = {name: (_type(kind), _field(info)) for name, (kind, info) in own.items()}
    checks = {
        name: pydantic.model_validator(mode="after")(spec.__dict__[name])
        for name in spec.spec_checks
        if name in spec.__dict__
    }
    model = create_model(
        spec.__name__,
        __base__=model_of(base),
        __doc__=spec.__doc__,
        __module__=spec.__module__,
        __validators__=cast("dict[str, Callable[..., Any]]", checks),
        **fields,
    )
    _SPECS[model] = spec
    return model


def _type(annotation: Any) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return model_of(annotation)
    if origin is Annotated:
        return Annotated[(_type(inner[0]), *map(_mark, inner[1:]))]
    if origin in (Union, UnionType):
        return Union[tuple(map(_type, inner))]  # noqa: UP007 (of as many as there are)
    if origin in (list, dict):
        return cast("Any", GenericAlias)(cast("type[object]", origin), tuple(map(_type, inner)))
    return cast("Any", annotation)


def _mark(mark: object) -> object:
    match mark:
        case BeforeValidator(func=func):
            return pydantic.BeforeValidator(func)
        case AfterValidator(func=func):
            return pydantic.AfterValidator(func)
        case WithJsonSchema(schema=schema):
            return pydantic.WithJsonSchema(schema)
        case Declared():
            return _field(mark)
        case _:
            return mark


def _field(info: Declared) -> FieldInfo:
    given: dict[str, Any] = {
        "alias": info.alias,
        "description": info.description,
        "json_schema_extra": info.json_schema_extra,
        "default_factory": info.factory,
    }
    if info.default is not REQUIRED:
        given["default"] = info.default
    given = {name: value for name, value in given.items() if value is not None or name == "default"}
    return cast("FieldInfo", pydantic.Field(**given, **cast("dict[str, Any]", info.limits)))


def _declared(value: object) -> object:
    """Return what pydantic read as it is declared."""
    match value:
        case BaseModel():
            spec = _SPECS[type(value)]
        case dict():
            return {key: _declared(each) for key, each in cast("dict[str, object]", value).items()}
        case list():
            return [_declared(each) for each in cast("list[object]", value)]
        case _:
            return value
    made = object.__new__(spec)
    made.__dict__.update({name: _declared(getattr(value, name)) for name in spec.spec_fields})
    return made
