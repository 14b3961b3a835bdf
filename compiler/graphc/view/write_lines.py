"""Writes a picture as lines of text, for a terminal."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from graphc.view.drawing import Box, Drawing

_ALONE = ""


def write_lines(drawing: Drawing) -> str:
    """Return a line for each box, in the order in which they can run: what it is, reads and gives."""
    return "\n".join([f"{drawing.title}, {drawing.subtitle}", *_blocks(drawing), ""])


def _blocks(drawing: Drawing) -> Iterator[str]:
    frames = {member: frame.title for frame in drawing.frames for member in frame.members}
    titles = {box.id: box.title for box in drawing.boxes}
    reads: dict[str, list[str]] = defaultdict(list)
    for arrow in drawing.arrows:
        mark = "?" if arrow.is_choice else ""
        reads[arrow.target].append(titles[arrow.source] + mark)
    width = max(len(box.title) for box in drawing.boxes)
    kinds = max(len(box.subtitle) for box in drawing.boxes)
    last = _ALONE
    for box in _order(drawing, frames):
        unit = frames.get(box.id, _ALONE)
        if unit not in (last, _ALONE):
            yield f"  unit {unit}"
        last = unit
        indent, names = "    " if unit else "  ", _write_reads(reads[box.id])
        yield f"{indent}{_mark(box)} {box.title:<{width}}  {box.subtitle:<{kinds}}  {names}".rstrip()


def _order(drawing: Drawing, frames: Mapping[str, str]) -> list[Box]:
    """Return the boxes in the order in which they can run, those of a unit together."""
    before: dict[str, dict[str, None]] = {frames.get(box.id, box.id): {} for box in drawing.boxes}
    for arrow in drawing.arrows:
        source, target = (frames.get(each, each) for each in (arrow.source, arrow.target))
        if source != target:
            before[target][source] = None
    places = {each: place for place, each in enumerate(TopologicalSorter(before).static_order())}
    ends = {"input": -1, "output": len(places)}
    return sorted(drawing.boxes, key=lambda box: ends.get(box.kind, places[frames.get(box.id, box.id)]))


def _mark(box: Box) -> str:
    return {"input": ">", "output": "<"}.get(box.kind, "*" if box.is_slow else "-")


def _write_reads(names: list[str]) -> str:
    return f"<- {', '.join(names)}" if names else ""
