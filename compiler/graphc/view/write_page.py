"""Writes pictures as one page of HTML, which needs nothing else: no network, no other file."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from graphc.diagnostics import Span
from graphc.diagnostics.printable import conceal_in_place
from graphc.records import record
from graphc.view.drawing import Box, Drawing, Frame, Told
from graphc.view.place import Placed, choose_larger, find_layers, place_both
from graphc.view.write_svg import STYLE, draw_inner
from graphc.view.write_told import CHANGE_STYLE, PAGE_CHANGE_STYLE, write_told

_HERE: Final = Path(__file__).parent
_AROUND: Final = 1
"""So many lines of a file are shown before a node's own."""
_MOST_LINES: Final = 14
_ROOMS: Final = {"beside": (620.0, 800.0), "below": (1250.0, 390.0)}
"""How wide and high each of two pictures may be on most screens, by how they stand to each other."""


@record
class Tab:
    """The pictures of one predictor, and what it is called; where the file is not known, there is none of it."""

    name: str
    graph: Drawing | None
    plan: Drawing


def write_page(
    title: str,
    tabs: Sequence[Tab],
    sources: Mapping[str, str],
    told: Sequence[tuple[str, Sequence[Told]]] | None = None,
) -> str:
    """Return the page; `sources` has the texts of the files, and `told` says what changes. Raises ViewError."""
    items: list[dict[str, object]] = []
    views = [_write_view(tab, index, items, sources) for index, tab in enumerate(tabs)]
    script = (_HERE / "page.js").read_text("utf-8")
    parts = {
        "TITLE": escape(title),
        "STYLE": STYLE
        + (_HERE / "page.css").read_text("utf-8")
        + ("" if told is None else CHANGE_STYLE + PAGE_CHANGE_STYLE),
        "TOLD": "" if told is None else write_told(told),
        "TABS": "".join(_write_tabs(tabs)),
        "VIEWS": "".join(views),
        # Within a script nothing ends it but its own closing tag.
        "DATA": json.dumps(items, ensure_ascii=False).replace("<", "\\u003c"),
        "SCRIPT": script,
        "HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    page = (_HERE / "page.html").read_text("utf-8")
    # One mark after the other, from left to right: what stands for one may hold what looks like another.
    whole: list[str] = []
    for index, piece in enumerate(page.split("@")):
        whole.append(parts[piece] if index % 2 else piece)
    return "".join(whole)


def _write_tabs(tabs: Sequence[Tab]) -> Iterator[str]:
    for index, tab in enumerate(tabs):
        yield f'<button aria-selected="{str(not index).lower()}">{escape(tab.name)}</button>'


def _write_view(tab: Tab, index: int, items: list[dict[str, object]], sources: Mapping[str, str]) -> str:
    hidden = (" hidden" if index else "") + ("" if tab.graph else ' data-parts="plan"')
    drawings = {part: each for part, each in (("graph", tab.graph), ("plan", tab.plan)) if each}
    found = [place_both(find_layers(each)) for each in drawings.values()]
    arranged = {name: [choose_larger(both, *room) for both in found] for name, room in _ROOMS.items()}
    name = max(arranged, key=lambda name: min(each.scale_in(*_ROOMS[name]) for each in arranged[name]))
    pictures = (
        _write_picture(drawing, placed, part, f"{part}{index}", items, sources)
        for (part, drawing), placed in zip(drawings.items(), arranged[name], strict=True)
    )
    return f'<div class="view {name}"{hidden}>{"".join(pictures)}</div>'


def _write_picture(
    drawing: Drawing,
    placed: Placed,
    part: str,
    mark: str,
    items: list[dict[str, object]],
    sources: Mapping[str, str],
) -> str:
    places: dict[str, int] = {}
    for each in (*drawing.boxes, *drawing.frames):
        places[each.id] = len(items)
        items.append(_describe(each, drawing, sources))
    label = escape(f"{drawing.title}, {drawing.subtitle}")
    size = f'data-width="{placed.width:.0f}" data-height="{placed.height:.0f}"'
    inner = draw_inner(drawing, placed, mark, places)
    return (
        f'<section class="{part}"><h2>{escape(drawing.title)} <small>{escape(drawing.subtitle)}</small></h2>'
        f'<svg class="picture" {size} viewBox="0 0 {placed.width:.0f} {placed.height:.0f}" role="group" '
        f'aria-label="{label}">{inner}</svg></section>'
    )


def _describe(each: Box | Frame, drawing: Drawing, sources: Mapping[str, str]) -> dict[str, object]:
    """Return what the page tells of a box or frame."""
    facts = list(each.facts.items())
    if isinstance(each, Frame):
        what, origin, at = "a unit: one container", "", None
    else:
        what, origin, at = f"{each.kind}, {each.subtitle}", each.origin, each.at
        facts += [
            ("reads", tensor)
            for arrow in drawing.arrows
            if arrow.target == each.id
            for tensor in arrow.tensors
        ]
    where, text = _quote(at, sources)
    if each.change is not None:
        what = f"{each.change}: {what}"
    words = " ".join([each.title, what, *(value for _, value in facts)]).lower()
    return {
        "id": each.id,
        "title": each.title,
        "what": what,
        "origin": origin,
        "facts": facts,
        "where": where,
        "text": text,
        "search": words,
    }


def _quote(at: Span | None, sources: Mapping[str, str]) -> tuple[str, str]:
    """Return where a node stands in its file, and those lines of it."""
    if at is None or at.file not in sources:
        return "", ""
    lines = sources[at.file].splitlines()
    first = max(at.line - 1 - _AROUND, 0)
    last = _find_end(lines, at.line)
    return f"{at.file}:{at.line}", "\n".join(_number(lines[first:last], first + 1))


def _find_end(lines: Sequence[str], line: int) -> int:
    """Return the last line of what begins in a line: those that are indented further are its own."""
    own = _count_indent(lines[line - 1])
    last = line
    for number, text in enumerate(lines[line : line + _MOST_LINES], line + 1):
        if text.strip():
            if _count_indent(text) <= own:
                break
            last = number
    return last


def _count_indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _number(lines: Iterable[str], first: int) -> Iterator[str]:
    for number, line in enumerate(lines, first):
        yield f"{number:>4}  {conceal_in_place(line)}"
