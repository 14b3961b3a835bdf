"""Writes a picture as a Mermaid flowchart, which pages, notebooks and forges show."""

import re
from collections.abc import Iterator
from typing import Final

from graphc.view.drawing import Box, Drawing

_UNSAFE: Final = re.compile(r"[^\w .,:;/()\[\]+-]")
_LETTERS: Final = {"input": "i", "output": "o"}


def write_mermaid(drawing: Drawing) -> str:
    """Return a flowchart; the boxes of a frame are a subgraph."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _lines(drawing)), ""])


def _lines(drawing: Drawing) -> Iterator[str]:
    marks = {box.id: f"{_LETTERS.get(box.kind, 'n')}{index}" for index, box in enumerate(drawing.boxes)}
    framed = {member for frame in drawing.frames for member in frame.members}
    boxes = {box.id: box for box in drawing.boxes}
    yield from (f"{marks[box.id]}{_shape(box)}" for box in drawing.boxes if box.id not in framed)
    for index, frame in enumerate(drawing.frames):
        yield f'subgraph u{index}["{_clean(frame.title)}"]'
        yield from (f"  {marks[member]}{_shape(boxes[member])}" for member in frame.members)
        yield "end"
    for arrow in drawing.arrows:
        line = "-.->" if arrow.is_choice else "-->"
        yield f"{marks[arrow.source]} {line} {marks[arrow.target]}"


def _shape(box: Box) -> str:
    text, below = _clean(box.title), _clean(box.subtitle)
    match box.kind:
        case "input" | "output":
            return f'(["{text}<br/>{below}"])'
        case "model" | "python":
            return f'["{text}<br/><i>{below}</i>"]'
        case "server":
            return f'[["{text}<br/><i>{below}</i>"]]'
        case "component":
            return f'("{text}<br/><i>{below}</i>")'
        case "choice":
            return f'{{{{"{text}<br/><i>{below}</i>"}}}}'


def _clean(text: str) -> str:
    return _UNSAFE.sub("_", text)
