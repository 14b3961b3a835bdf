"""MLServer without pandas, which it imports for one codec and which takes a third of a unit's start.

`import_mlserver` comes before anything else that imports MLServer. Whoever asks for the codec afterwards gets it, and
pandas with it.
"""
# pyright: reportMissingTypeStubs=false

import sys
from importlib import import_module
from types import ModuleType
from typing import Final

_PACKAGE: Final = "mlserver.codecs"
_MODULE: Final = "mlserver.codecs.pandas"
_CODEC: Final = "PandasCodec"


def import_mlserver() -> None:
    """Import MLServer, which finds an empty class in the place of the codec for data frames.

    Where MLServer is imported already, or has no such module, nothing is done.
    """
    if _PACKAGE in sys.modules:
        return
    stand_in = ModuleType(_MODULE)
    setattr(stand_in, _CODEC, type(_CODEC, (), {}))
    sys.modules[_MODULE] = stand_in
    try:
        package = import_module(_PACKAGE)
    finally:
        del sys.modules[_MODULE]
    if vars(package).pop(_CODEC, None) is not None:
        # As a module's own function of that name, it is asked for what the module lacks (PEP 562).
        vars(package)["__getattr__"] = _find


def register_codec() -> None:
    """Let MLServer find the codec by its content type too, as a model of the user's may expect."""
    import_module(_MODULE)


def _find(name: str) -> object:
    if name == _MODULE.rpartition(".")[2]:
        # Importing it makes it an attribute of its package.
        return import_module(_MODULE)
    if name != _CODEC:
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
    found: object = getattr(import_module(_MODULE), _CODEC)
    setattr(sys.modules[_PACKAGE], _CODEC, found)
    return found
