"""Draws a plan as a Mermaid flowchart, which pages, notebooks and forges show."""

import re
from collections.abc import Iterator
from typing import Final

from graphc.ir.graph import ComponentWork, ModelWork, Node, PythonWork, ServerWork
from graphc.ir.plan import Plan

_UNSAFE: Final = re.compile(r"[^\w .,:;/()\[\]+-]")


def draw_plan(plan: Plan) -> str:
    """Return a flowchart: the inputs, the units with their nodes, the outputs, and each tensor between them."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _lines(plan)), ""])


def _lines(plan: Plan) -> Iterator[str]:
    ids: dict[str, str] = {}
    made: dict[str, str] = {}
    for name, type_ in plan.inputs:
        ids[f"in:{name}"] = made[name] = f"i{len(ids)}"
        yield f'{made[name]}(["{_clean(name)}<br/>{_clean(str(type_))}"])'
    for index, unit in enumerate(plan.root.walk()):
        if not unit.region.nodes:
            continue
        yield f'subgraph u{index}["{_clean(unit.name)}"]'
        for node in unit.region.nodes:
            mark = f"n{len(ids)}"
            ids[f"node:{node.name}"] = mark
            made |= {output.tensor: mark for output in node.outputs}
            yield f"  {mark}{_shape(node)}"
        yield "end"
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            mark = ids[f"node:{node.name}"]
            for tensor in sorted(node.reads):
                if tensor in made and made[tensor] != mark:
                    yield f"{made[tensor]} --> {mark}"
    for index, (wire, type_) in enumerate(plan.outputs):
        yield f'o{index}(["{_clean(wire)}<br/>{_clean(str(type_))}"])'
        source = _source(plan, wire)
        if source in made:
            yield f"{made[source]} --> o{index}"


def _source(plan: Plan, output: str) -> str:
    """Return the tensor that an output is of."""
    return next(
        (
            wire.tensor
            for unit in plan.root.walk()
            for wire in unit.answers
            if unit.is_last and wire.name == output
        ),
        output,
    )


def _shape(node: Node) -> str:
    text = _clean(node.name)
    match node.work:
        case ModelWork() as work:
            return f'["{text}<br/><i>{_clean(work.framework)}</i>"]'
        case ServerWork():
            return f'[["{text}"]]'
        case PythonWork():
            return f'["{text}<br/><i>Python</i>"]'
        case ComponentWork() as work:
            return f'("{text}<br/><i>{_clean(work.component)}</i>")'
        case _:
            return f'{{{{"{text}"}}}}'


def _clean(text: str) -> str:
    return _UNSAFE.sub("_", text)
