"""What nodes, bytes and hops cost: declared or measured where known, else by simple rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Final, Literal

from graphc_components.tensors import Dim, TensorType

from graphc.ir.graph import ChoiceWork, Graph, ModelWork, Node, PythonWork, ServerWork
from graphc.ir.plan import Costs, NodeCost
from graphc.lower.options import Options
from graphc.records import record

CostSource = Literal["declared", "measured", "size", "kind"]


@record
class CostModel:
    """The constants of every prediction, in milliseconds; `tests/bench/peers/measure_hop.py` measures the hop's.

    A hop is one call of a unit: the engine's decoding and encoding, HTTP, and MLServer's own share.
    """

    hop: float = 4.0
    hop_mib: float = 12.0
    """For each MiB of tensors that a unit takes and answers: base64 in JSON, decoded and encoded on both sides."""
    component: float = 0.05
    python: float = 1.0
    model: float = 0.3
    model_mib: float = 0.5
    """For each MiB of the artefact: a model that is twice as large is taken to work twice as long."""
    remote_model: float = 5.0
    """For a model whose artefact is not here to be weighed."""
    gain: float = 0.8
    """A plan with more units has to take less than this share of the time of the one with fewer."""


MODEL: Final = CostModel()

_WIDTHS: Final[Mapping[str, int]] = {"BOOL": 1, "BYTES": 64, "FP16": 2, "FP32": 4, "FP64": 8}
"""Bytes of an element; a text is taken to have 64."""

_MOST_BYTES: Final = 2**63 - 1
"""No message is larger, and a number without a bound fits into no float."""


def estimate_costs(graph: Graph, lowered: Graph, options: Options) -> Costs:
    """Return the cost of each node of a lowered graph, and the bytes of each tensor.

    A router or cascade that declares its cost is lowered to several nodes, which share it evenly.
    """
    measured = options.measured.get(graph.name, {})
    declared = {node.name: node.cost_ms for node in graph.nodes}
    parts = Counter(node.origin for node in lowered.nodes)
    nodes: dict[str, NodeCost] = {}
    for node in lowered.nodes:
        known = measured.get(node.origin)
        source: CostSource = "declared" if known is None else "measured"
        known = declared[node.origin] if known is None else known
        nodes[node.name] = _guess(node) if known is None else NodeCost(known / parts[node.origin], source)
    sizes = {tensor: tensor_bytes(type_, options.batch) for tensor, type_ in lowered.types.items()}
    exclusive = frozenset(
        node.outputs[0].tensor
        for node in lowered.nodes
        if isinstance(node.work, ChoiceWork) and node.work.per == "request"
    )
    return Costs(nodes, sizes, exclusive, options.batch)


def _guess(node: Node) -> NodeCost:
    match node.work:
        case ModelWork(local=Path() as local, files=files):
            size = sum((local.parent / name).stat().st_size for name in (local.name, *files))
            return NodeCost(MODEL.model + MODEL.model_mib * size / 2**20, "size")
        case ModelWork():
            return NodeCost(MODEL.remote_model, "kind")
        case ServerWork():
            return NodeCost(MODEL.remote_model, "kind")
        case PythonWork():
            return NodeCost(MODEL.python, "kind")
        case _:
            return NodeCost(MODEL.component, "kind")


def tensor_bytes(type_: TensorType, batch: int) -> int:
    """Return the bytes of a tensor: rows that are not known are the batch, other dimensions one."""
    first, *rest = type_.shape or (1,)
    elements = (first if isinstance(first, int) else batch) * prod(_known(dim) for dim in rest)
    size = elements * (_WIDTHS.get(type_.datatype) or int(type_.datatype.lstrip("UINT")) // 8)
    return min(size, _MOST_BYTES)


def _known(dim: Dim) -> int:
    return dim if isinstance(dim, int) else 1


def region_ms(nodes: Sequence[Node], costs: Costs, depth: int = 0) -> float:
    """Return what nodes take one after another; of a request's branches only the longest runs."""
    if not costs.exclusive:
        return sum(costs.nodes[node.name].ms for node in nodes)
    total = 0.0
    choices: dict[str, dict[tuple[int, ...], list[Node]]] = {}
    for node in nodes:
        if len(node.guards) <= depth:
            total += costs.nodes[node.name].ms
        else:
            guard = node.guards[depth]
            choices.setdefault(guard.choice, {}).setdefault(guard.branches, []).append(node)
    for choice, under in choices.items():
        times = {branches: region_ms(each, costs, depth + 1) for branches, each in under.items()}
        total += _longest(times) if choice in costs.exclusive else sum(times.values())
    return total


def _longest(times: Mapping[tuple[int, ...], float]) -> float:
    """Return the time of the branch that takes longest; what several branches need is in each."""
    every = {branch for branches in times for branch in branches}
    return max(sum(ms for branches, ms in times.items() if branch in branches) for branch in every)
