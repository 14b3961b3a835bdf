"""Tells what a component of the catalog does, in words and with an example that compiles."""

from collections.abc import Iterator
from typing import Final

from graphc_components.catalog import CATALOG, ROUTERS
from graphc_components.component import Component, Parameter, Role

_NODES: Final[dict[str, str]] = {
    "argmax": "in: scores",
    "cast": "in: scores\nparameters: {datatype: FP64}",
    "clip": "in: scores\nparameters: {low: 0, high: 1}",
    "concat": "in: [scores, others]",
    "hard-vote": "in: [label, others_label]",
    "label-map": "in: label\nparameters: {labels: [low, middle, high]}",
    "max": "in: [scores, others]",
    "mean": "in: [scores, others]",
    "median": "in: [scores, others]",
    "min": "in: [scores, others]",
    "normalise": "in: scores\nparameters: {norm: l1}",
    "one-hot": "in: label\nparameters: {categories: [0, 1, 2]}",
    "rename": "in: {first: scores, second: others}",
    "reshape": "in: scores\nparameters: {shape: [3, 1]}",
    "scale": "in: scores\nparameters: {mean: [0, 1, 2], scale: 2}",
    "select": "in: scores\nparameters: {columns: [0, 2]}",
    "soft-vote": "in: [scores, others]\nparameters: {weights: [2, 1]}",
    "softmax": "in: scores",
    "stack": "in: [scores, others]",
    "threshold": "in: scores\nparameters: {at: 0.5}",
    "top-k": "in: scores\nparameters: {k: 2}",
    "weighted-mean": "in: [scores, others]\nparameters: {weights: [3, 1]}",
}
_ROUTERS: Final[dict[str, str]] = {
    "confidence": "cascade:\n- {take: scores, until: 0.9}\n- {take: others}",
    "equals": "router: equals\nin: label\nbranches:\n- {take: scores, equals: 0}\n- {take: others}",
    "random": "router: random\nbranches:\n- {take: scores, weight: 9}\n- {take: others, weight: 1}",
    "threshold": "router: threshold\nin: age\nbranches:\n- {take: scores, below: 18}\n- {take: others}",
}
_HEAD: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: example}
inputs:
  scores: "FP32[batch, 3]"
  others: "FP32[batch, 3]"
  label: "INT64[batch]"
  others_label: "INT64[batch]"
  age: "FP32[batch]"
nodes:
"""


def names_component(text: str) -> bool:
    """Say whether a text is the name of a component or a router."""
    return text in CATALOG or text in ROUTERS


def component_names() -> list[str]:
    """Return the names of all components and routers."""
    return sorted({*CATALOG, *ROUTERS})


def write_component(name: str) -> str:
    """Return the page of a component, or of a router, or of both that bear the name."""
    parts = [_write(CATALOG[name], _NODES[name], f"component: {name}\n")] if name in CATALOG else []
    if name in ROUTERS:
        parts.append(_write(ROUTERS[name], _ROUTERS[name], ""))
    return "\n".join(parts)


def write_example(name: str, *, is_router: bool = False) -> str:
    """Return a whole graph file with the example of a component."""
    node = _ROUTERS[name] if is_router else f"component: {name}\n{_NODES[name]}"
    component = ROUTERS[name] if is_router else CATALOG[name]
    given = ("first", "second")
    outputs = (None,) if is_router else component.output_names(given)
    lines = [f"  out{index}: node{'' if each is None else f'.{each}'}" for index, each in enumerate(outputs)]
    return f"{_HEAD}  node:\n{_indent(node, 4)}\noutputs:\n" + "\n".join(lines) + "\n"


def _write(component: Component, node: str, kind: str) -> str:
    lines = [f"{component.name}: a {component.role.value}", "", f"  {component.summary}", ""]
    lines.append(f"inputs      {_inputs(component)}")
    if component.role is not Role.ROUTER:
        outputs = component.outputs
        lines.append(
            f"outputs     {'one for each input, of its name' if outputs is None else ', '.join(outputs)}"
        )
        lines.append(f"as ONNX     {'yes: -O2 may merge it with models' if component.onnx else 'no'}")
    lines += _parameters(component)
    lines += ["", "  node:", _indent(f"{kind}{node}", 4), ""]
    return "\n".join(lines)


def _inputs(component: Component) -> str:
    if component.inputs is None:
        return f"any number of tensors, at least {component.minimum}"
    return ", ".join(component.inputs) or "none"


def _parameters(component: Component) -> Iterator[str]:
    head = "parameters"
    for each in component.parameters:
        yield f"{head:<12}{each.name}: {each.kind.value}{_note(each)}"
        yield f"{'':<14}{each.doc}"
        head = ""


def _note(parameter: Parameter) -> str:
    notes = ["required"] if parameter.required else []
    if parameter.default is not None:
        notes.append(f"{parameter.default} where it is absent")
    if parameter.options:
        notes.append(f"one of {', '.join(parameter.options)}")
    return f" ({'; '.join(notes)})" if notes else ""


def _indent(text: str, columns: int) -> str:
    return "\n".join(" " * columns + line for line in text.splitlines())
