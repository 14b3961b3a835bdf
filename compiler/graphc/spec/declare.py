"""Declares what a graph file may say, and reads at once what is plainly right.

A declaration is written as pydantic's are, and has two readers. The one here takes microseconds, needs no import, and
only ever says yes. It may refuse what is right, and must never take what is wrong. What it refuses, pydantic judges and
explains (`graphc.spec.examine`).

It stays because it pays at start-up. `python tests/bench/measure_declarations.py` measures the processor time of a
process that declares the graph language and reads one graph: 89 ms by this reader and 414 ms by pydantic, which spends
92 ms on its import and 235 ms on making its models (CPython 3.11, two busy cores, the least of 15 runs). Every
`graphc check`, `compile` and `run` of a correct file saves that time.
"""

from collections.abc import Callable, Mapping
from functools import cache
from inspect import get_annotations
from math import isfinite
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

_T = TypeVar("_T")
_S = TypeVar("_S", bound="Spec")
Read = Callable[[Any], object]
"""Returns a value as it was declared; raises ValueError where it is not plainly right."""
Check = TypeVar("Check", bound=Callable[[Any], object])

REQUIRED: Final = object()
"""The default of a field that has none."""
LIMITS: Final = ("ge", "gt", "le", "min_length", "allow_inf_nan")


class Declared:
    """What is said of a field beside its type; `limits` are the arguments of pydantic's that bound it."""

    __slots__ = ("alias", "default", "description", "factory", "json_schema_extra", "limits")

    def __init__(
        self,
        default: object,
        factory: Callable[[], object] | None,
        alias: str | None,
        description: str | None,
        json_schema_extra: Mapping[str, object] | None,
        limits: Mapping[str, float | bool],
    ) -> None:
        self.default, self.factory, self.alias = default, factory, alias
        self.description, self.json_schema_extra, self.limits = description, json_schema_extra, limits


def Field(  # noqa: N802 (pydantic's name)
    default: object = REQUIRED,
    *,
    default_factory: Callable[[], object] | None = None,
    alias: str | None = None,
    description: str | None = None,
    json_schema_extra: Mapping[str, object] | None = None,
    **limits: float | bool,
) -> Any:
    """Say more of a field, as pydantic's function of that name does; of its limits those in LIMITS are known."""
    if not limits.keys() <= set(LIMITS):
        raise TypeError(f"{sorted(limits.keys() - set(LIMITS))} are not limits that the quick reader knows")
    return Declared(default, default_factory, alias, description, json_schema_extra, limits)


class BeforeValidator:
    """Changes a value, or refuses it by a ValueError, before it is read."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[[Any], object]) -> None:
        self.func = func


class AfterValidator:
    """Changes a value, or refuses it by a ValueError, after it is read."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[[Any], object]) -> None:
        self.func = func


class WithJsonSchema:
    """The JSON Schema of what pydantic cannot describe."""

    __slots__ = ("schema",)

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema


def model_validator(*, mode: Literal["after"]) -> Callable[[Check], Check]:
    """Mark a method that checks the whole of a thing that was read, and refuses it by a ValueError."""

    def mark(method: Check) -> Check:
        cast("Any", method).checks_the_whole = mode
        return method

    return mark


class Spec:
    """What all parts of a graph file share: unknown fields are refused, kinds are not converted."""

    spec_fields: ClassVar[dict[str, tuple[object, Declared]]] = {}
    """By name, the type of each field and what else is said of it."""
    spec_checks: ClassVar[tuple[str, ...]] = ()
    """The methods that check the whole."""

    def __init_subclass__(cls) -> None:
        """Note the fields; those that are left out of a file are found as attributes of the class."""
        own: dict[str, tuple[object, Declared]] = {}
        for name, annotation in get_annotations(cls).items():
            given = cls.__dict__.get(name, REQUIRED)
            info = given if isinstance(given, Declared) else Field(given)
            own[name] = (annotation, info)
            if info.default is not REQUIRED:
                setattr(cls, name, info.default)
            elif given is not REQUIRED:
                delattr(cls, name)
        cls.spec_fields = cls.spec_fields | own
        cls.spec_checks += tuple(
            name for name, value in cls.__dict__.items() if hasattr(value, "checks_the_whole")
        )

    def __init__(self) -> None:
        """Make an instance with every field left out."""
        for name, (_, info) in self.spec_fields.items():
            if info.factory is not None:
                setattr(self, name, info.factory())

    @classmethod
    def model_validate(cls, plain: object) -> Self:
        """Read values that are known to be right; ValueError where they are not plainly so."""
        return cast("Self", _reader_of(cls)(plain))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self.spec_fields
        )

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.spec_fields)
        return f"{type(self).__name__}({shown})"


def accept(model: type[_S], plain: object) -> _S | None:
    """Read what is plainly right; None where pydantic has to judge."""
    try:
        return model.model_validate(plain)
    except (ValueError, AssertionError):
        return None


@cache
def _reader_of(model: type[Spec]) -> Read:
    fields = {
        info.alias or name: (name, _limit(_read_of(annotation), info))
        for name, (annotation, info) in model.spec_fields.items()
    }
    required = [name for name, (_, info) in model.spec_fields.items() if _is_required(info)]
    factories = [(name, info.factory) for name, (_, info) in model.spec_fields.items() if info.factory]
    checks = [getattr(model, name) for name in model.spec_checks]

    def read(value: object) -> Spec:
        if type(value) is not dict:
            raise ValueError
        made = object.__new__(model)
        held = made.__dict__
        for key, item in cast("dict[object, object]", value).items():
            if key not in fields:
                raise ValueError
            name, take = fields[cast("str", key)]
            held[name] = take(item)
        for name in required:
            if name not in held:
                raise ValueError
        for name, factory in factories:
            if name not in held:
                held[name] = factory()
        for check in checks:
            check(made)
        return made

    return read


def _is_required(info: Declared) -> bool:
    return info.default is REQUIRED and info.factory is None


def _read_of(annotation: object) -> Read:
    """Return the reader of a type; one that refuses everything where the type is not known here."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is object:
        return _pass
    if isinstance(annotation, type) and annotation in {str, int, float, bool}:
        return _read_exactly(cast("type[object]", annotation))
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return lambda value: _reader_of(annotation)(value)
    if origin is Annotated:
        return _read_annotated(inner[0], inner[1:])
    if origin is Literal:
        return _read_literal(inner)
    if origin in (Union, UnionType) and len(inner) == 2 and NoneType in inner:
        return _read_optional(_read_of(next(each for each in inner if each is not NoneType)))
    if origin is list:
        return _read_list(_read_of(inner[0]))
    if origin is dict and inner[0] is str:
        return _read_dict(_read_of(inner[1]))
    return _refuse


def _pass(value: object) -> object:
    return value


def _refuse(value: object) -> object:
    raise ValueError(value)


def _read_exactly(kind: type[object]) -> Read:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise ValueError
        return value

    return read


def _read_literal(choices: tuple[object, ...]) -> Read:
    def read(value: object) -> object:
        if type(value) is not str or value not in choices:
            raise ValueError
        return value

    return read


def _read_optional(inner: Read) -> Read:
    return lambda value: None if value is None else inner(value)


def _read_list(inner: Read) -> Read:
    def read(value: object) -> object:
        if type(value) is not list:
            raise ValueError
        return [inner(each) for each in cast("list[object]", value)]

    return read


def _read_dict(inner: Read) -> Read:
    def read(value: object) -> object:
        if type(value) is not dict:
            raise ValueError
        for key in cast("dict[object, object]", value):
            if type(key) is not str:
                raise ValueError
        return {key: inner(each) for key, each in cast("dict[str, object]", value).items()}

    return read


def _read_annotated(kind: object, marks: tuple[object, ...]) -> Read:
    """Apply what is said of a type, from the first to the last."""
    read = _read_of(kind)
    for mark in marks:
        match mark:
            case BeforeValidator(func=func):
                read = _chain(func, read)
            case AfterValidator(func=func):
                read = _chain(read, func)
            case Declared():
                read = _limit(read, mark)
            case WithJsonSchema():
                pass
            case _:
                return _refuse
    return read


def _chain(first: Read, second: Read) -> Read:
    return lambda value: second(first(value))


def _limit(read: Read, info: Declared) -> Read:
    """Refuse what is out of a field's limits."""
    if not info.limits:
        return read
    low, above, high = info.limits.get("ge"), info.limits.get("gt"), info.limits.get("le")
    shortest, is_finite = info.limits.get("min_length"), info.limits.get("allow_inf_nan") is False

    def limited(value: object) -> object:
        found = cast("Any", read(value))
        if (
            (is_finite and not isfinite(found))
            or (low is not None and not found >= low)
            or (above is not None and not found > above)
            or (high is not None and not found <= high)
            or (shortest is not None and len(found) < shortest)
        ):
            raise ValueError
        return found

    return limited
