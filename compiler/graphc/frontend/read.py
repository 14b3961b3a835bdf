"""The front end's pipeline: from a spec to a checked graph, all problems in one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphc.artefacts.signature import Signatures
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import UNDECLARED_OUTPUT
from graphc.frontend.assemble import assemble_graph
from graphc.frontend.check_flow import check_needed, order_nodes
from graphc.frontend.check_names import check_names
from graphc.frontend.check_placement import check_placement
from graphc.frontend.check_policies import check_policies
from graphc.frontend.draft import Draft
from graphc.frontend.draft_nodes import draft_graph
from graphc.frontend.infer import Inferred, infer_types
from graphc.frontend.resolve import Resolved, resolve_references
from graphc.frontend.rows import decide_rows
from graphc.ir.graph import Graph, Per
from graphc.ir.limits import Limits
from graphc.ir.order import find_needed
from graphc.packages.requirements import Requirements
from graphc.spec.model import Cascade, Router
from graphc.spec.read import GraphSpec

_NONE: Final = Limits()


def read_graph(
    spec: GraphSpec,
    folder: Path,
    sink: Sink,
    signatures: Signatures | None = None,
    requirements: Requirements | None = None,
    limits: Limits = _NONE,
) -> Graph | None:
    """Check a graph and type it; returns None, with the reasons in the sink, where it is not sound."""
    check_names(spec, limits, sink)
    check_placement(spec, sink)
    draft = draft_graph(spec, folder, signatures or Signatures(), requirements or Requirements(), sink)
    resolved = resolve_references(draft, sink)
    order = order_nodes(draft, resolved, sink)
    if order is None:
        return None
    needed = _find_needed(spec, resolved)
    check_needed(draft, resolved, needed, sink)
    inferred = infer_types(draft, resolved, order, sink)
    check_policies(draft, resolved, inferred, sink)
    decisions = _decide(draft, inferred, sink)
    kept = [name for name in order if name in needed]
    if not sink.has_errors:
        _check_known(resolved, inferred, kept, sink)
    if sink.has_errors:
        return None
    return assemble_graph(draft, resolved, inferred, decisions, kept)


def _find_needed(spec: GraphSpec, resolved: Resolved) -> set[str]:
    """Return the nodes that some output needs."""
    inputs = spec.fields.inputs
    wanted = {use.tensor.partition(".")[0] for use in resolved.outputs if use.tensor not in inputs}
    return find_needed(resolved.reads(inputs), wanted)


def _decide(draft: Draft, inferred: Inferred, sink: Sink) -> Mapping[str, Per]:
    deciding = [name for name, node in draft.nodes.items() if isinstance(node.spec, Router | Cascade)]
    return {name: decide_rows(draft, inferred, name, sink) for name in deciding}


def _check_known(resolved: Resolved, inferred: Inferred, kept: list[str], sink: Sink) -> None:
    """Report tensors that are read and whose type nothing tells."""
    read = {use.tensor: use.at for use in resolved.outputs}
    read |= {use.tensor: use.at for name in kept for use in resolved.every(name)}
    for tensor, at in read.items():
        node, _, port = tensor.partition(".")
        # What is made from a tensor of unknown type is not to blame.
        if tensor not in inferred.types and all(use.tensor in inferred.types for use in resolved.uses[node]):
            message = f"the type of `{tensor}` is not known"
            hint = f'declare it in `{node}`, as in `out: {{{port}: "FP32[batch, 3]"}}`'
            sink.report(Diagnostic(UNDECLARED_OUTPUT, message, at, hint))
