"""Finds what differs between two views, each difference at the highest place that is all new or all gone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from graphc.cluster.view import conceal, is_secret
from graphc.ir.graph import Value

Path = tuple[str, ...]
Action = Literal["add", "remove", "change"]

MOST_CHARACTERS: Final = 72


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what was there, and what will be."""

    path: Path
    action: Action
    before: Value = None
    after: Value = None

    def words(self) -> str:
        """Return the difference on one line, without secrets."""
        place = describe_path(self.path)
        if self.action == "change":
            return f"{place}: {self.show(self.before)} → {self.show(self.after)}"
        shown = self.show(self.before if self.action == "remove" else self.after)
        return f"{place}: {shown}" if shown else place

    def show(self, value: Value) -> str:
        """Return a value's text, for people."""
        if (
            len(self.path) > 1
            and "env" in self.path[:-1]
            and is_secret(self.path[self.path.index("env") + 1])
        ):
            return "(not shown)"
        if isinstance(value, dict | list) and value and _is_named(self.path):
            return ""
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return _clip(conceal(shown))


def _is_named(path: Path) -> bool:
    """Say whether the name of what is at the path is enough to know what comes or goes."""
    return (len(path) == 2 and path[0] == "predictors") or (len(path) == 4 and path[2] in {"nodes", "units"})


def _clip(words: str) -> str:
    words = "".join(each if each.isprintable() else " " for each in words)
    return words if len(words) <= MOST_CHARACTERS else f"{words[: MOST_CHARACTERS - 3]}..."


def find_changes(before: Value, after: Value, path: Path = ()) -> Iterator[Difference]:
    """Yield the differences in the order of the new view, what is gone last."""
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in after.items():
            if key in before:
                yield from find_changes(before[key], value, (*path, key))
            elif value not in ({}, []):
                yield Difference((*path, key), "add", None, value)
        for key, value in before.items():
            if key not in after and value not in ({}, []):
                yield Difference((*path, key), "remove", value, None)
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from find_changes(old, new, (*path, str(index)))
        return
    yield Difference(path, "change", before, after)


def _same(before: Value, after: Value) -> bool:
    """Say whether two values are equal and of one kind: to Python, 1 is True."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def describe_path(path: Path) -> str:
    """Say where a difference is, in the words of a graph file."""
    match path:
        case ("predictors", predictor):
            return f"predictor `{predictor}`"
        case ("predictors", predictor, *rest):
            return f"`{predictor}` {_in_predictor(rest)}"
        case ("order",):
            return "order of the predictors"
        case ("rest", *rest):
            return ".".join(rest)
        case _:
            return ".".join(path)


def _in_predictor(path: list[str]) -> str:
    match path:
        case ["nodes", node]:
            return f"node `{node}`"
        case ["nodes", node, "content"]:
            return f"node `{node}`: content"
        case ["nodes", node, *rest]:
            return f"node `{node}`: {'.'.join(rest)}"
        case ["units", unit]:
            return f"unit `{unit}`"
        case ["units", unit, *rest]:
            return f"unit `{unit}`: {'.'.join(rest)}"
        case ["inputs" | "outputs" as side, name]:
            return f"{side[:-1]} `{name}` of the graph"
        case ["rest", *rest]:
            return ".".join(rest)
        case _:
            return ".".join(path)
