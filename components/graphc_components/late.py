"""Modules that are imported when something of them is first used, so that a compiler reads declarations without numpy.

A type checker sees the modules themselves. After the first use each is a plain module with the same contents, so that a
function that runs for each request pays nothing.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

__all__ = ["choices", "datatypes", "limits", "np", "quiet", "settle", "steps"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_QUIET: Final = "_graphc_quiet"
"""Where a function keeps the one that it keeps quiet."""

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


def quiet(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have numpy not warn while a function runs: what overflows or is no number is in the answer.

    numpy enters and leaves that state in C where it decorates, which a `with` in each request costs 2 us more for.
    """
    decorated: Callable[_P, _T] | None = None

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        nonlocal decorated
        if decorated is None:
            decorated = np.errstate(all="ignore")(function)
        return decorated(*args, **kwargs)

    vars(run)[_QUIET] = function
    return run


def settle(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function as it runs with the least around it, once numpy is there anyway."""
    loud = vars(function).get(_QUIET)
    return function if loud is None else cast("Callable[_P, _T]", np.errstate(all="ignore")(loud))
