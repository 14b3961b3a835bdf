"""Small pictures as SVG: curves, bars and intervals, in the colours of the page that they stand in."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from graphc.compare.sketch import Sketch

WIDTH: Final = 440
HEIGHT: Final = 210
_LEFT: Final = 46
_RIGHT: Final = 12
_TOP: Final = 10
_BOTTOM: Final = 40

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve; its class gives it its colour."""

    name: str
    style: str
    points: Points


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with what it may be, all from 0 to 1."""

    name: str
    value: float
    low: float
    high: float


def draw_shares(
    sketches: Mapping[str, tuple[str, Sketch]], unit: str, title: str, *, logarithmic: bool
) -> str:
    """Draw for each sketch the share of its values that are at most so large."""
    curves = [
        Curve(name, style, [(x, y) for x, y in each.cumulative().items() if x > 0 or not logarithmic])
        for name, (style, each) in sketches.items()
        if each.count
    ]
    curves = [each for each in curves if each.points]
    if not curves:
        return ""
    axis = _Axis.of([x for curve in curves for x, _ in curve.points], logarithmic=logarithmic)
    parts = [*_frame(axis, unit)]
    for curve in curves:
        parts.append(f'<path class="{curve.style}" d="{_steps(curve.points, axis)}"/>')
    parts += _legend(curves)
    return _svg(parts, title)


def draw_histogram(sketch: Sketch, unit: str, title: str) -> str:
    """Draw how often errors of each size are, in bars that are equally wide in logarithms."""
    cumulative = list(sketch.cumulative().items())
    positive = [x for x, _ in cumulative if x > 0]
    if not positive:
        return ""
    axis = _Axis.of(positive, logarithmic=True)
    bars = [0.0] * 30
    before = 0.0
    for x, share in cumulative:
        if x > 0:
            bars[min(29, int(axis.place(x) * 30))] += share - before
        before = share
    top = max(bars)
    parts = [*_frame(axis, unit, top)]
    width = (WIDTH - _LEFT - _RIGHT) / 30
    for index, bar in enumerate(bars):
        height = bar / top * (HEIGHT - _TOP - _BOTTOM)
        x, y = _LEFT + index * width + 1, HEIGHT - _BOTTOM - height
        if bar:
            parts.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}"/>'
            )
    return _svg(parts, title)


def draw_intervals(intervals: Sequence[Interval], title: str) -> str:
    """Draw a dot with its interval for each name, over the shares that occur."""
    if not intervals:
        return ""
    low = math.floor(min(each.low for each in intervals) * 20) / 20
    axis = _Axis(min(low, 0.95), 1.0, logarithmic=False)
    height = _TOP + _BOTTOM + 24 * len(intervals)
    left = 130
    parts = [
        f'<text class="tick" x="{_across(tick, axis, left):.1f}" y="{height - 20}" text-anchor="middle">'
        f"{tick:.3g}</text>"
        f'<line class="grid" x1="{_across(tick, axis, left):.1f}" x2="{_across(tick, axis, left):.1f}" '
        f'y1="{_TOP}" y2="{height - _BOTTOM + 4}"/>'
        for tick in axis.ticks()
    ]
    for index, each in enumerate(intervals):
        y = _TOP + 24 * index + 14
        ends = _across(each.low, axis, left), _across(each.high, axis, left)
        name = each.name if len(each.name) <= 18 else f"{each.name[:17]}…"
        parts.append(
            f'<text class="name" x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
        )
        parts.append(f'<line class="interval" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{_across(each.value, axis, left):.1f}" cy="{y}" r="4"/>')
    return _svg(parts, title, height)


@dataclass(frozen=True, slots=True)
class _Axis:
    """The range of an axis, and where a value is on it, from 0 to 1."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Iterable[float], *, logarithmic: bool) -> "_Axis":
        found = list(values)
        low, high = min(found), max(found)
        if logarithmic:
            return cls(low / 1.05, high * 1.05, logarithmic=True)
        room = (high - low or abs(high) or 1.0) * 0.04
        return cls(low - room, high + room, logarithmic=False)

    def place(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round numbers on the axis."""
        if self.logarithmic:
            exponents = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            powers = [10.0**each for each in exponents]
            if len(powers) >= 2:
                return powers[:: math.ceil(len(powers) / 5)]
            ratio = self.high / self.low
            return [float(f"{self.low * ratio ** (each / 4):.2g}") for each in range(1, 4)]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        step *= next(each for each in (1, 2, 5, 10) if (self.high - self.low) / (step * each) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [round(each * step, 12) for each in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _frame(axis: _Axis, unit: str, top: float = 1.0) -> Iterable[str]:
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _down(share)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * top * share:.3g}%</text>'
    for tick in axis.ticks():
        x = _across(tick, axis)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 15}" text-anchor="middle">{tick:.3g}</text>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text class="unit" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>'


def _legend(curves: Sequence[Curve]) -> Iterable[str]:
    for index, curve in enumerate(curves):
        y = HEIGHT - _BOTTOM - 12 - 16 * (len(curves) - 1 - index)
        x = WIDTH - _RIGHT - 8
        name = curve.name if len(curve.name) <= 24 else f"{curve.name[:23]}…"
        yield f'<text class="name {curve.style}-text" x="{x}" y="{y}" text-anchor="end">{escape(name)}</text>'


def _steps(points: Points, axis: _Axis) -> str:
    last = 0.0
    parts = [f"M{_LEFT} {_down(0):.1f}"]
    for x, share in points:
        across = _across(x, axis)
        parts.append(f"L{across:.1f} {_down(last):.1f}L{across:.1f} {_down(share):.1f}")
        last = share
    return "".join(parts) + f"L{WIDTH - _RIGHT} {_down(last):.1f}"


def _across(value: float, axis: _Axis, left: int = _LEFT) -> float:
    return left + axis.place(value) * (WIDTH - _RIGHT - left)


def _down(share: float) -> float:
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _svg(parts: Iterable[str], title: str, height: int = HEIGHT) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )
