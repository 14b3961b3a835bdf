"""Writes what changes in words, and what the signs mean: beside the pictures of a page, and below one picture."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from graphc.view.drawing import SIGNS, Change, Told

CHANGE_STYLE: Final = """
.picture, .told { --added: #1a7f37; --removed: #b3261e; --changed: #9a6700; --added-box: #e6f6ea;
  --removed-box: #fbeae8; --changed-box: #fdf3d7; --on-sign: #ffffff; }
@media (prefers-color-scheme: dark) { .picture, .told { --added: #56d364; --removed: #ff8a80; --changed: #e3b341;
  --added-box: #12301b; --removed-box: #3a1a1a; --changed-box: #332805; --on-sign: #14181f; } }
.picture .added { --state: var(--added); --fill: var(--added-box); }
.picture .removed { --state: var(--removed); --fill: var(--removed-box); }
.picture .changed { --state: var(--changed); --fill: var(--changed-box); }
.picture .box:is(.added, .removed, .changed) rect.body { stroke: var(--state); stroke-width: 2; fill: var(--fill); }
.picture .box.removed rect.body { stroke-dasharray: 2 3; }
.picture .box.removed text { text-decoration: line-through; }
.picture .frame:is(.added, .removed, .changed) rect { stroke: var(--state); stroke-width: 1.6; }
.picture .frame.removed rect { stroke-dasharray: 2 3; fill: none; }
.picture .frame-title:is(.added, .removed, .changed) { fill: var(--state); }
.picture .arrow:is(.added, .removed, .changed) path { stroke: var(--state); stroke-width: 1.8; }
.picture .arrow.removed path { stroke-dasharray: 1.5 4; }
.picture .sign circle { fill: var(--state); stroke: var(--paper); }
.picture .sign text { fill: var(--on-sign); font: 700 13px system-ui, sans-serif; text-decoration: none; }
.picture .same { opacity: .8; }
.picture .words text { font-size: 12px; }
"""
"""What a picture of a change adds to the look of one."""

PAGE_CHANGE_STYLE: Final = """
.picture.far .sign circle { r: 13px; }
.picture.far .sign text { font-size: 21px; transform: translateY(3px); }
body:not(:has(section.graph)) header > label { display: none; }
h1 { overflow-wrap: anywhere; min-width: 0; }
.told { flex-basis: 100%; min-width: 0; }
.told summary { cursor: pointer; }
.told .lists { max-height: 24vh; overflow: auto; columns: 28rem; column-gap: 2rem; margin-top: .3rem; }
.told ul { list-style: none; margin: 0 0 .5rem; padding: 0; overflow-wrap: anywhere; }
.told li { padding-left: 1.4em; text-indent: -1.4em; }
.told h3 { font-size: .9rem; margin: 0; break-after: avoid; }
.told b { display: inline-block; width: 1.2em; height: 1.2em; line-height: 1.2em; text-align: center; text-indent: 0;
  border-radius: 50%; margin-right: .35em; color: var(--on-sign); }
.told b.added { background: var(--added); } .told b.removed { background: var(--removed); }
.told b.changed { background: var(--changed); }
.told .legend { margin-left: 1.2rem; color: var(--soft); }
"""

_SHOWN: Final[dict[Change, str]] = {**SIGNS, "removed": "\N{MINUS SIGN}"}
_LINE: Final = 18.0
_CHARACTER: Final = 6.6
"""How wide a character of a line is, on the average."""
_MOST: Final = 40
"""So many changes are told below a picture."""


def shown_sign(change: Change) -> str:
    """Return the sign of a change, as pictures show it."""
    return _SHOWN[change]


def write_told(told: Sequence[tuple[str, Sequence[Told]]]) -> str:
    """Return the part of a page that tells the changes, those of each name below it."""
    count = sum(len(each) for _, each in told)
    legend = "".join(
        f'<span class="legend"><b class="{change}" aria-hidden="true">{sign}</b>{change}</span>'
        for change, sign in _SHOWN.items()
    )
    lists = "".join(_write_list(name, each) for name, each in told if each)
    return (
        f'<details class="told" open><summary>{count} change{"s" * (count != 1)}{legend}</summary>'
        f'<div class="lists">{lists}</div></details>'
    )


def _write_list(name: str, told: Sequence[Told]) -> str:
    title = f"<h3>{escape(name)}</h3>" if name else ""
    items = "".join(
        f'<li><b class="{each.change}" aria-label="{each.change}">{_SHOWN[each.change]}</b>{escape(each.text)}</li>'
        for each in told
    )
    return f"{title}<ul>{items}</ul>"


def draw_sign(change: Change | None, x: str, y: str) -> str:
    """Return a sign at a place of a picture."""
    if change is None:
        return ""
    return (
        f'<g class="sign"><circle cx="{x}" cy="{y}" r="8"/>'
        f'<text x="{x}" y="{y}" dy="4.5" text-anchor="middle">{_SHOWN[change]}</text></g>'
    )


def measure_words(told: Sequence[Told]) -> float:
    """Return how high what stands below a picture is."""
    return (min(len(told), _MOST + 1) + 1) * _LINE + 12


def draw_words(told: Sequence[Told], top: float, width: float) -> Iterator[str]:
    """Yield the signs with what they mean, and the changes, from a height on."""
    yield '<g class="words">'
    for index, change in enumerate(_SHOWN):
        x = 28 + index * 110
        yield f'<g class="{change}">{draw_sign(change, str(x), f"{top:.1f}")}</g>'
        yield f'<text x="{x + 14}" y="{top + 4:.1f}">{change}</text>'
    most = int((width - 60) / _CHARACTER)
    for number, each in enumerate(told[:_MOST], 1):
        y = top + number * _LINE + 6
        text = each.text if len(each.text) <= most else f"{each.text[: most - 1]}…"
        yield f'<g class="{each.change}">{draw_sign(each.change, "28", f"{y:.1f}")}</g>'
        yield f'<text x="42" y="{y + 4:.1f}">{escape(text)}</text>'
    if len(told) > _MOST:
        y = top + (_MOST + 1) * _LINE + 10
        yield f'<text x="42" y="{y:.1f}">and {len(told) - _MOST} more</text>'
    yield "</g>\n"
