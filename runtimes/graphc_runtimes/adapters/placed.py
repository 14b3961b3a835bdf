"""Which operators of a model onnxruntime runs on the CPU although its session has a GPU: it says nothing by itself."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from graphc_runtimes.providers import CPU

RECORD: Final = "session.record_ep_graph_assignment_info"
"""The entry of a session's configuration that has it remember where it placed what."""

_SOURCES: Final = frozenset({"Shape", "Size"})
"""What a computation of shapes begins with."""

_OF_SHAPES: Final = _SOURCES | {
    *("Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather"),
    *("Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Range", "ReduceMax", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Unsqueeze", "Where"),
}
"""What goes on with it. CUDA has kernels for these; onnxruntime does not use them where it finds that shapes are
computed, as it is the processor that needs those.
"""

_STANDARD: Final = ("", "ai.onnx")


class Operator(Protocol):
    """A node that was placed."""

    domain: str
    op_type: str


class Subgraph(Protocol):
    """Nodes that were placed together."""

    ep_name: str

    def get_nodes(self) -> Sequence[Operator]:
        """Return the nodes."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """How many operators a session has, and which of them run on the CPU, by name."""

    operators: int
    on_cpu: Mapping[str, int]
    shapes: int = 0
    """How many more run there by choice: those that compute shapes."""


def place(subgraphs: Iterable[Subgraph]) -> Placement:
    """Return what a session says of where its operators run."""
    placed = [(each.ep_name, node) for each in subgraphs for node in each.get_nodes()]
    has_shapes = any(_is_in(_SOURCES, node) for _, node in placed)
    on_cpu = [node for provider, node in placed if provider == CPU]
    shapes = [node for node in on_cpu if has_shapes and _is_in(_OF_SHAPES, node)]
    names = Counter(_name(node) for node in on_cpu)
    names.subtract(_name(node) for node in shapes)
    return Placement(len(placed), dict(+names), len(shapes))


def _is_in(names: frozenset[str], node: Operator) -> bool:
    return node.domain in _STANDARD and node.op_type in names


def _name(node: Operator) -> str:
    return node.op_type if node.domain in _STANDARD else f"{node.domain}.{node.op_type}"
