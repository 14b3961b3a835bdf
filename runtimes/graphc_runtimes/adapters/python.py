"""Imports the user's own Python from a folder or the image, and runs functions of arrays."""

import asyncio
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
from graphc_components.datatypes import Array

from graphc_runtimes.adapters.artifact import find
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
    if folder is None:
        module = importlib.import_module(module_name)
    else:
        module = _import_private(_package(node.name), module_name, folder)
    if not hasattr(module, attribute):
        raise LoadError(f"the module `{module_name}` has no `{attribute}`")
    return getattr(module, attribute)


def _package(node: str) -> str:
    return "_graphc_node_" + re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", node)


def _import_private(package: str, module: str, folder: Path) -> ModuleType:
    """Import a module of a folder inside a package of the node's own: two nodes may both have a `post.py`."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    holder = ModuleType(package)
    holder.__path__ = [str(folder)]
    sys.modules[package] = holder
    with _importable(folder):
        return importlib.import_module(f"{package}.{module}")


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    """Let modules of a folder import each other by their plain names, and then forget those names."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not name.startswith("_graphc_node_") and Path(file).is_relative_to(folder):
                del sys.modules[name]


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
