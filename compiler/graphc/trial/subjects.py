"""Which nodes of a graph only show whether they work when they are loaded and run."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.compilation import CheckedGraph, Compilation
from graphc.graph import ModelWork, Node, PythonWork
from graphc.plan import Plan, Unit
from graphc.records import record

_UNTOLD: Final = frozenset({"sklearn"})
"""Frameworks whose files hold programs, which are not judged without running them."""


@record
class Subject:
    """A node to load: with the graph and version that it is of, and the unit that runs it."""

    graph: CheckedGraph
    predictor: str
    plan: Plan
    unit: Unit
    node: Node

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two nodes of two versions the same to try."""
        types = tuple(output.type for output in self.node.outputs)
        return self.node.origin, self.node.work, types


def find_subjects(done: Compilation) -> Iterator[Subject]:
    """Yield the models and Python nodes of all versions, each once."""
    for graph in done.graphs:
        seen: set[tuple[object, ...]] = set()
        for predictor, plan in graph.plans.items():
            for unit, node in _nodes(plan):
                subject = Subject(graph, predictor, plan, unit, node)
                if isinstance(node.work, ModelWork | PythonWork) and subject.key not in seen:
                    seen.add(subject.key)
                    yield subject


def _nodes(plan: Plan) -> Iterator[tuple[Unit, Node]]:
    found: set[str] = set()
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            if node.origin not in found:
                found.add(node.origin)
                yield unit, node


def why_unjudged(node: Node, *, was_run: bool) -> str | None:
    """Return why a node cannot be judged; None where it can, as far as that goes without its own requests."""
    match node.work:
        case ModelWork(local=None):
            return "is fetched on the cluster"
        case PythonWork(local=None):
            return "is in an image of its own"
        case PythonWork() if not was_run:
            return "is Python of your own"
        case ModelWork(framework=framework) if framework in _UNTOLD and not was_run:
            return "is a pickle, which is a program"
        case _:
            return None


def types_of(plan: Plan) -> Mapping[str, object]:
    """Return the types of all tensors of a plan, by name."""
    types: dict[str, object] = dict(plan.inputs)
    for unit in plan.root.walk():
        types |= {each.tensor: each.type for node in unit.region.nodes for each in node.outputs}
    return types
