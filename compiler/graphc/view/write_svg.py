"""Writes a placed picture as SVG: a file of its own, or a part of a page."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from graphc.view.drawing import Arrow, Box, Change, Drawing, Frame
from graphc.view.place import BOX, Direction, Placed, Point, Rectangle
from graphc.view.write_told import CHANGE_STYLE, draw_sign, draw_words, measure_words, shown_sign

STYLE: Final = """
.picture { --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --line: #8a94a3; --box: #ffffff; --slow: #b3261e;
  --model: #2f6fb7; --component: #5a7d2a; --python: #9a6700; --server: #7b4fb5; --choice: #b1467f; --end: #5b6675;
  --frame: #f2f5f9; --edge: #b9c2ce; color: var(--ink); font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .picture { --ink: #e6eaf0; --soft: #a4aebb; --paper: #14181f; --line: #7d8896;
  --box: #1d232c; --slow: #ff8a80; --model: #7cb2f2; --component: #a2ca6b; --python: #e3b341; --server: #c39bf5;
  --choice: #f08cc0; --end: #a4aebb; --frame: #1a2029; --edge: #3c4653; } }
.picture .ground { fill: var(--paper); }
.picture text { fill: var(--ink); }
.picture .sub { fill: var(--soft); font-size: 11px; }
.picture .box rect.body { fill: var(--box); stroke: var(--tone); stroke-width: 1.5; }
.picture .box rect.stripe { fill: var(--tone); }
.picture .model { --tone: var(--model); } .picture .component { --tone: var(--component); }
.picture .python { --tone: var(--python); } .picture .server { --tone: var(--server); }
.picture .choice { --tone: var(--choice); } .picture .input, .picture .output { --tone: var(--end); }
.picture .frame rect { fill: var(--frame); stroke: var(--edge); }
.picture .frame-title { fill: var(--soft); font-size: 11px; font-weight: 600; pointer-events: none;
  paint-order: stroke; stroke: var(--frame); stroke-width: 4px; stroke-linejoin: round; }
.picture .arrow path { fill: none; stroke: var(--line); stroke-width: 1.3; }
.picture .arrow.decides path { stroke-dasharray: 5 4; }
.picture .slow rect.body, .picture .frame.slow rect { stroke: var(--slow); }
.picture .head { fill: var(--line); }
"""
"""The look of a picture; a page adds what changes under the pointer."""

_TITLE: Final = 22
_SUBTITLE: Final = 27
"""How many characters of a box's lines are shown; all of them are in its title."""
_TOLD_WIDTH: Final = 860.0
"""How wide a picture of a change is at least: what changes stands below it in words."""
_FRAME_TITLE: Final = 7.0
"""How wide a character of a frame's title is, at most."""


def write_svg(drawing: Drawing, placed: Placed) -> str:
    """Return a whole file of SVG, which needs nothing else."""
    inner, style = draw_inner(drawing, placed, "p"), STYLE
    width, height = _n(placed.width), _n(placed.height)
    if drawing.told is not None:
        # What changes stands in words below the picture.
        wide = max(placed.width, _TOLD_WIDTH)
        inner += "".join(draw_words(drawing.told, placed.height, wide))
        width, height = _n(wide), _n(placed.height + measure_words(drawing.told))
        style += CHANGE_STYLE
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    label = escape(f"{drawing.title}, {drawing.subtitle}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" {size} role="img" aria-label="{label}">\n'
        f'<style>{style}</style>\n<rect class="ground" width="100%" height="100%"/>\n{inner}</svg>\n'
    )


def draw_inner(drawing: Drawing, placed: Placed, mark: str, places: Mapping[str, int] | None = None) -> str:
    """Return the shapes of a picture; `mark` makes ids of its own in a page.

    Where `places` has numbers by id, boxes and frames can be reached by the keyboard, and say their number.
    """
    frames = [each for each in drawing.frames if each.id in placed.frames]
    # What is there stands before what is gone.
    frames.sort(key=lambda frame: frame.change != "removed")
    same = " same" if drawing.told is not None else ""
    lines = [
        f'<defs><marker id="{mark}-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>\n',
        *(_draw_frame(each, placed.frames[each.id], places) for each in frames),
        *(_draw_arrow(arrow, way, mark, placed.direction) for arrow, way in placed.ways),
        # An arrow into a frame may pass its title.
        *(_draw_frame_title(each, placed.frames[each.id]) for each in frames),
        *(_draw_box(each, placed.boxes[each.id], places, same) for each in drawing.boxes),
    ]
    return "".join(lines)


def _reach(id_: str, label: str, places: Mapping[str, int] | None) -> str:
    if places is None:
        return f' aria-label="{escape(label)}"'
    return f' tabindex="0" role="button" data-at="{places[id_]}" aria-label="{escape(label)}"'


def _draw_frame(frame: Frame, at: Rectangle, places: Mapping[str, int] | None) -> str:
    slow = " slow" if frame.is_slow else ""
    state = f" {frame.change}" if frame.change else ""
    label = f"{_state(frame.change)}unit {frame.title}"
    return (
        f'<g class="frame{slow}{state}"{_reach(frame.id, label, places)}>'
        f'<rect x="{_n(at.x)}" y="{_n(at.y)}" width="{_n(at.width)}" height="{_n(at.height)}" rx="8"/>'
        f"<title>{escape(_tell(frame.title, frame.facts))}</title></g>\n"
    )


def _draw_frame_title(frame: Frame, at: Rectangle) -> str:
    """Draw a frame's title with an edge of the frame's colour, so that a line behind it does not hide it."""
    title = _cut(f"{_sign(frame.change)}unit {frame.title}", int(at.width / _FRAME_TITLE) - 2)
    state = f" {frame.change}" if frame.change else ""
    place = f'x="{_n(at.x + 10)}" y="{_n(at.y + 16)}"'
    return f'<text class="frame-title{state}" aria-hidden="true" {place}>{escape(title)}</text>\n'


def _draw_box(box: Box, middle: Point, places: Mapping[str, int] | None, same: str) -> str:
    (width, height), is_end = BOX, box.kind in ("input", "output")
    x, y, middle_x = _n(middle[0] - width / 2), _n(middle[1] - height / 2), _n(middle[0])
    shape = f'x="{x}" y="{y}" width="{_n(width)}" height="{_n(height)}" rx="{22 if is_end else 5}"'
    stripe = f'<rect class="stripe" x="{x}" y="{_n(middle[1] - 14)}" width="4" height="28"/>'
    slow = " slow" if box.is_slow else ""
    state = f" {box.change}" if box.change else same
    label = f"{_state(box.change)}{box.kind} {box.title}, {box.subtitle}"
    return (
        f'<g class="box {box.kind}{slow}{state}"{_reach(box.id, label, places)}>'
        f'<rect class="body" {shape}/>{"" if is_end else stripe}'
        f'<text x="{middle_x}" y="{_n(middle[1] - 3)}" text-anchor="middle">{escape(_cut(box.title, _TITLE))}</text>'
        f'<text class="sub" x="{middle_x}" y="{_n(middle[1] + 13)}" text-anchor="middle">'
        f"{escape(_cut(box.words[0] if box.change == 'changed' else box.subtitle, _SUBTITLE))}</text>"
        f"{draw_sign(box.change, x, _n(middle[1] - height / 2))}"
        f"<title>{escape(_tell(box.title, box.facts))}</title></g>\n"
    )


def _draw_arrow(arrow: Arrow, way: Sequence[Point], mark: str, direction: Direction) -> str:
    decides = " decides" if arrow.is_choice else ""
    state = f" {arrow.change}" if arrow.change else ""
    sign = draw_sign(arrow.change, *map(_n, _halfway(way)))
    return (
        f'<g class="arrow{decides}{state}" data-from="{escape(arrow.source)}" data-to="{escape(arrow.target)}">'
        f'<path d="{_curve(way, direction)}" marker-end="url(#{mark}-head)"/>{sign}'
        f"<title>{escape(chr(10).join(arrow.tensors))}</title></g>\n"
    )


def _halfway(way: Sequence[Point]) -> Point:
    """Return a point of an arrow's line: its middle bend, or halfway between its ends."""
    middle = len(way) // 2
    if len(way) % 2:
        return way[middle]
    (x, y), (to_x, to_y) = way[middle - 1], way[middle]
    return (x + to_x) / 2, (y + to_y) / 2


def _sign(change: Change | None) -> str:
    return "" if change is None else f"{shown_sign(change)} "


def _state(change: Change | None) -> str:
    return "" if change is None else f"{change}: "


def _curve(way: Sequence[Point], direction: Direction) -> str:
    """Return a smooth line through points, which passes each of them in the direction of the layers."""
    (x, y) = way[0]
    parts = [f"M{_n(x)} {_n(y)}"]
    for (from_x, from_y), (to_x, to_y) in pairwise(way):
        bends = (
            ((from_x + to_x) / 2, from_y, (from_x + to_x) / 2, to_y)
            if direction == "right"
            else (from_x, (from_y + to_y) / 2, to_x, (from_y + to_y) / 2)
        )
        parts.append(f"C{' '.join(map(_n, (*bends, to_x, to_y)))}")
    return "".join(parts)


def _tell(title: str, facts: Mapping[str, str]) -> str:
    return "\n".join([title, *_lines(facts)])


def _lines(facts: Mapping[str, str]) -> Iterator[str]:
    for name, value in facts.items():
        yield f"{name}: {value}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 1)]}…"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
