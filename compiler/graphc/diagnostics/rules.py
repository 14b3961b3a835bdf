"""Every rule of graphc, gathered from the modules of `codes`; each stage imports only its own module."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from graphc.diagnostics import codes
from graphc.diagnostics.diagnostic import Rule


def gather(rules: Iterator[Rule]) -> Mapping[str, Rule]:
    """Index rules by code, in the codes' order; ValueError where a code is used twice."""
    by_code: dict[str, Rule] = {}
    for rule in sorted(rules, key=lambda each: each.code):
        if rule.code in by_code:
            raise ValueError(
                f"two rules share a code: {rule.name} and {by_code[rule.code].name} are {rule.code}"
            )
        by_code[rule.code] = rule
    return MappingProxyType(by_code)


def _declared() -> Iterator[Rule]:
    for module in sorted(pkgutil.iter_modules(codes.__path__), key=lambda each: each.name):
        values = vars(importlib.import_module(f"{codes.__name__}.{module.name}")).values()
        yield from (value for value in values if isinstance(value, Rule))


RULES: Final[Mapping[str, Rule]] = gather(_declared())
"""Every rule by its code."""
