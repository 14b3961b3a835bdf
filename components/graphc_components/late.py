"""Modules that are imported when something of them is first used, so that a compiler reads declarations without numpy.

A type checker sees the modules themselves. After its first use a name is an attribute like any other, so that a
function that runs for each request pays nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["choices", "datatypes", "limits", "np", "steps"]

if TYPE_CHECKING:
    import numpy as np

    from graphc_components import choices, datatypes, limits
    from graphc_components.onnx_forms import steps
else:

    class _Late:
        def __init__(self, module: str) -> None:
            self._module = module

        def __getattr__(self, name: str) -> object:
            found = getattr(import_module(self._module), name)
            setattr(self, name, found)
            return found

    np = _Late("numpy")
    choices = _Late("graphc_components.choices")
    datatypes = _Late("graphc_components.datatypes")
    limits = _Late("graphc_components.limits")
    steps = _Late("graphc_components.onnx_forms.steps")
