"""Frozen data classes that are quick to define and to make.

A command starts with the definition of a hundred of them, and `dataclass` compiles six methods for each, which was a
fifth of the time of a small compile. Here only `__init__` is compiled. That nothing is set afterwards is for the type
checker to see: at run time nothing stops it, and nothing has to be gone around to make one.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Make a slotted data class that is compared, hashed and shown by its fields."""
    made = dataclass(repr=False, eq=False, slots=True)(cls)
    compared = [each.name for each in _fields_of(made) if each.compare]
    key: Callable[[object], object] = attrgetter(*compared) if compared else lambda _: ()

    def equal(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(key(self))

    for name, method in (("__eq__", equal), ("__hash__", hashed), ("__repr__", _show)):
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _fields_of(record: object) -> "tuple[Field[Any], ...]":
    return fields(cast("Any", record))


def _show(self: object) -> str:
    shown = [each.name for each in _fields_of(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"
