"""Imports the user's own modules: each node has its own, even where other modules have the same names.

A module of a node's folder is imported inside a package of the node's own. Its plain `import helper` means the
folder's `helper.py` there, at the top of a module and in a function alike, and all else as anywhere. What imports
by name without being a module of the node, as unpickling does, finds the folder's modules where nothing that is
installed has the name.
"""

import builtins
import importlib
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PREFIX: Final = "_graphc_node_"

# Reads and changes what all imports of the process share.
_LOADING: Final = threading.RLock()


def import_private(node: str, module: str, folder: Path) -> ModuleType:
    """Import a module of a node's folder; raises what the module raises."""
    with _LOADING:
        space = _Space(package_of(node), folder)
        _FINDER.add(space)
        return importlib.import_module(f"{space.package}.{module}")


def package_of(node: str) -> str:
    """Return the name of the package that a node's modules are in."""
    return PREFIX + re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", node)


class _Space:
    """A node's folder, and what `import` means in its modules."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package, self.folder = package, folder
        self._own: dict[tuple[str, tuple[str, ...]], bool] = {}
        # CPython asks the builtins of a module for what `import` does in it.
        self.builtins: dict[str, Any] = vars(builtins) | {"__import__": self._import}

    def has(self, name: str, parts: Sequence[str] = ()) -> bool:
        """Say whether the folder has a module, so that an installed one of its name does not count."""
        key = (name, tuple(parts))
        if key not in self._own:
            self._own[key] = self._look(name.split("."), parts)
        return self._own[key]

    def _look(self, path: Sequence[str], parts: Sequence[str]) -> bool:
        if _is_module(self.folder / path[0]):
            return True
        # A folder without an `__init__.py` may hold data: it is a package where it has the module asked for.
        whole = self.folder.joinpath(*path)
        return (len(path) > 1 and _is_module(whole)) or any(_is_module(whole / part) for part in parts)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what `import` does, in a module of the node."""
        names = tuple(fromlist or ())
        # What C code imports for a module, such as an unpickler, it then looks up by the plain name: a list says so.
        if level or isinstance(fromlist, list) or not self.has(name, names):
            return builtins.__import__(name, globals, locals, names, level)
        module = importlib.import_module(f"{self.package}.{name}")
        if names:
            return builtins.__import__(f"{self.package}.{name}", globals, locals, names)
        return module if "." not in name else sys.modules[f"{self.package}.{name.partition('.')[0]}"]


def _is_module(path: Path) -> bool:
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _has_modules(folder: Path) -> bool:
    return folder.is_dir() and any(each.suffix == ".py" for each in folder.iterdir())


class _SpaceLoader(SourceFileLoader):
    """Runs a module of a node with the node's meaning of `import`."""

    def __init__(self, name: str, path: str, space: _Space) -> None:
        super().__init__(name, path)
        self._space = space

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._space.builtins
        super().exec_module(module)


class _Alias(Loader):
    """Gives a module that is imported already, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    """Finds the modules of all nodes' folders."""

    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}
        self._plain = _PlainFinder(self._spaces)

    def add(self, space: _Space) -> None:
        """Take a node's folder in, in place of what it had before; raises nothing."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
            sys.meta_path.append(self._plain)
        self._forget(space.package)
        # The newest comes first, where its modules load what they unpickle.
        others = {name: each for name, each in self._spaces.items() if name != space.package}
        self._spaces.clear()
        self._spaces.update({space.package: space} | others)
        holder = ModuleType(space.package)
        holder.__path__ = [str(space.folder)]
        sys.modules[space.package] = holder
        importlib.invalidate_caches()

    def _forget(self, package: str) -> None:
        # Other threads import meanwhile: the names are copied in one step.
        for name in list(sys.modules):
            own = getattr(sys.modules.get(name), "__name__", name)
            is_alias = own.startswith(PREFIX) and own != name
            if is_alias or name == package or name.startswith(f"{package}."):
                sys.modules.pop(name, None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        space = self._spaces.get(fullname.partition(".")[0])
        if space is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _SpaceLoader(spec.loader.name, spec.loader.path, space)
        return spec


class _PlainFinder(MetaPathFinder):
    """Finds modules of nodes by their plain names, where nothing else has them."""

    def __init__(self, spaces: Mapping[str, _Space]) -> None:
        self._spaces = spaces

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for space in list(self._spaces.values()):
            if space.has(fullname) or _has_modules(space.folder.joinpath(*fullname.split("."))):
                module = importlib.import_module(f"{space.package}.{fullname}")
                return ModuleSpec(fullname, _Alias(module), is_package=hasattr(module, "__path__"))
        return None


_FINDER: Final = _Finder()
