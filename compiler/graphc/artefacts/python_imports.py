"""What a Python module imports, told from its text: the files of a folder that it needs, and all else."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.artefacts.files import check_place
from graphc.artefacts.python_reader import parse_module
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import INVALID_MODULE, MISSING_MODULE
from graphc.diagnostics.suggest import did_you_mean
from graphc.records import record

MOST_MODULES: Final = 2000
"""Modules of one node; a unit that needs more should have them as a package of its image."""

_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_PLATFORM: Final = frozenset({"version_info", "platform", "hexversion"})
_CALLS: Final = frozenset({"import_module", "__import__"})


@record
class Where:
    """Lines and columns of a statement, counted from 1."""

    line: int
    column: int
    end_line: int
    end_column: int


@record
class Import:
    """An import of what the folder does not have, with the file and the place where it stands.

    An `optional` one is tried: the text goes on without it, or is for another version of Python.
    """

    name: str
    file: str
    where: Where
    optional: bool


@record
class ImportFault:
    """Why an import of a module in the folder cannot work."""

    fault: ArtefactFault
    file: str
    where: Where


@record
class ModuleFiles:
    """The files that a module needs, its own first, as paths relative to the folder, and what else it imports."""

    files: tuple[str, ...]
    foreign: tuple[Import, ...]
    faults: tuple[ImportFault, ...]


@record
class _Statement:
    """One import: `from` has names, and some of them may be modules; `level` counts the dots of a relative one."""

    module: str
    names: tuple[str, ...]
    level: int
    where: Where
    optional: bool


def find_module(folder: Path, module: str) -> str | None:
    """Return the file of a module of a folder, relative to it; None where there is none."""
    found = _locate(folder, module.split("."))
    return None if found is None or not found.is_whole or not found.files else found.files[-1]


def read_imports(folder: Path, file: str) -> ModuleFiles:
    """Follow the imports of a module of a folder; nothing is executed."""
    reading = _Reading(folder)
    reading.add_package(file)
    reading.run(file)
    own = [file, *sorted(reading.files - {file})]
    return ModuleFiles(tuple(own), tuple(reading.foreign), tuple(reading.faults))


class _Reading:
    """The walk over modules that import each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[str] = set()
        self.foreign: list[Import] = []
        self.faults: list[ImportFault] = []
        self._pending: list[tuple[str, str, Where]] = []
        """Files to read, each with who asked for it first, and where."""

    def run(self, file: str) -> None:
        self._read(file, file, Where(1, 1, 1, 1))
        while self._pending and len(self.files) <= MOST_MODULES:
            self._read(*self._pending.pop(0))
        if self._pending:
            _, asker, where = self._pending[0]
            message = f"it imports more than {MOST_MODULES:,} modules of the graph's folder"
            fault = ArtefactFault(INVALID_MODULE, message, "install them as a package: see `requirements:`")
            self.faults.append(ImportFault(fault, asker, where))

    def add_package(self, file: str) -> None:
        """Take along what runs before a module of a package: the packages' own files."""
        for parent in PurePosixPath(file).parents:
            above = f"{parent}/__init__.py"
            if parent.name and above != file and is_file(self.folder / above):
                self._ask(above, file, Where(1, 1, 1, 1))
        self.files.add(file)

    def _ask(self, file: str, asker: str, where: Where) -> None:
        if file not in self.files:
            self.files.add(file)
            self._pending.append((file, asker, where))

    def _read(self, file: str, asker: str, where: Where) -> None:
        fault = check_place(self.folder, file)
        tree = fault or parse_module(self.folder / file, file)
        if isinstance(tree, ArtefactFault):
            self.faults.append(ImportFault(tree, asker, where))
            return
        for statement in _statements(tree):
            self._follow(statement, file)

    def _follow(self, statement: _Statement, file: str) -> None:
        parts = _absolute(statement, file)
        if parts is None:
            dots = "." * statement.level
            message = f"`from {dots}{statement.module}` leads out of the graph's folder"
            self._blame(message, None, statement, file)
            return
        found = _locate(self.folder, parts) if parts else _Located((), is_whole=True, is_regular=False)
        if found is None or not (found.is_regular or self._has_any(parts, statement, found)):
            if statement.level:
                self._blame(f"there is no module `{'.'.join(parts)}`", self._similar(parts), statement, file)
            else:
                name = statement.module
                self.foreign.append(Import(name, file, statement.where, statement.optional))
            return
        if not found.is_whole:
            self._blame(f"there is no module `{'.'.join(parts)}`", self._similar(parts), statement, file)
            return
        for each in (*found.files, *self._submodules(parts, statement)):
            self._ask(each, file, statement.where)
        if not found.files:
            self._check_names(parts, statement, file)

    def _check_names(self, parts: Sequence[str], statement: _Statement, file: str) -> None:
        """Report names that a folder without an `__init__.py` does not have: it has modules and nothing else."""
        for name in statement.names:
            path = [*parts, name]
            if name != "*" and _locate(self.folder, path) is None:
                self._blame(f"there is no module `{'.'.join(path)}`", self._similar(path), statement, file)

    def _has_any(self, parts: Sequence[str], statement: _Statement, found: "_Located") -> bool:
        """Say whether a folder without an `__init__.py` is a package: it has the module that is asked for."""
        if not parts:
            return True
        return found.is_whole and (bool(found.files) or bool(self._submodules(parts, statement)))

    def _submodules(self, parts: Sequence[str], statement: _Statement) -> list[str]:
        """Return the files of those imported names that are modules of a package."""
        if not (self.folder / "/".join(parts)).is_dir():
            return []
        names = statement.names
        if "*" in names:
            names = (*names, *_listed_names(self.folder / "/".join(parts) / "__init__.py"))
        located = [_locate(self.folder, [*parts, name]) for name in names if name.isidentifier()]
        return [file for each in located if each is not None and each.is_whole for file in each.files]

    def _similar(self, parts: Sequence[str]) -> str | None:
        parent = self.folder / "/".join(parts[:-1])
        try:
            names = [each.stem for each in parent.iterdir() if each.suffix == ".py" or each.is_dir()]
        except OSError:
            return None
        return did_you_mean(parts[-1], sorted(names))

    def _blame(self, message: str, hint: str | None, statement: _Statement, file: str) -> None:
        if not statement.optional:
            self.faults.append(
                ImportFault(ArtefactFault(MISSING_MODULE, message, hint), file, statement.where)
            )


# --- Finding modules -----------------------------------------------------------------------------------


@record
class _Located:
    """What a folder has of a dotted name: its files in the order in which they run.

    `is_whole` says whether all of the name was found, `is_regular` whether its first part is more than a folder.
    """

    files: tuple[str, ...]
    is_whole: bool
    is_regular: bool


def _locate(folder: Path, parts: Sequence[str]) -> _Located | None:
    files: list[str] = []
    place, is_regular = "", False
    for index, part in enumerate(parts):
        own = f"{place}{part}"
        if is_file(folder / own / "__init__.py"):
            files.append(f"{own}/__init__.py")
        elif is_file(folder / f"{own}.py"):
            files.append(f"{own}.py")
            is_last = index == len(parts) - 1
            return _Located(tuple(files), is_whole=is_last, is_regular=is_regular or not index)
        elif not (folder / own).is_dir():
            return None if not index else _Located(tuple(files), is_whole=False, is_regular=is_regular)
        is_regular = is_regular or (not index and bool(files))
        place = f"{own}/"
    return _Located(tuple(files), is_whole=True, is_regular=is_regular)


def is_file(path: Path) -> bool:
    """Say whether a path leads to a regular file; what cannot be looked at is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _absolute(statement: _Statement, file: str) -> list[str] | None:
    """Return the parts of the name of the module; None where the dots lead above the folder."""
    own = statement.module.split(".") if statement.module else []
    if not statement.level:
        return own
    package = list(PurePosixPath(file).parent.parts)
    above = statement.level - 1
    return None if above > len(package) else [*package[: len(package) - above], *own]


# --- Statements ----------------------------------------------------------------------------------------


def _statements(tree: ast.Module) -> Iterator[_Statement]:
    """Yield the imports of a module, those in functions too, but none that only type checkers look at."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, optional = pending.pop()
        children: list[ast.AST] = [*ast.iter_child_nodes(node)]
        match node:
            case ast.Import(names=names):
                yield from (_Statement(each.name, (), 0, _where(node), optional) for each in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                imported = tuple(each.name for each in names)
                yield _Statement(module or "", imported, level, _where(node), optional)
            case ast.Call():
                yield from _dynamic(node, optional)
            case ast.If(test=test) if _never_runs(test):
                children = [*node.orelse]
            case ast.If(test=test):
                optional = optional or _asks_platform(test)
            case ast.Try(handlers=handlers):
                optional = optional or any(map(_catches_imports, handlers))
            case _:
                pass
        pending.extend((child, optional) for child in reversed(children))


def _where(node: ast.stmt | ast.expr) -> Where:
    end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return Where(node.lineno, node.col_offset + 1, end_line, end + 1)


def _dynamic(call: ast.Call, optional: bool) -> Iterator[_Statement]:
    """Yield what `importlib.import_module("name")` imports."""
    named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    match call.args:
        case [ast.Constant(value=str(name)), *_] if named in _CALLS:
            module = name.lstrip(".")
            if all(part.isidentifier() for part in module.split(".")):
                yield _Statement(module, (), len(name) - len(module), _where(call), optional)
        case _:
            return


def _never_runs(test: ast.expr) -> bool:
    """Say whether what follows is for type checkers, or for the module as a script."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(
            left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant("__main__")]
        ):
            return True
        case _:
            return False


def _asks_platform(test: ast.expr) -> bool:
    """Say whether a condition is of the version of Python or of the system."""
    asked = [each for each in ast.walk(test) if isinstance(each, ast.Attribute)]
    return any(each.attr in _PLATFORM or ast.unparse(each) == "os.name" for each in asked)


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in _IMPORT_ERRORS for each in caught)


def _listed_names(file: Path) -> list[str]:
    """Return what a package's `__all__` lists, where it is written out."""
    tree = parse_module(file, file.name) if is_file(file) else None
    if not isinstance(tree, ast.Module):
        return []
    lists = [
        statement.value.elts
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.List | ast.Tuple)
        and any(isinstance(each, ast.Name) and each.id == "__all__" for each in statement.targets)
    ]
    elements = [each for elements in lists for each in elements]
    return [each.value for each in elements if isinstance(each, ast.Constant) and isinstance(each.value, str)]
