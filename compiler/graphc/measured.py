"""Reads measured costs: `{"graph": {"node": milliseconds}}`, as `--costs` names them."""

from collections.abc import Mapping

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import BAD_VALUE, WRONG_KIND
from graphc.diagnostics.codes.rollout import UNKNOWN_COST
from graphc.diagnostics.suggest import did_you_mean
from graphc.lower.options import Measured
from graphc.records import record
from graphc.source.files import Source
from graphc.source.located import Entry, Fields, Scalar
from graphc.source.yaml_reader import read_documents
from graphc.spec.fields import LONGEST_MS


@record
class CostFile:
    """A file of costs: the sound ones by graph and node, and where each stands."""

    costs: Measured
    graphs: Mapping[str, Fields]


def read_costs(source: Source, sink: Sink) -> CostFile:
    """Read a file of costs, reporting what is no cost."""
    graphs: dict[str, Fields] = {}
    costs: dict[str, dict[str, float]] = {}
    for document in read_documents(source.text, source.file, sink):
        if not isinstance(document, Fields):
            message = "measured costs are not a mapping of graphs"
            sink.report(Diagnostic(WRONG_KIND, message, document.span))
            continue
        for entry in document.entries:
            if isinstance(entry.value, Fields):
                graphs[entry.key] = entry.value
                costs[entry.key] = _read_nodes(entry.value, sink)
            else:
                message = f"the costs of `{entry.key}` are not a mapping of nodes"
                sink.report(Diagnostic(WRONG_KIND, message, entry.value.span))
    return CostFile(costs, graphs)


def _read_nodes(nodes: Fields, sink: Sink) -> dict[str, float]:
    read = {entry.key: _read_cost(entry, sink) for entry in nodes.entries}
    return {name: cost for name, cost in read.items() if cost is not None}


def _read_cost(entry: Entry, sink: Sink) -> float | None:
    value = entry.value.value if isinstance(entry.value, Scalar) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        message = f"the cost of `{entry.key}` is not a number of milliseconds"
        sink.report(Diagnostic(WRONG_KIND, message, entry.value.span))
    elif not 0 <= value <= LONGEST_MS:
        message = f"the cost of `{entry.key}` is {value:g} ms, and has to be 0 to {LONGEST_MS}"
        sink.report(Diagnostic(BAD_VALUE, message, entry.value.span))
    else:
        return float(value)
    return None


def check_costs(file: CostFile, nodes: Mapping[str, Mapping[str, object]], sink: Sink) -> None:
    """Warn of costs of what is not there, given the nodes of each graph: an older graph was measured."""
    for graph, costs in file.graphs.items():
        if graph not in nodes:
            message = f"costs of `{graph}` were measured, and no graph of that name is compiled"
            sink.report(Diagnostic(UNKNOWN_COST, message, costs.span, did_you_mean(graph, nodes)))
            continue
        for entry in costs.entries:
            if entry.key not in nodes[graph]:
                message = f"a cost of `{entry.key}` was measured, and `{graph}` has no such node"
                hint = did_you_mean(entry.key, nodes[graph])
                sink.report(Diagnostic(UNKNOWN_COST, message, entry.key_span, hint))
