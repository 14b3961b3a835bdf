"""The catalog of components, found from what the declarations hold; importing it does not import numpy."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from graphc_components import declarations
from graphc_components.component import (
    Component,
    ComponentError,
    Parameter,
    ParameterKind,
    Role,
    Scalar,
    Signature,
    SignatureError,
    Value,
)
from graphc_components.parameters import ParameterProblem, check_parameters, parameters_schema
from graphc_components.tensors import TensorType

if TYPE_CHECKING:
    from graphc_components.datatypes import Array

__all__ = [
    "CATALOG",
    "ROUTERS",
    "Component",
    "ComponentError",
    "Parameter",
    "ParameterKind",
    "ParameterProblem",
    "Role",
    "Scalar",
    "Signature",
    "SignatureError",
    "Value",
    "check_parameters",
    "infer_outputs",
    "load_function",
    "parameters_schema",
]


def infer_outputs(
    component: Component, inputs: Mapping[str, TensorType], values: Mapping[str, Value]
) -> dict[str, TensorType]:
    """Return the types of the outputs by name, in order; raises SignatureError.

    Inputs by position are called "0", "1" and so on; values are as `check_parameters` returns them.
    """
    names = component.inputs
    if names is not None and set(inputs) != set(names):
        raise SignatureError(f"takes the inputs {_listed(names)}, not {_listed(inputs)}")
    if len(inputs) < component.minimum:
        raise SignatureError(f"needs at least {component.minimum} input{'s' * (component.minimum != 1)}")
    ordered = tuple(inputs[name] for name in names) if names is not None else tuple(inputs.values())
    types = component.signature(ordered, values)
    return dict(zip(component.output_names(list(inputs)), types.values(), strict=True))


def load_function(component: Component) -> "Callable[..., Array | tuple[Array, ...]]":
    """Import a component's function, which takes its inputs by position and its parameters by name."""
    module, _, name = component.function.partition(":")
    return cast("Callable[..., Array | tuple[Array, ...]]", getattr(import_module(module), name))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _declared() -> Iterator[Component]:
    for found in sorted(iter_modules(declarations.__path__), key=lambda module: module.name):
        module = import_module(f"{declarations.__name__}.{found.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Component))


def _table(*roles: Role) -> Mapping[str, Component]:
    chosen = (component for component in _declared() if component.role in roles)
    return MappingProxyType({each.name: each for each in sorted(chosen, key=lambda each: each.name)})


CATALOG: Final = _table(Role.COMBINER, Role.TRANSFORMER)
"""Combiners and transformers by name, for `component:`."""

ROUTERS: Final = _table(Role.ROUTER)
"""Routers by name, for `router:` and `cascade:`; a name may be in both tables."""
