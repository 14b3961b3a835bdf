"""What a Python module offers under a name, told from its text: it is never imported."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import INVALID_MODULE, MISSING_FUNCTION, MISSING_MODULE
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record
from graphc.regular_files import NoFileError, open_regular

_MAX_SIZE: Final = 4 << 20

Function = ast.FunctionDef | ast.AsyncFunctionDef


@record
class EntryParameter:
    """A parameter that an argument may be given to by name."""

    name: str
    required: bool


@record
class PythonEntry:
    """A function or class of a module; `parameters` None means that the text does not tell them."""

    name: str
    is_class: bool
    parameters: tuple[EntryParameter, ...] | None
    takes_any: bool = False
    is_async: bool = False
    positional_only: tuple[str, ...] = ()


def read_entry(path: Path, function: str, *, called: str | None = None) -> PythonEntry | ArtefactFault:
    """Return the function or class that the module at `path` binds to a name, or why there is none."""
    called = called or path.name
    tree = parse_module(path, called)
    if isinstance(tree, ArtefactFault):
        return tree
    bound = _bindings(tree)
    if function in bound:
        return bound[function]
    if "*" in bound:
        return PythonEntry(function, is_class=False, parameters=None, takes_any=True)
    known = [name for name in bound if not name.startswith("_")]
    message = f"`{called}` has no function or class `{function}`"
    return ArtefactFault(MISSING_FUNCTION, message, did_you_mean(function, known))


def parse_module(path: Path, called: str) -> ast.Module | ArtefactFault:
    """Return the syntax tree of a module, or why there is none; `called` is its name in messages."""
    try:
        with open_regular(path) as file:
            text = file.read(_MAX_SIZE + 1)
    except FileNotFoundError:
        return ArtefactFault(MISSING_MODULE, f"there is no module `{called}`")
    except NoFileError as error:
        return ArtefactFault(MISSING_MODULE, f"`{called}` is {error}, not a module")
    except OSError as error:
        return ArtefactFault(MISSING_MODULE, f"`{called}` cannot be read: {(error.strerror or '').lower()}")
    if len(text) > _MAX_SIZE:
        return ArtefactFault(INVALID_MODULE, f"`{called}` is too large to be a module")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        place = f" at line {error.lineno}" if error.lineno else ""
        return ArtefactFault(INVALID_MODULE, f"`{called}` does not parse: {error.msg}{place}")
    except (ValueError, RecursionError, MemoryError):
        return ArtefactFault(INVALID_MODULE, f"`{called}` does not parse: it is no Python that can be read")


def _bindings(tree: ast.Module) -> dict[str, PythonEntry]:
    """Index what the module binds at its top level; the last binding of a name wins, as when it runs."""
    return {entry.name: entry for statement in _statements(tree.body) for entry in _bound_by(statement)}


def bound_statements(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return the statement that binds each name of a module's top level; the last one where there are several."""
    return {entry.name: statement for statement in _statements(tree.body) for entry in _bound_by(statement)}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield top-level statements, those under `if`, `try`, `with` and loops included."""
    pending = list(reversed(body))
    while pending:
        statement = pending.pop()
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            children = [*ast.iter_child_nodes(statement)]
            handlers = [
                inner for each in children if isinstance(each, ast.ExceptHandler) for inner in each.body
            ]
            pending.extend(reversed([*(each for each in children if isinstance(each, ast.stmt)), *handlers]))


def _bound_by(statement: ast.stmt) -> Iterator[PythonEntry]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield _function(statement)
        case ast.ClassDef(name=name):
            yield PythonEntry(name, is_class=True, parameters=None, takes_any=True)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield _unknown(alias.asname or alias.name.split(".")[0])
        case ast.Assign(targets=targets):
            for target in targets:
                yield from (_unknown(each.id) for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield _unknown(name)
        case _:
            return


def _unknown(name: str) -> PythonEntry:
    return PythonEntry(name, is_class=False, parameters=None, takes_any=True)


def _function(function: Function) -> PythonEntry:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    required = {each.arg for each in positional[:first_default]}
    required |= {
        each.arg
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    }
    return PythonEntry(
        function.name,
        is_class=False,
        # A decorator may change what the function takes.
        parameters=None
        if function.decorator_list
        else tuple(
            EntryParameter(each.arg, each.arg in required)
            for each in (*arguments.args, *arguments.kwonlyargs)
        ),
        takes_any=bool(function.decorator_list) or arguments.kwarg is not None,
        is_async=isinstance(function, ast.AsyncFunctionDef),
        positional_only=tuple(each.arg for each in arguments.posonlyargs if each.arg in required),
    )
