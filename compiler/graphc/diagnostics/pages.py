"""The pages that explain rules, and finding a rule by what a user calls it."""

import re
from importlib.resources import files
from typing import Final

from graphc.diagnostics.diagnostic import Rule
from graphc.diagnostics.rules import RULES
from graphc.diagnostics.suggest import nearest

_CODE: Final = re.compile(r"GC\d+", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_ ][A-Za-z0-9]+)*")


def names_rule(text: str) -> bool:
    """Say whether a text looks like a rule's code or name, known or not; a file's name does not."""
    return _CODE.fullmatch(text) is not None or _NAME.fullmatch(text) is not None


def find_rule(text: str) -> Rule | None:
    """Return the rule of that code or name, in any case."""
    name = _as_name(text)
    by_name = (rule for rule in RULES.values() if rule.name == name)
    return RULES.get(text.upper()) or next(by_name, None)


def nearest_rule(text: str) -> str | None:
    """Return the code or name that was probably meant."""
    if _CODE.fullmatch(text):
        return nearest(text.upper(), RULES)
    return nearest(_as_name(text), (rule.name for rule in RULES.values()))


def read_page(rule: Rule) -> str:
    """Return the page of a rule, in Markdown."""
    return files("graphc.diagnostics").joinpath("explain", f"{rule.code}.md").read_text("utf-8")


def _as_name(text: str) -> str:
    return text.lower().replace("_", "-").replace(" ", "-")
