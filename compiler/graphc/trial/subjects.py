"""Which nodes of a graph only show whether they work when they are loaded and run."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.compile.compile_files import Compilation
from graphc.compile.pipeline import CheckedGraph
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.loading import NOT_JUDGED
from graphc.ir.graph import ModelWork, Node, PythonWork, ServerWork
from graphc.ir.plan import Plan, Unit
from graphc.packages.requirements import Requirements
from graphc.records import record
from graphc.trial.pythons import find_requirements

_UNTOLD: Final = frozenset({"sklearn"})
"""Frameworks whose files hold programs, which are not judged without running them."""


@record
class Subject:
    """A node to load: with the graph, the version and the plan that it is of, and the unit that runs it."""

    graph: CheckedGraph
    version: str
    plan: Plan
    unit: Unit
    node: Node

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two nodes of two versions the same to try."""
        types = tuple(output.type for output in self.node.outputs)
        work = self.node.work
        # The parameters of a server are a mapping, which cannot be a part of a key.
        known = repr(work) if isinstance(work, ServerWork) else work
        return self.node.origin, known, types, self.requirements

    @property
    def requirements(self) -> Requirements:
        """What the version requires beyond the runtime image."""
        return find_requirements(self.graph, self.version)


def find_subjects(done: Compilation) -> Iterator[Subject]:
    """Yield the models, Python nodes and nodes that ask servers of all versions, each once."""
    for graph in done.graphs:
        # Versions mostly differ in a node or two.
        seen: set[tuple[object, ...]] = set()
        for version, plan in graph.plans.items():
            for unit, node in _nodes(plan):
                subject = Subject(graph, version, plan, unit, node)
                if isinstance(node.work, ModelWork | PythonWork | ServerWork) and subject.key not in seen:
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
        case ServerWork():
            return "asks a server, which has not been called"
        case PythonWork() if not was_run:
            return "is Python of your own"
        case ModelWork(framework=framework) if framework in _UNTOLD and not was_run:
            return "is a pickle, which is a program"
        case _:
            return None


def report_unjudged(done: Compilation, sink: Sink, *, was_run: bool) -> None:
    """Report the nodes that no trial has judged, each at its line."""
    for subject in find_subjects(done):
        reason = why_unjudged(subject.node, was_run=was_run)
        if reason is not None:
            message = f"`{subject.node.origin}` {reason}, so nobody has seen that it loads and runs"
            is_hopeless = was_run or why_unjudged(subject.node, was_run=True) is not None
            hint = None if is_hopeless else "check it with `--load`"
            sink.report(Diagnostic(NOT_JUDGED, message, place_of(subject), hint))


def list_unjudged(done: Compilation, *, was_run: bool) -> list[str]:
    """Return the names of the nodes that no trial has judged."""
    found = (each.node for each in find_subjects(done))
    return list(dict.fromkeys(each.origin for each in found if why_unjudged(each, was_run=was_run)))


def place_of(subject: Subject) -> Span:
    """Return where a node says what it runs."""
    fields: dict[type, str] = {ModelWork: "model", ServerWork: "server"}
    field = fields.get(type(subject.node.work), "python")
    return subject.graph.spec.at("nodes", subject.node.origin, field)


def types_of(plan: Plan) -> Mapping[str, object]:
    """Return the types of all tensors of a plan, by name."""
    types: dict[str, object] = dict(plan.inputs)
    for unit in plan.root.walk():
        types |= {each.tensor: each.type for node in unit.region.nodes for each in node.outputs}
    return types
