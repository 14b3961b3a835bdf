"""Modules that are imported when something of them is first used, so that a compiler reads declarations without numpy.

A type checker sees the modules themselves. After the first use each is a plain module with the same contents, so that a
function that runs for each request pays nothing.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["choices", "datatypes", "limits", "np", "steps"]

if TYPE_CHECKING:
    import numpy as np

    from graphc_components import choices, datatypes, limits
    from graphc_components.onnx_forms import steps
else:

    class _Late(ModuleType):
        def __getattr__(self, name: str) -> object:
            vars(self).update(vars(import_module(self.__name__)))
            # Python reads attributes of a plain module fastest, as importlib's LazyLoader knows too.
            self.__class__ = ModuleType
            return getattr(self, name)

    np = _Late("numpy")
    choices = _Late("graphc_components.choices")
    datatypes = _Late("graphc_components.datatypes")
    limits = _Late("graphc_components.limits")
    steps = _Late("graphc_components.onnx_forms.steps")
