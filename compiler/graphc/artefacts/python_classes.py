"""What a class of a Python module can be called with, told from its text: it is never imported."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from graphc.artefacts.python_reader import Function, bound_statements, parse_module
from graphc.artefacts.signature import ArtefactFault
from graphc.records import record

_SELDON: Final = "seldon_core"
_COMPONENT: Final = "SeldonComponent"
"""The class that Seldon has users inherit from: it takes any parameters, and has no method of its own."""
_LOOKING_UP: Final = frozenset({"__getattr__", "__getattribute__"})

METHODS: Final = ("predict", "transform_input", "transform_output", "aggregate", "route")
"""What Seldon's wrapper asks a class for; the name with `RAW` behind it takes a whole message."""
RAW: Final = "_raw"

Called = inspect.Signature | None
"""What a method takes behind `self`; None where the text does not tell it."""


@record
class PythonClass:
    """A class as far as its text tells it."""

    methods: Mapping[str, Called]
    makes: Called
    """What an object is made with."""
    is_whole: bool
    """Whether it has no other methods."""


def list_classes(path: Path, *, called: str) -> list[tuple[str, PythonClass]]:
    """Return the classes of a module by name; none where it does not parse."""
    tree = parse_module(path, called)
    bound = {} if isinstance(tree, ArtefactFault) else bound_statements(tree)
    return [(name, _read(each, bound)) for name, each in bound.items() if isinstance(each, ast.ClassDef)]


def read_class(path: Path, name: str, *, called: str) -> PythonClass | None:
    """Return a class that the module at `path` binds to a name; None where the text does not tell what it is."""
    tree = parse_module(path, called)
    if isinstance(tree, ArtefactFault):
        return None
    bound = bound_statements(tree)
    statement = bound.get(name)
    return _read(statement, bound) if isinstance(statement, ast.ClassDef) else None


def find_methods(made: PythonClass) -> list[str]:
    """Return the methods that a class has as Seldon's wrapper calls them."""
    return [
        method
        for method in METHODS
        for name in (method, method + RAW)
        if (signature := made.methods.get(name)) is not None and is_called_so(signature, name)
    ]


def is_called_so(signature: inspect.Signature, name: str) -> bool:
    """Say whether a method can be called as Seldon's wrapper calls the one of that name."""
    if name.endswith(RAW):
        return _binds(signature, 1, [])
    return _binds(signature, 2, []) or (name != "aggregate" and _binds(signature, 2, ["meta"]))


def _binds(signature: inspect.Signature, count: int, names: list[str]) -> bool:
    try:
        signature.bind(*range(count), **dict.fromkeys(names))
    except TypeError:
        return False
    return True


_UNKNOWN: Final = "unknown"
"""Stands for a class that another module has."""


def _read(statement: ast.ClassDef, bound: Mapping[str, ast.stmt]) -> PythonClass:
    """Return a class with what it inherits from others of its module."""
    methods: dict[str, Called] = {}
    makers: list[Called] = []
    """What the class and each above it say of its arguments; the first counts."""
    is_whole = True
    for each in _line_up(statement, bound, set()):
        if isinstance(each, str):
            is_whole &= each == _COMPONENT
            makers.append(_ANYTHING if each == _COMPONENT else None)
            continue
        own = {name: method for part in each.body for name, method in _bindings(part)}
        is_changed = bool(each.decorator_list or each.keywords)
        is_whole &= not is_changed and own.keys().isdisjoint(_LOOKING_UP)
        methods = {**own, **methods}
        if is_changed or "__new__" in own:
            makers.append(None)
        elif "__init__" in own:
            makers.append(own["__init__"])
    return PythonClass(methods, makers[0] if makers else inspect.Signature(), is_whole)


def _line_up(
    statement: ast.ClassDef, bound: Mapping[str, ast.stmt], seen: set[str]
) -> Iterator[ast.ClassDef | str]:
    """Yield a class and those above it in the order in which a method is looked for."""
    seen.add(statement.name)
    yield statement
    for base in statement.bases:
        named = ast.unparse(base)
        above = bound.get(named)
        if _is_component(named, bound):
            yield _COMPONENT
        elif isinstance(above, ast.ClassDef):
            if above.name not in seen:
                yield from _line_up(above, bound, seen)
        elif named != "object" or named in bound:
            yield _UNKNOWN


_ANYTHING: Final = inspect.Signature([inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)])


def _is_component(named: str, bound: Mapping[str, ast.stmt]) -> bool:
    """Say whether a class inherits from the one of Seldon's package, whichever way it is imported."""
    first, _, rest = named.partition(".")
    statement = bound.get(first)
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == _SELDON:
        real = next((each.name for each in statement.names if (each.asname or each.name) == first), "")
        return f"{real}.{rest}".rstrip(".").rpartition(".")[2] == _COMPONENT
    is_imported = isinstance(statement, ast.Import)
    return is_imported and first == _SELDON and named.rpartition(".")[2] == _COMPONENT


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, Called]]:
    """Yield the names that a statement of a class binds, with what a method of that name takes."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield statement.name, _signature(statement)
        case ast.Assign(targets=targets):
            for target in targets:
                yield from ((each.id, None) for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield name, None
        case _:
            # Under a condition there may be anything: it is there, and not told.
            for each in ast.walk(statement):
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield each.name, None


def _signature(function: Function) -> Called:
    decorators = [ast.unparse(each) for each in function.decorator_list]
    is_static = decorators == ["staticmethod"]
    if isinstance(function, ast.AsyncFunctionDef) or (
        decorators and not is_static and decorators != ["classmethod"]
    ):
        return None
    found = list(_parameters(function.args))
    if not is_static:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if found and found[0].kind in positional:
            found = found[1:]
        elif not (found and found[0].kind is inspect.Parameter.VAR_POSITIONAL):
            return None
    try:
        return inspect.Signature(found)
    except ValueError:
        return None


def _parameters(arguments: ast.arguments) -> Iterator[inspect.Parameter]:
    kinds = inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    for index, each in enumerate(positional):
        default = None if index >= first_default else kinds.empty
        if index < len(arguments.posonlyargs):
            yield inspect.Parameter(each.arg, kinds.POSITIONAL_ONLY, default=default)
        else:
            yield inspect.Parameter(each.arg, kinds.POSITIONAL_OR_KEYWORD, default=default)
    if arguments.vararg:
        yield inspect.Parameter(arguments.vararg.arg, kinds.VAR_POSITIONAL)
    for each, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        default = kinds.empty if given is None else None
        yield inspect.Parameter(each.arg, kinds.KEYWORD_ONLY, default=default)
    if arguments.kwarg:
        yield inspect.Parameter(arguments.kwarg.arg, kinds.VAR_KEYWORD)
