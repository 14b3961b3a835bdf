"""Writes a picture for Graphviz."""

from collections.abc import Iterator
from typing import Final

from graphc.view.drawing import Drawing, Kind

_SHAPES: Final[dict[Kind, str]] = {
    "input": "oval",
    "output": "oval",
    "model": "box",
    "component": "box",
    "python": "component",
    "server": "box3d",
    "choice": "diamond",
}


def write_dot(drawing: Drawing) -> str:
    """Return a digraph; the boxes of a frame are a cluster."""
    return "\n".join(
        [f"digraph {_quote(drawing.title)} {{", *(f"  {line}" for line in _lines(drawing)), "}", ""]
    )


def _lines(drawing: Drawing) -> Iterator[str]:
    yield "rankdir=LR;"
    yield f"label={_quote(f'{drawing.title}, {drawing.subtitle}')};"
    boxes = {box.id: box for box in drawing.boxes}
    for index, frame in enumerate(drawing.frames):
        yield f"subgraph cluster_{index} {{"
        yield f"  label={_quote(frame.title)};"
        yield from (f"  {_quote(member)};" for member in frame.members)
        yield "}"
    for box in boxes.values():
        label = _quote(f"{box.title}\n{box.subtitle}")
        yield f"{_quote(box.id)} [label={label}, shape={_SHAPES[box.kind]}];"
    for arrow in drawing.arrows:
        style = ", style=dashed" if arrow.is_choice else ""
        label = _quote("\n".join(arrow.tensors))
        yield f"{_quote(arrow.source)} -> {_quote(arrow.target)} [label={label}{style}];"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
