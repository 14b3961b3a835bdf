"""Finds targets by listing the folder that they lie in."""

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from graphc import targets
from graphc.diagnostics.printable import quoted
from graphc.targets.interface import Target

DEFAULT: Final = "seldon"


def list_targets() -> list[str]:
    """Return the names of all targets; none is imported for that."""
    packages = (each.name for each in pkgutil.iter_modules(targets.__path__) if each.ispkg)
    return sorted(name for name in packages if find_spec(_module(name)) is not None)


def find_target(name: str) -> Target:
    """Return a target by its name, which is its package's; raises LookupError where there is none."""
    if name not in list_targets():
        raise LookupError(describe_unknown(name))
    target: object = import_module(_module(name)).TARGET
    assert isinstance(target, Target)
    return target


def describe_unknown(name: str) -> str:
    """Say that no target has a name, and which names there are."""
    names = list_targets()
    listed = ", ".join(f"`{each}`" for each in names)
    return f"{quoted(name)} is not a target; there {'is' if len(names) == 1 else 'are'} {listed}"


def _module(name: str) -> str:
    return f"{targets.__name__}.{name}.target"
