"""Writes one picture in a format."""

import json
from dataclasses import asdict
from typing import Final, Literal

from graphc.view.drawing import Drawing
from graphc.view.place import choose_larger, find_layers, place_both
from graphc.view.write_dot import write_dot
from graphc.view.write_lines import write_lines
from graphc.view.write_mermaid import write_mermaid
from graphc.view.write_svg import write_svg

Format = Literal["svg", "mermaid", "dot", "text", "json"]

_PAPER: Final = (1200.0, 900.0)
"""The room that SVG is laid out for."""


def write_drawing(drawing: Drawing, format_: Format) -> str:
    """Return a picture in a format; raises ViewError for SVG where the library that places boxes is not there."""
    match format_:
        case "svg":
            return write_svg(drawing, choose_larger(place_both(find_layers(drawing)), *_PAPER))
        case "mermaid":
            return write_mermaid(drawing)
        case "dot":
            return write_dot(drawing)
        case "json":
            return json.dumps(asdict(drawing), indent=2, ensure_ascii=False) + "\n"
        case _:
            return write_lines(drawing)
