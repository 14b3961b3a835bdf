"""Imports the user's own Python from a folder or the image, and runs functions of arrays."""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.artifact import find
from graphc_runtimes.adapters.importing import import_private
from graphc_runtimes.arrays import ArrayError, as_tensor, check_type
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import PythonNode


async def load_python(node: PythonNode, environment: Environment) -> Runner:
    """Return the runner of a Python node; raises LoadError."""
    folder = find(node.path, environment) if node.path is not None else None
    entry = await asyncio.to_thread(_import_entry, node, folder)
    if inspect.isclass(entry):
        # Functions do not need MLServer, which takes long to import.
        from graphc_runtimes.adapters.mlserver_class import load_class

        run = await load_class(node, entry, folder)
    elif callable(entry):
        run = _run_function(node, entry)
    else:
        raise LoadError(f"`{node.entry}` is neither a function nor an MLServer model")
    return _checked(node, run)


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
        return {expected[0]: as_tensor(result)}
    given = cast("dict[str, object]", result)
    if missing := [name for name in expected if name not in given]:
        raise ArrayError(f"gave no output `{missing[0]}`")
    return {name: as_tensor(given[name]) for name in expected}


def _checked(node: PythonNode, run: Runner) -> Runner:
    def checked(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        results = run(inputs)
        sizes: dict[str, int] = {}
        for name, declared in node.declares.items():
            if name in results:
                _check_declared(name, results[name], declared.datatype, declared.shape, sizes)
        return results

    return checked


def _check_declared(
    name: str, array: Array, datatype: str, shape: tuple[int | str | None, ...], sizes: dict[str, int]
) -> None:
    try:
        check_type(array, datatype, shape, sizes)
    except ArrayError as error:
        raise ArrayError(f"gave an output `{name}` that {error}, as declared") from None
