"""Finds targets by listing the folder that they lie in."""

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from graphc import targets
from graphc.targets.model import Target

DEFAULT: Final = "seldon"


def list_targets() -> list[str]:
    """Return the names of all targets; none is imported for that."""
    packages = (each.name for each in pkgutil.iter_modules(targets.__path__) if each.ispkg)
    return sorted(name for name in packages if find_spec(_module(name)) is not None)


def find_target(name: str) -> Target:
    """Return a target by its name, which is its package's; raises LookupError where there is none."""
    if name not in list_targets():
        raise LookupError(f"`{name}` is not a target; there are {', '.join(list_targets())}")
    target: object = import_module(_module(name)).TARGET
    assert isinstance(target, Target)
    return target


def _module(name: str) -> str:
    return f"{targets.__name__}.{name}.target"
