"""Writes plans, histories and states, for people and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from graphc.cluster.client import Ref
from graphc.cluster.difference import Action, Difference
from graphc.cluster.planning import GraphPlan, Step, Verb
from graphc.cluster.records import Entry, Pending, State
from graphc.cluster.view import conceal
from graphc.diagnostics.printable import printable
from graphc.ir.graph import Value
from graphc.unchecked import Data

SIGNS: Final[dict[str, str]] = {
    "create": "+",
    "add": "+",
    "update": "~",
    "change": "~",
    "delete": "-",
    "remove": "-",
}
COLORS: Final = {"+": "\x1b[32m", "~": "\x1b[33m", "-": "\x1b[31m", "!": "\x1b[1;31m"}
RESET: Final = "\x1b[0m"
MOST_CONFLICTS: Final = 20


def write_plan(plan: GraphPlan, *, color: bool = False) -> str:
    """Return a plan as text; one that changes nothing is one line."""
    shown = map(printable, _lines(plan))
    return "".join(f"{_paint(line) if color else line}\n" for line in shown)


def _paint(line: str) -> str:
    start = COLORS.get(line.lstrip()[:1])
    return f"{start}{line}{RESET}" if start else line


def _lines(plan: GraphPlan) -> Iterator[str]:
    name = f"{plan.bundle.name} ({plan.bundle.namespace})"
    pending = plan.state.pending
    if pending is not None:
        yield f"{name}: {describe_pending(pending)}"
    if plan.is_silent and not plan.conflicts:
        yield f"{name}: no change"
        return
    yield f"{name}: {count(plan.steps)}"
    for step in plan.steps:
        if step.verb != "keep":
            yield f"  {SIGNS[step.verb]} {step.ref}"
        yield from (f"      {SIGNS[action]} {words}" for action, words in group_changes(step.changes))
    for danger in plan.dangers:
        yield f"  ! {danger.message}"
    for ref in plan.foreign:
        yield f"  ! {ref} was made by graphc and belongs to somebody else now; it stays"
    if plan.promoted is not None:
        yield f"  ! {describe_promotion(plan)}"
    yield from describe_conflicts(plan)


def describe_conflicts(plan: GraphPlan) -> Iterator[str]:
    """Yield a line for each field that somebody else decided otherwise."""
    for each in plan.conflicts[:MOST_CONFLICTS]:
        yield printable(f"  ! conflict: {each.ref}: `{each.field}` belongs to `{each.manager}`")
    if len(plan.conflicts) > MOST_CONFLICTS:
        yield f"  ! and {len(plan.conflicts) - MOST_CONFLICTS} more conflicts"


def describe_promotion(plan: GraphPlan) -> str:
    """Say what a file undoes that does not know of a promotion."""
    promotion = plan.promoted
    assert promotion is not None
    moved = ", ".join(f"{name} {share}" for name, share in promotion.moved.items())
    return printable(
        f"`{promotion.target}` was promoted since (traffic: {moved}), and the file does not say so"
    )


def describe_pending(pending: Pending) -> str:
    """Say what was left unfinished, or is under way."""
    base = f"revision {pending.base} served before" if pending.base is not None else "nothing served before"
    return printable(
        f"unfinished: {pending.what} (revision {pending.revision}, {pending.step}), "
        f"begun {pending.started} by {pending.holder.who}; {base}"
    )


def group_changes(changes: Sequence[Difference]) -> Iterator[tuple[Action, str]]:
    """Yield each change in words, with what it does; one that all predictors share is one."""
    names = {each.path[1] for each in changes if len(each.path) > 2 and each.path[0] == "predictors"}
    seen: dict[tuple[object, ...], list[Difference]] = {}
    for each in changes:
        key = (each.action, each.path[2:], json.dumps([each.before, each.after], sort_keys=True))
        inner = len(each.path) > 2 and each.path[0] == "predictors"
        seen.setdefault(key if inner else (each.path,), []).append(each)
    for group in seen.values():
        first = group[0]
        words = first.words()
        if len(group) > 1 and len(group) == len(names):
            place = f"`{first.path[1]}` "
            words = f"every predictor: {words.removeprefix(place)}"
            yield first.action, words
        else:
            for each in group:
                yield each.action, each.words()


def count(steps: Sequence[Step]) -> str:
    """Say how many objects are made, changed and deleted."""
    verbs: tuple[tuple[Verb, str], ...] = (
        ("create", "to create"),
        ("update", "to change"),
        ("delete", "to delete"),
    )
    counts = [(sum(step.verb == verb for step in steps), words) for verb, words in verbs]
    return ", ".join(f"{number} {words}" for number, words in counts if number) or "no change"


def plan_as_data(plan: GraphPlan) -> Data:
    """Return a plan as plain data."""
    return {
        "graph": plan.bundle.name,
        "namespace": plan.bundle.namespace,
        "changed": not plan.is_silent,
        "objects": [_step(step) for step in plan.steps],
        "dangers": [{"kind": each.kind, "message": each.message} for each in plan.dangers],
        "conflicts": [
            {**_ref(each.ref), "field": each.field, "manager": each.manager} for each in plan.conflicts
        ],
        "foreign": [_ref(each) for each in plan.foreign],
        "promotion_undone": plan.promoted is not None,
        "unfinished": describe_pending(plan.state.pending) if plan.state.pending else None,
    }


def _ref(ref: Ref) -> Data:
    return {
        "apiVersion": ref.kind.api_version,
        "kind": ref.kind.kind,
        "namespace": ref.namespace,
        "name": ref.name,
    }


def _step(step: Step) -> Data:
    return {**_ref(step.ref), "action": step.verb, "changes": [_change(each) for each in step.changes]}


def _change(change: Difference) -> Data:
    path: list[Value] = list(change.path)
    before, after = change.show(change.before), change.show(change.after)
    plain = isinstance(change.before, int | float | None) and isinstance(change.after, int | float | None)
    return {
        "path": path,
        "action": change.action,
        "before": change.before if plain else before,
        "after": change.after if plain else after,
        "text": change.words(),
    }


def write_data(data: Value) -> str:
    """Return data as JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def entry_as_data(entry: Entry) -> Data:
    """Return a line of the history as plain data."""
    return {
        "revision": entry.revision,
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "outcome": entry.outcome,
        "changes": [conceal(each) for each in entry.changes],
        "traffic": dict[str, Value](entry.traffic),
        "can_return": entry.is_kept,
    }


def write_history(state: State) -> str:
    """Return the history as text, the newest revision first."""
    lines: list[str] = []
    for entry in reversed(state.entries):
        current = " (serving)" if entry.revision == state.current else ""
        who = f" by {entry.who}" if entry.who else ""
        outcome = f": {entry.outcome}" if entry.outcome.startswith("failed") else ""
        gone = "" if entry.is_kept or outcome else " (no longer kept)"
        lines.append(f"{entry.revision:>4}  {entry.at}  {entry.what}{who}{current}{gone}{outcome}")
        lines += [f"        {change}" for change in entry.changes]
    if state.pending is not None:
        lines.append(describe_pending(state.pending))
    return "".join(f"{printable(line)}\n" for line in lines)
