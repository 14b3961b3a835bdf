"""The catalog of components: a file each, imported when its component is asked for, and none imports numpy."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final

from graphc_components import combiners, routers, transformers
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
    "parameters_schema",
]


class Folders(Mapping[str, Component]):
    """The components in folders by name, in the order of their names; `soft-vote` is in `soft_vote.py`."""

    def __init__(self, *folders: ModuleType) -> None:
        self._modules = dict(sorted(_list_modules(folders)))
        self._imported: dict[str, Component] = {}

    def __getitem__(self, name: str) -> Component:
        """Return a component by its name, imported the first time; raises KeyError."""
        if name not in self._imported:
            self._imported[name] = import_module(self._modules[name]).COMPONENT
        return self._imported[name]

    def __iter__(self) -> Iterator[str]:
        """List the names without importing a component."""
        return iter(self._modules)

    def __len__(self) -> int:
        """Count the components."""
        return len(self._modules)


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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _list_modules(folders: Iterable[ModuleType]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for found in iter_modules(folder.__path__):
            yield found.name.replace("_", "-"), f"{folder.__name__}.{found.name}"


CATALOG: Final = Folders(combiners, transformers)
"""Combiners and transformers by name, for `component:`."""

ROUTERS: Final = Folders(routers)
"""Routers by name, for `router:` and `cascade:`; a name may be in both tables."""
