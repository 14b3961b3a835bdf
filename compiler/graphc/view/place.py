"""Finds a place for each box of a picture: layers from left to right, and ways for the arrows between them.

The layers, their order and the ways around boxes come from fast-sugiyama; the module is its door.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Final, Literal

from graphc.records import record
from graphc.view.drawing import Arrow, Drawing, Frame

Point = tuple[float, float]
Edge = tuple[str, str]

BOX: Final = (176.0, 44.0)
"""How wide and high a box is."""
Direction = Literal["right", "down"]
_PITCH: Final[Mapping[Direction, Point]] = {"right": (248.0, 64.0), "down": (200.0, 92.0)}
"""How far apart the middles of two boxes are, beside and below each other."""
_MARGIN: Final = 40.0
_FRAME: Final = (14.0, 12.0)
_HEAD: Final = 18.0
"""The room of a frame's title."""
_SPACING: Final = 100
_BEND: Final = "bend:"
"""What is called so is no box."""
_MOST_LED: Final = 10
"""Arrows are led to the end of a picture where they pass no more layers than this, of its boxes each."""
_AT_ONCE: Final = 64
"""Boxes without arrows stand in columns of so many."""


class ViewError(Exception):
    """A picture that cannot be made; the message is for the user."""


@record
class Rectangle:
    """A place: its left upper corner, and how wide and high it is."""

    x: float
    y: float
    width: float
    height: float


@record
class Layers:
    """A picture without sizes: the layer of each box and its place there, and the same for the bends of arrows."""

    drawing: Drawing
    boxes: Mapping[str, Point]
    bends: Mapping[Edge, tuple[Point, ...]]


@record
class Placed:
    """Where everything is: the middle of each box by id, a way for each arrow, and the place of frames.

    A frame in whose place boxes of others stand too has none.
    """

    direction: Direction
    width: float
    height: float
    boxes: Mapping[str, Point]
    ways: Sequence[tuple[Arrow, tuple[Point, ...]]]
    frames: Mapping[str, Rectangle]

    def scale_in(self, width: float, height: float) -> float:
        """Return how large the picture is in a room, of 1 that it is made for."""
        return min(width / self.width, height / self.height)


def place(layers: Layers, direction: Direction) -> Placed:
    """Place a picture whose layers follow each other in a direction."""

    def scale(point: Point) -> Point:
        x, y = point if direction == "right" else point[::-1]
        pitch = _PITCH[direction]
        return _MARGIN + BOX[0] / 2 + x * pitch[0], _MARGIN + _HEAD + BOX[1] / 2 + y * pitch[1]

    drawing = layers.drawing
    middles = {each: scale(point) for each, point in layers.boxes.items()}
    bends = {edge: tuple(map(scale, points)) for edge, points in layers.bends.items()}
    ways = [(arrow, _way(arrow, middles, bends, direction)) for arrow in drawing.arrows]
    frames = {
        frame.id: rectangle for frame in drawing.frames if (rectangle := _enclose(frame, middles)) is not None
    }
    every = [*middles.values(), *(point for way in bends.values() for point in way)]
    width = max(x for x, _ in every) + BOX[0] / 2 + _MARGIN
    height = max(y for _, y in every) + BOX[1] / 2 + _MARGIN
    return Placed(direction, width, height, middles, ways, frames)


def place_both(layers: Layers) -> tuple[Placed, Placed]:
    """Place a picture in each direction."""
    return place(layers, "right"), place(layers, "down")


def choose_larger(both: Sequence[Placed], width: float, height: float) -> Placed:
    """Return the placement that is larger in a room."""
    return max(both, key=lambda placed: placed.scale_in(width, height))


def find_layers(drawing: Drawing) -> Layers:
    """Find the layers of a picture; raises ViewError where the library that does it is not installed."""
    ends = frozenset(box.id for box in drawing.boxes if box.kind == "output")
    edges = sorted({(each.source, each.target) for each in _forwards(drawing)} | set(_hold_back(drawing)))
    points, bends = _layer(_lead_to_end(edges, ends)) if edges else ({}, {})
    lonely = [box.id for box in drawing.boxes if box.id not in points]
    below = max((y for _, y in points.values()), default=-1.0) + 1
    points |= {each: (index // _AT_ONCE, below + index % _AT_ONCE) for index, each in enumerate(lonely)}
    return Layers(drawing, points, bends)


def _forwards(drawing: Drawing) -> Iterator[Arrow]:
    """Yield the arrows that lead from a layer to a later one: all but those of a change that close a circle.

    What there is of a graph, and what there was of it, may lead against each other.
    """
    after: dict[str, set[str]] = defaultdict(set)
    for arrow in sorted(drawing.arrows, key=lambda arrow: arrow.change == "removed"):
        if arrow.change != "removed" or not _leads(arrow.target, arrow.source, after):
            after[arrow.source].add(arrow.target)
            yield arrow


def _leads(source: str, target: str, after: Mapping[str, set[str]]) -> bool:
    seen, ahead = {source}, [source]
    while ahead:
        at = ahead.pop()
        if at == target:
            return True
        found = after.get(at, set[str]()) - seen
        seen |= found
        ahead += found
    return False


def _hold_back(drawing: Drawing) -> Iterator[Edge]:
    """Yield an edge to each box that nothing leads to, from an input: inputs stand before all others."""
    inputs = [box.id for box in drawing.boxes if box.kind == "input"]
    sources = {arrow.source for arrow in drawing.arrows}
    led = {arrow.target for arrow in drawing.arrows}
    first = next((each for each in inputs if each in sources), None)
    if first is not None:
        yield from ((first, source) for source in sorted(sources - led - set(inputs)))


def _lead_to_end(edges: Sequence[Edge], ends: frozenset[str]) -> list[Edge]:
    """Return the edges with those to the ends led on to the last layer, so that ends stand behind all others."""
    before: dict[str, set[str]] = defaultdict(set)
    for source, target in edges:
        before[target].add(source)
    depths: dict[str, int] = {}
    for each in TopologicalSorter(before).static_order():
        depths[each] = 1 + max((depths[source] for source in before.get(each, ())), default=-1)
    last = max(depths.values())
    led = sum(last - depths[source] for source, target in edges if target in ends)
    if led > _MOST_LED * len(depths):
        return list(edges)
    found: list[Edge] = []
    for source, target in edges:
        between = range(depths[source] + 1, last) if target in ends else ()
        way = [source, *(f"{_BEND}{depth} {target}" for depth in between), target]
        found += pairwise(way)
    return found


def _layer(edges: Sequence[Edge]) -> tuple[dict[str, Point], dict[Edge, tuple[Point, ...]]]:
    """Return the layer of each box and its place there, and the bends of arrows that pass layers."""
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise ViewError(
            "the library that places boxes is not installed; `graphc-compiler[view]` has it"
        ) from None
    # The library puts names into a set: their order, and with it the picture, would be another in each process.
    names = sorted({name for edge in edges for name in edge})
    numbers = {name: number for number, name in enumerate(names)}
    points: dict[str, Point] = {}
    bends: dict[Edge, tuple[Point, ...]] = {}
    top = 0.0
    found = from_edges(
        [(numbers[source], numbers[target]) for source, target in edges],
        vertex_spacing=_SPACING,
        minimum_length=1,
        dummy_vertices=True,
        dummy_size=0.5,
        # Boxes stand as early as they can, so that all ends are in the last layer.
        ranking_type="up",
        crossing_minimization="median",
    )
    for positions, _, _, routed in found:
        # A bend of the library's own has a number behind all others.
        places = {_name(names, each): (-y / _SPACING, x / _SPACING) for each, (x, y) in positions}
        left, upper = min(x for x, _ in places.values()), min(y for _, y in places.values())
        places = {each: (x - left, y - upper + top) for each, (x, y) in places.items()}
        points |= {each: point for each, point in places.items() if not each.startswith(_BEND)}
        bends |= _follow(
            [(_name(names, source), _name(names, target)) for source, target in routed or ()], places
        )
        top = max(y for _, y in places.values()) + 1
    return points, bends


def _name(names: Sequence[str], each: int | str) -> str:
    return names[int(each)] if int(each) < len(names) else f"{_BEND}{each}"


def _follow(routed: Iterable[Edge], places: Mapping[str, Point]) -> dict[Edge, tuple[Point, ...]]:
    """Return the bends of each arrow: the library parts one at every layer that it passes."""
    after: dict[str, list[str]] = defaultdict(list)
    for source, target in routed:
        after[source].append(target)
    bends: dict[Edge, tuple[Point, ...]] = {}
    for source, targets in after.items():
        if source.startswith(_BEND):
            continue
        for target in targets:
            way: list[Point] = []
            at = target
            while at.startswith(_BEND):
                way.append(places[at])
                at = after[at][0]
            bends[source, at] = tuple(way)
    return bends


def _way(
    arrow: Arrow, middles: Mapping[str, Point], bends: Mapping[Edge, tuple[Point, ...]], direction: Direction
) -> tuple[Point, ...]:
    (x, y), (to_x, to_y) = middles[arrow.source], middles[arrow.target]
    between = bends.get((arrow.source, arrow.target), ())
    if direction == "right":
        return ((x + BOX[0] / 2, y), *between, (to_x - BOX[0] / 2, to_y))
    return ((x, y + BOX[1] / 2), *between, (to_x, to_y - BOX[1] / 2))


def _enclose(frame: Frame, middles: Mapping[str, Point]) -> Rectangle | None:
    """Return the place around a frame's boxes; None where a box of another stands in it, or it has none."""
    if not frame.members:
        return None
    columns, rows = zip(*(middles[each] for each in frame.members), strict=True)
    (half_width, half_height), (beside, above) = (BOX[0] / 2, BOX[1] / 2), _FRAME
    left, right = min(columns) - half_width - beside, max(columns) + half_width + beside
    upper, lower = min(rows) - half_height - above, max(rows) + half_height + above
    members = frozenset(frame.members)
    for each, (x, y) in middles.items():
        is_within = (
            left - half_width < x < right + half_width and upper - half_height < y < lower + half_height
        )
        if is_within and each not in members:
            return None
    return Rectangle(left, upper - _HEAD, right - left, lower - upper + _HEAD)
