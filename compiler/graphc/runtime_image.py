"""What the runtime image for processors has: the truth that models and modules are judged against."""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from graphc.records import record

_OWN: Final = frozenset({"graphc_components", "graphc_runtimes"})


@record
class RuntimeImage:
    """An image's Python, its packages with their versions, and the modules that can be imported in it."""

    python: str
    packages: Mapping[str, str]
    modules: frozenset[str]

    def has_module(self, name: str) -> bool:
        """Say whether a module can be imported, as far as its first name tells."""
        top = name.partition(".")[0]
        return top in self.modules or top in sys.stdlib_module_names


@cache
def read_image() -> RuntimeImage:
    """Return the table that comes with graphc, which is made of the lock file that the image installs."""
    text = Path(__file__).with_name("runtime_image.txt").read_text("utf-8")
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    packages = {name: version for name, version, *_ in rows}
    modules = frozenset(module for _, _, *modules in rows for module in modules)
    return RuntimeImage(packages.pop("python"), packages, modules | _OWN)
