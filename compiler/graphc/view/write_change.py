"""Writes a change as lines of text: for each predictor what becomes of it, of its nodes and of its units."""

from collections.abc import Iterator, Sequence

from graphc.records import record
from graphc.view.drawing import SIGNS, Change, Drawing, Told


@record
class ChangedPredictor:
    """A predictor before and after a change: what becomes of it, its two pictures, and all of that in words."""

    name: str
    change: Change | None
    graph: Drawing
    plan: Drawing
    told: tuple[Told, ...]


def find_told(own: Sequence[Told], graph: Drawing, plan: Drawing) -> tuple[Told, ...]:
    """Return all changes of a predictor, its own first; what both pictures tell is told once."""
    # A plan has nodes that graphc made of the file's: what a file says is told of those.
    units = [each for each in plan.told or () if each.text.startswith("unit ")]
    return (*own, *(graph.told or ()), *units)


def write_change(title: str, whole: Sequence[Told], predictors: Sequence[ChangedPredictor]) -> str:
    """Return the lines; predictors that change alike are told together."""
    lines = [title, f"  {legend()}", *(f"  {each.line}" for each in whole)]
    for names, found in group_alike(predictors):
        lines.append(f"{names}: {found.plan.subtitle}")
        lines += [f"  {each.line}" for each in found.told] or ["  nothing changes"]
    return "\n".join([*lines, ""])


def legend() -> str:
    """Return what the signs mean."""
    return ", ".join(f"{sign} {change}" for change, sign in SIGNS.items())


def group_alike(
    predictors: Sequence[ChangedPredictor],
) -> Iterator[tuple[str, ChangedPredictor]]:
    """Yield predictors, those that change alike once, with all their names."""
    groups: dict[tuple[object, ...], list[ChangedPredictor]] = {}
    for each in predictors:
        groups.setdefault((each.change, each.told, each.plan.subtitle), []).append(each)
    for found in groups.values():
        *names, last = (_name(each) for each in found)
        yield f"{', '.join(names)} and {last}" if names else last, found[0]


def _name(predictor: ChangedPredictor) -> str:
    return (
        predictor.name if predictor.change in (None, "changed") else f"{predictor.name} ({predictor.change})"
    )
