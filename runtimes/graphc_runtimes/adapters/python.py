"""Imports the user's own Python from a folder or the image, and runs functions of arrays."""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.artifact import find
from graphc_runtimes.adapters.importing import import_private
from graphc_runtimes.arrays import ArrayError, as_tensor
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import PythonNode

_MOST_TOLD: Final = 5
_LONGEST: Final = 60
"""How many keys of a wrong answer are told, and how much of each."""


async def load_python(node: PythonNode, environment: Environment) -> Runner:
    """Return the runner of a Python node; raises LoadError."""
    folder = find(node.path, environment) if node.path is not None else None
    entry = await asyncio.to_thread(_import_entry, node, folder)
    if node.seldon is not None:
        from graphc_runtimes.adapters.seldon_class import load_seldon_class

        return await asyncio.to_thread(load_seldon_class, node, node.seldon, entry, folder)
    if inspect.isclass(entry) and _is_of_mlserver(entry):
        # Functions do not need MLServer, which takes long to import.
        from graphc_runtimes.adapters.mlserver_class import load_class

        return await load_class(node, entry, folder)
    if inspect.isclass(entry):
        entry = await asyncio.to_thread(_make, node, entry)
    if not callable(entry):
        raise LoadError(f"`{node.entry}` is neither a function nor an MLServer model")
    _check_form(node, entry)
    return _run_function(node, entry)


def _is_of_mlserver(entry: type) -> bool:
    return any(each.__module__.partition(".")[0] == "mlserver" for each in entry.__mro__)


# --- Importing ---------------------------------------------------------------------------------------


def _import_entry(node: PythonNode, folder: Path | None) -> object:
    module_name, _, attribute = node.entry.partition(":")
    if not attribute:
        raise LoadError(f"`{node.entry}` is not of the form `module:name`")
    module = _import(module_name, node.name, folder)
    if not hasattr(module, attribute):
        raise LoadError(f"the module `{module_name}` has no `{attribute}`")
    return getattr(module, attribute)


def _import(module: str, node: str, folder: Path | None) -> ModuleType:
    return importlib.import_module(module) if folder is None else import_private(node, module, folder)


# --- Running -----------------------------------------------------------------------------------------


def _make(node: PythonNode, entry: type) -> object:
    """Return an object of a plain class, which answers when it is called."""
    try:
        inspect.signature(entry).bind()
    except TypeError:
        raise LoadError(f"`{node.entry}` is a class that cannot be made without arguments") from None
    # Some classes of C have no signature.
    except ValueError:
        pass
    made = entry()
    if not callable(made):
        raise LoadError(f"`{node.entry}` is a class without `__call__`, and not one of MLServer's models")
    return made


def _check_form(node: PythonNode, function: Callable[..., object]) -> None:
    """Raise LoadError for what cannot be called as nodes are: with arrays by the names of inputs, for an answer."""
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise LoadError(f"`{node.entry}` is asynchronous; a node is a plain function")
    if inspect.isgeneratorfunction(called):
        raise LoadError(f"`{node.entry}` yields; a node returns its outputs")
    try:
        inspect.signature(function).bind(**dict.fromkeys(node.inputs))
    except TypeError as error:
        given = ", ".join(f"`{name}`" for name in node.inputs) or "nothing"
        raise LoadError(f"`{node.entry}` does not take what the graph gives it, {given}: {error}") from None
    # Some functions of C have no signature.
    except ValueError:
        return


def _run_function(node: PythonNode, function: Callable[..., object]) -> Runner:
    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        # Other nodes read the same arrays, and the user's code may change what it is given.
        result = function(**{name: np.array(array) for name, array in inputs.items()})
        return _named(node, result)

    return run


def _named(node: PythonNode, result: object) -> dict[str, Array]:
    expected = list(node.declares or node.outputs)
    if not isinstance(result, dict):
        if len(expected) != 1:
            raise ArrayError(f"has {len(expected)} outputs, and its function gave no dict of them")
        return {expected[0]: _to_tensor(expected[0], result)}
    given = cast("dict[object, object]", result)
    if missing := [name for name in expected if name not in given]:
        names = ", ".join(f"`{name}`"[:_LONGEST] for name in list(given)[:_MOST_TOLD]) or "nothing"
        raise ArrayError(f"gave no output `{missing[0]}`; it gave {names}")
    return {name: _to_tensor(name, given[name]) for name in expected}


def _to_tensor(name: str, value: object) -> Array:
    if value is None:
        raise ArrayError(f"gave nothing for its output `{name}`")
    try:
        return as_tensor(value)
    except ArrayError as error:
        raise ArrayError(f"gave an output `{name}` that {error}") from None
