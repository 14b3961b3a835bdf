"""Draws what applying a graph would change: what serves, and what would, as one picture for each predictor."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from graphc.cluster.bundle import CONFIG_MAP, strip
from graphc.cluster.client import Ref
from graphc.cluster.find_serving import serving_of
from graphc.cluster.planning import GraphPlan
from graphc.cluster.render import group_changes
from graphc.diagnostics.printable import conceal
from graphc.ir.graph import Value
from graphc.records import record
from graphc.unchecked import Data, fields, items, text
from graphc.view.draw_change import draw_change
from graphc.view.drawing import Arrow, Box, Change, Drawing, Frame, Kind, Told

_KINDS: Final[Mapping[str, Kind]] = {
    "model": "model",
    "component": "component",
    "python": "python",
    "server": "server",
}
"""The kinds of nodes that are no choices."""
_HIDDEN: Final = frozenset(
    {"inputs", "outputs", "when", "declares", "dims", "branches", "choice", "volume", "unit", "kind"}
)
"""Fields of a node that arrows show, or that follow from others."""
_CHANGES: Final[Mapping[str, Change]] = {
    "create": "added",
    "delete": "removed",
    "add": "added",
    "remove": "removed",
    "update": "changed",
    "change": "changed",
}


@record
class Picture:
    """A predictor's picture, and what becomes of the predictor as a whole."""

    name: str
    change: Change | None
    drawing: Drawing


def draw_pictures(plan: GraphPlan) -> list[Picture]:
    """Return a picture for each predictor that serves, or would."""
    before = _read_predictors({**plan.ours, **plan.live})
    after = _read_predictors(plan.results)
    found: list[Picture] = []
    for name in dict.fromkeys([*after, *before]):
        old, new = (_draw(plan.bundle.name, each[name]) if name in each else None for each in (before, after))
        drawing = draw_change(old, new)
        whole: Change | None = "added" if old is None else "removed" if new is None else None
        found.append(Picture(name, whole or ("changed" if drawing.told else None), drawing))
    return found


def tell_steps(plan: GraphPlan) -> Iterator[tuple[str, tuple[Told, ...]]]:
    """Yield what becomes of each object, in the words of the plan, and then what is dangerous."""
    for step in plan.steps:
        if step.verb == "keep":
            continue
        whole = (Told(_CHANGES[step.verb], f"{step.ref} is {_CHANGES[step.verb]}"),)
        words = tuple(Told(_CHANGES[action], each) for action, each in group_changes(step.changes))
        yield str(step.ref), words or whole
    if plan.dangers:
        yield "Dangers", tuple(Told("changed", conceal(each.message)) for each in plan.dangers)


def _read_predictors(documents: Mapping[Ref, Data]) -> Mapping[str, Data]:
    serving = serving_of(list(documents.values()))
    if serving is None:
        return {}
    maps = {ref.name: each for ref, each in documents.items() if ref.kind == CONFIG_MAP}
    view = serving.read_whole([strip(each) for each in documents.values()], maps.get).view
    return {name: fields(each) for name, each in fields(view, "predictors").items()}


def _draw(graph: str, predictor: Data) -> Drawing:
    nodes = {name: fields(each) for name, each in fields(predictor, "nodes").items()}
    units: dict[str, list[str]] = defaultdict(list)
    makers = {name: f"in:{name}" for name in fields(predictor, "inputs")}
    for name, node in nodes.items():
        units[text(node, "unit")].append(f"node:{name}")
        makers |= {str(tensor): f"node:{name}" for tensor in fields(node, "outputs").values()}
    boxes = [
        *(_draw_end("in", name, type_) for name, type_ in fields(predictor, "inputs").items()),
        *(_draw_node(name, node) for name, node in nodes.items()),
        *(_draw_end("out", name, type_) for name, type_ in fields(predictor, "outputs").items()),
    ]
    arrows = [arrow for name, node in nodes.items() for arrow in _draw_arrows(name, node, makers)]
    frames = tuple(
        Frame(f"unit:{unit}", unit, tuple(members), _tell_unit(fields(predictor, "units", unit)))
        for unit, members in units.items()
        if unit
    )
    subtitle = f"as it serves: {len(frames)} unit{'s' * (len(frames) != 1)}"
    return Drawing(graph, subtitle, tuple(boxes), (*arrows, *_draw_answers(predictor, makers)), frames)


def _draw_end(side: str, name: str, type_: Value) -> Box:
    kind: Kind = "input" if side == "in" else "output"
    return Box(f"{side}:{name}", name, str(type_), kind, name, {"type": str(type_)})


def _draw_node(name: str, node: Data) -> Box:
    kind = text(node, "kind")
    told = (text(node, each) for each in ("component", "framework", "router", "server"))
    said = {key: each for key, each in node.items() if key not in {*_HIDDEN, "parameters"}}
    said |= fields(node, "parameters")
    facts = {key: _write(each) for key, each in said.items() if each not in ({}, [], "")}
    subtitle = next(filter(None, told), kind)
    return Box(f"node:{name}", name, subtitle, _KINDS.get(kind, "choice"), name, facts)


def _write(value: Value) -> str:
    return conceal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _draw_arrows(name: str, node: Data, makers: Mapping[str, str]) -> Iterator[Arrow]:
    """Yield an arrow from each box that makes what a node reads, and from each that decides whether it does."""
    read: dict[str, list[str]] = defaultdict(list)
    chosen: dict[str, list[str]] = defaultdict(list)
    for tensor in dict.fromkeys(_list_tensors({key: each for key, each in node.items() if key != "outputs"})):
        if makers.get(tensor, f"node:{name}") != f"node:{name}":
            read[makers[tensor]].append(tensor)
    for guard in items(node, "when"):
        tensor = str(guard[0]) if isinstance(guard, list) and guard else ""
        if makers.get(tensor, f"node:{name}") not in {f"node:{name}", *read}:
            chosen[makers[tensor]].append(tensor)
    yield from (Arrow(source, f"node:{name}", tuple(tensors)) for source, tensors in read.items())
    yield from (Arrow(source, f"node:{name}", tuple(tensors), True) for source, tensors in chosen.items())


def _list_tensors(value: Value) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("tensor"), str):
            yield text(value, "tensor")
        for each in value.values():
            yield from _list_tensors(each)
    elif isinstance(value, list):
        for each in value:
            yield from _list_tensors(each)


def _draw_answers(predictor: Data, makers: Mapping[str, str]) -> Iterator[Arrow]:
    outputs = fields(predictor, "outputs")
    found: dict[str, str] = {}
    for unit in fields(predictor, "units").values():
        for each in items(fields(unit, "region"), "answers"):
            name, tensor = text(each, "name"), text(each, "tensor")
            # A tensor that a later unit needs is called as it is; an answer of the graph by its own name.
            if name in outputs and tensor in makers and (name not in found or tensor != name):
                found[name] = tensor
    yield from (Arrow(makers[tensor], f"out:{name}", (tensor,)) for name, tensor in found.items())


def _tell_unit(unit: Data) -> dict[str, str]:
    facts = {"image": text(unit, "image")}
    for what, name in (("requests", "it requests"), ("limits", "it is limited to")):
        if asked := fields(unit, "resources", what):
            facts[name] = ", ".join(f"{key} {value}" for key, value in asked.items())
    return {name: value for name, value in facts.items() if value}
