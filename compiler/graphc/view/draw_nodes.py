"""What the pictures of a graph and of a plan have in common: boxes of nodes, and arrows of tensors."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from graphc_components.tensors import TensorType

from graphc.diagnostics.printable import conceal
from graphc.ir.graph import (
    CascadeWork,
    ChoiceWork,
    ComponentWork,
    EitherWork,
    FallbackWork,
    MergeWork,
    ModelWork,
    Node,
    Policy,
    PythonWork,
    RouterWork,
    ServerWork,
    Value,
)
from graphc.view.drawing import Arrow, Box, Kind

Types = Mapping[str, TensorType]


def draw_node(node: Node, extra: Mapping[str, str] | None = None, *, is_slow: bool = False) -> Box:
    """Return the box of a node, with further facts."""
    kind, subtitle, facts = _describe(node)
    facts |= {f"gives {output.port}": f"{output.tensor}: {output.type}" for output in node.outputs}
    facts |= _describe_policy(node.policy) | _describe_placement(node)
    facts = {name: conceal(value) for name, value in (facts | dict(extra or {})).items()}
    return Box(
        f"node:{node.name}",
        node.name,
        subtitle,
        kind,
        node.origin,
        facts,
        node.at,
        is_slow,
    )


def draw_input(name: str, type_: TensorType) -> Box:
    """Return the box of an input of the graph."""
    return Box(f"in:{name}", name, str(type_), "input", name, {"type": str(type_)})


def draw_output(name: str, type_: TensorType | None) -> Box:
    """Return the box of an output of the graph."""
    return Box(f"out:{name}", name, str(type_ or ""), "output", name, {"type": str(type_ or "")})


def draw_arrows(nodes: Iterable[Node], makers: Mapping[str, str], types: Types) -> Iterator[Arrow]:
    """Yield the arrows to nodes, one from each box that makes what a node reads.

    `makers` has the id of the box that makes each tensor.
    """
    for node in nodes:
        used = {use.tensor for use in node.uses}
        found: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for tensor in dict.fromkeys([use.tensor for use in node.uses] + sorted(node.reads)):
            if tensor in makers and makers[tensor] != f"node:{node.name}":
                found[makers[tensor], tensor not in used].append(f"{tensor}: {types[tensor]}")
        # A box that gives a tensor and a choice has one arrow, of what it gives.
        for (source, is_choice), tensors in found.items():
            if not (is_choice and (source, False) in found):
                yield Arrow(source, f"node:{node.name}", tuple(tensors), is_choice)


def _describe(node: Node) -> tuple[Kind, str, dict[str, str]]:
    match node.work:
        case ModelWork() as work:
            facts = {"model": work.location, "framework": work.framework}
            merged = {"merged from": ", ".join(work.merged)} if work.merged else {}
            return "model", work.framework, facts | merged
        case ComponentWork() as work:
            return "component", work.component, {"component": work.component} | _write_values(work.parameters)
        case PythonWork() as work:
            return "python", "Python", {"entry": work.entry}
        case ServerWork() as work:
            version = {"version": work.version} if work.version else {}
            return "server", work.server, {"server": work.name, "model": work.model} | version
        case RouterWork() as work:
            facts = {"router": work.router, "chooses": f"for each {work.per}"}
            return "choice", work.router, facts | _write_values(work.parameters)
        case ChoiceWork() as work:
            facts = {"router": work.router, "chooses": f"for each {work.per}"}
            return "choice", f"{work.router}: choice", facts | _write_values(work.parameters)
        case CascadeWork() as work:
            steps = {
                f"step {index}": "the last"
                if step.until is None
                else f"leaves at a confidence of {step.until:g}"
                for index, step in enumerate(work.steps, 1)
            }
            return "choice", "cascade", {"leaves": f"for each {work.per}"} | steps
        case FallbackWork():
            return "choice", "fallback", {}
        case EitherWork():
            return "choice", "either", {}
        case MergeWork() as work:
            return "choice", "merge", {"puts together": f"each {work.per}"}


def _write_values(parameters: Mapping[str, Value]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in parameters.items()
    }


def _describe_policy(policy: Policy) -> dict[str, str]:
    facts: dict[str, str] = {}
    if policy.timeout_ms is not None:
        facts["timeout"] = f"{policy.timeout_ms} ms"
    if policy.retries:
        facts["retries"] = str(policy.retries)
    if policy.skip:
        facts["on error"] = "skipped"
    elif policy.defaults:
        facts["on error"] = "default"
    elif policy.fallback:
        facts["on error"] = "another node"
    return facts


def _describe_placement(node: Node) -> dict[str, str]:
    placement = node.placement
    facts = {} if placement.image is None else {"image": placement.image}
    asked = placement.resources
    if asked is not None:
        parts = [f"cpu {asked.cpu}" if asked.cpu else "", f"memory {asked.memory}" if asked.memory else ""]
        facts |= {"asks for": ", ".join(part for part in parts if part)} if any(parts) else {}
        facts |= {} if asked.gpu is None else {"GPU": str(asked.gpu)}
    if placement.replicas is not None:
        facts["replicas"] = str(placement.replicas)
    return facts
