"""Checks that units which run requests together can join them by rows, and part them again."""

from collections.abc import Iterable, Iterator

from graphc_components.tensors import Dim

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import NO_BATCH_ROWS, NOT_ROWWISE
from graphc.ir.graph import (
    Batch,
    ChoiceWork,
    EitherWork,
    Graph,
    MergeWork,
    Node,
    PythonWork,
    ServerWork,
    Types,
)
from graphc.ir.plan import Plan, Unit, Wire

_BY_REQUEST = ("parameter", "header")
"""Routers that look at the request alone: the runtime keeps apart the requests that they tell apart."""


def check_batches(plan: Plan, graph: Graph, sink: Sink) -> None:
    """Report what stands in the way of batches, by the types of the graph before it was lowered."""
    types = graph.types
    told: set[str] = set()
    for unit in plan.root.walk():
        batch = plan.batch_of(unit)
        if batch is not None:
            for diagnostic in (*_check_rows(unit, batch, types, told), *_check_nodes(unit, batch)):
                sink.report(diagnostic)


def _check_rows(unit: Unit, batch: Batch, types: Types, told: set[str]) -> Iterator[Diagnostic]:
    """Every tensor has to have the rows of the request, under the name that the first one gives them.

    A tensor that some requests are without is one fault, of the unit that makes it and of those that take it: `told`.
    """
    firsts = (wire.type.shape[0] for wire in unit.takes)
    rows = next((first for first in firsts if isinstance(first, str)), None)
    for wire in (*unit.takes, *unit.answers):
        problem = _describe_wire(wire, rows)
        if problem and not (wire.optional and wire.tensor in told):
            told |= {wire.tensor} if wire.optional else set[str]()
            verb = "takes" if wire in unit.takes else "answers"
            message = f"`{unit.name}` batches requests and {verb} `{wire.name}`, {problem}"
            yield Diagnostic(NO_BATCH_ROWS, message, batch.at, _hint(wire))
    for node in unit.region.nodes:
        for tensor in _made(node):
            type_ = types.get(tensor)
            if type_ and type_.shape[0] != rows and all(tensor != wire.tensor for wire in unit.answers):
                message = (
                    f"`{unit.name}` batches requests, and `{tensor}` in it is `{type_}`, without their rows"
                )
                yield Diagnostic(NO_BATCH_ROWS, message, batch.at)


def _describe_wire(wire: Wire, rows: Dim) -> str | None:
    if wire.optional:
        return "which some requests are without"
    first = wire.type.shape[0]
    if not isinstance(first, str):
        return f"which is `{wire.type}`: its first dimension is not the rows of a batch"
    return None if first == rows else f"which has `{first}` rows where others have `{rows}`"


def _hint(wire: Wire) -> str | None:
    return "let what decides and what it decides on share a `unit`" if wire.optional else None


def _made(node: Node) -> Iterable[str]:
    if isinstance(node.work, ChoiceWork | EitherWork | MergeWork):
        return ()
    return (output.tensor for output in node.outputs if output.tensor != node.policy.failed)


def _check_nodes(unit: Unit, batch: Batch) -> Iterator[Diagnostic]:
    for node in unit.region.nodes:
        found = _describe_node(node)
        if found:
            problem, hint = found
            yield Diagnostic(NOT_ROWWISE, f"`{unit.name}` batches requests, and {problem}", batch.at, hint)


def _describe_node(node: Node) -> tuple[str, str | None] | None:
    """Return why requests must not meet in a node, and what to do about it."""
    match node.work:
        case PythonWork(rowwise=False) | ServerWork(rowwise=False):
            message = f"`{node.origin}` does not say that it takes each row for itself"
            return message, "say `rowwise: true` in it if it does"
        case PythonWork(idempotent=False):
            message = f"`{node.origin}` would run again for each request of a batch that fails"
            return message, "say `idempotent: true` in it if that does no harm"
        case ChoiceWork(per="request", router="random", parameters=parameters) if not parameters.get("key"):
            return f"`{node.origin}` draws anew for each request", "give it a `key`"
        case ChoiceWork(per="request", router=router) if router not in (*_BY_REQUEST, "random"):
            return f"`{node.origin}` decides once for a whole request", "decide `per: row`"
        case _:
            return None
