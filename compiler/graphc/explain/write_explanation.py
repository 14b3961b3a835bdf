"""Writes an explained plan for people, in lines of a hundred columns."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from graphc.explain.explain_plan import ExplainedNode, ExplainedUnit, Explanation
from graphc.explain.figures import show_bytes, show_ms
from graphc.gpus.ask import show_mib
from graphc.hardware.assign import Landing

WIDTH: Final = 100
SHOWN: Final = 40
"""Entries of one list; more are counted."""

_WORDS: Final = {
    "apart": "apart",
    "forced": "forced",
    "fused": "fused",
    "entrance": "entrance",
    "join": "joining",
    "parallel": "side by side",
    "pooled": "one device",
    "route": "router",
    "sequence": "in sequence",
    "shortened": "joined",
}
"""What a decision is called."""


def write_explanation(plan: Explanation) -> str:
    """Return the text of an explanation; it ends with a line break."""
    predicted = f"{show_ms(plan.ms)} predicted for a request of {_rows(plan.batch)}"
    head = f"{plan.graph}, predictor {plan.predictor}: {predicted}"
    blocks = [
        [head],
        _block("units", _write_tree(plan)),
        _block("hardware", _write_landings(plan)),
        _block("slowest way", _write_way(plan)),
        _block("at once", (" | ".join(names) for names in plan.at_once)),
        _block("edges between units", _write_messages(plan)),
        _block("why", _write_decisions(plan)),
        _block("merging of ONNX models", _write_merges(plan)),
        _block("losses on the target", _write_losses(plan)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _block(title: str, lines: Iterator[str]) -> list[str]:
    inside = [f"  {line}".rstrip() for line in lines]
    return [title, *inside] if inside else []


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


# Units


def _write_tree(plan: Explanation) -> Iterator[str]:
    units = {unit.name: unit for unit in plan.units}
    children = {name for unit in plan.units for name in unit.children}
    root = next(unit for unit in plan.units if unit.name not in children)
    yield from _write_unit(root, units, "", "")


def _write_unit(unit: ExplainedUnit, units: dict[str, ExplainedUnit], lead: str, below: str) -> Iterator[str]:
    time = f"{show_ms(unit.work_ms)} of work + {show_ms(unit.hop_ms)} hop"
    yield f"{lead}{unit.name}  {unit.type}  {time}, {show_bytes(unit.takes)} in, {show_bytes(unit.answers)} out"
    last = len(unit.children) - 1
    stem = below + ("│  " if unit.children else "   ")
    nodes = _listed([_write_node(node) for node in unit.nodes]) or "no nodes"
    yield from (f"{stem} {line}" for line in _wrap(nodes, WIDTH - len(stem) - 3, ""))
    for index, child in enumerate(unit.children):
        branch, under = ("└─ ", "   ") if index == last else ("├─ ", "│  ")
        yield from _write_unit(units[child], units, below + branch, below + under)


def _write_node(node: ExplainedNode) -> str:
    known = {"declared": ", declared", "measured": ", measured", "size": ", by size"}.get(node.source, "")
    return f"{node.name} ({show_ms(node.ms)}{known})"


def _write_way(plan: Explanation) -> Iterator[str]:
    units = {unit.name: unit for unit in plan.units}
    way = " -> ".join(f"{name} {show_ms(units[name].work_ms + units[name].hop_ms)}" for name in plan.way)
    total = f" = {show_ms(plan.ms)}" if len(plan.way) > 1 else ""
    yield from _wrap(way + total, WIDTH - 2, "  ")
    hops = f"{plan.hops} hop{'s' * (plan.hops != 1)} for one request"
    waits = f", {len(plan.way)} of them one after another" if plan.hops > len(plan.way) else ""
    yield f"{hops}{waits}"


# Hardware


def _write_landings(plan: Explanation) -> Iterator[str]:
    for landing in plan.landings[:SHOWN]:
        pools = _listed(landing.pools) or "no pool"
        yield from _wrap(f"{landing.unit}: {_what(landing)}, in {pools}.", WIDTH - 2, "  ")
        yield from _wrap(f"  {landing.because}.", WIDTH - 2, "  ")
    if len(plan.landings) > SHOWN:
        yield f"and {len(plan.landings) - SHOWN} more"


def _what(landing: Landing) -> str:
    if landing.resource is None:
        return landing.part
    own = "" if landing.is_isolated else " that others may take"
    memory = f"{show_mib(landing.memory_mib)}{' each' if landing.count > 1 else ''}{own}"
    return f"{landing.count} {landing.resource}, {landing.part} ({memory})"


# Messages


def _write_messages(plan: Explanation) -> Iterator[str]:
    rows = [
        (
            message.tensor,
            message.type,
            show_bytes(message.bytes),
            f"{message.source or 'client'} -> {message.target or 'client'}",
        )
        for message in plan.messages[:SHOWN]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    for tensor, type_, size, way in rows:
        yield f"{tensor:<{widths[0]}}  {type_:<{widths[1]}}  {size:>{widths[2]}}  {way}"
    if len(plan.messages) > SHOWN:
        yield f"and {len(plan.messages) - SHOWN} more"


# Decisions


def _write_decisions(plan: Explanation) -> Iterator[str]:
    for decision in plan.decisions:
        every = len(decision.units) == len(plan.units) > 1
        units = "all units" if every else _listed(decision.units)
        text = f"{units}, {_WORDS[decision.kind]}: {decision.because}."
        yield from _wrap(text, WIDTH - 2, "  ")


def _write_merges(plan: Explanation) -> Iterator[str]:
    for merge in plan.merges[:SHOWN]:
        text = f"{_listed(merge.nodes)}, {merge.kind}: {merge.reason}."
        yield from _wrap(text, WIDTH - 2, "  ")
    if len(plan.merges) > SHOWN:
        yield f"and {len(plan.merges) - SHOWN} more"


def _write_losses(plan: Explanation) -> Iterator[str]:
    for loss in plan.losses[:SHOWN]:
        allowed = ", allowed" if loss.allowed else ""
        yield from _wrap(f"{loss.code} {loss.rule}{allowed}: {loss.message}.", WIDTH - 2, "  ")
    if len(plan.losses) > SHOWN:
        yield f"and {len(plan.losses) - SHOWN} more"


def _wrap(text: str, width: int, indent: str) -> Iterator[str]:
    """Break a text into lines, never between a number and its unit."""
    kept = text.replace(" ms", "\u00a0ms").replace(", by size", ",\u00a0by\u00a0size")
    lines = wrap(kept, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return (line.replace("\u00a0", " ") for line in lines)


def _listed(words: Sequence[str]) -> str:
    more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return ", ".join([*words[:SHOWN], *more])
