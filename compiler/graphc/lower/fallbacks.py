"""Parts a node that has a fallback in two: the try, which tells whether it failed, and the answer of either.

The answer is an if-expression on what the try tells, so that the fallback runs where it is taken, as a router's
branch does.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from graphc_components.tensors import TensorType

from graphc.ir.graph import FallbackWork, Graph, Node, Output, Policy, Use

FAILED: Final = ":failed"
"""The port, and the end of the name, of the tensor that is 1 where a node failed, else 0; INT32 [1]."""


def lower_fallbacks(graph: Graph) -> Graph:
    """Return the graph with every fallback made explicit."""
    return graph.with_nodes(tuple(each for node in graph.nodes for each in _part(node)))


def _part(node: Node) -> Iterable[Node]:
    if not node.policy.fallback:
        yield node
        return
    failed = f"{node.name}{FAILED}"
    tried = {use.port: f"{node.name}:try.{use.port}" for use in node.policy.fallback}
    kept = [output for output in node.outputs if output.port in tried]
    outputs = tuple(replace(output, tensor=tried[output.port]) for output in kept)
    flag = Output(FAILED, failed, TensorType("INT32", (1,)))
    policy = Policy(node.policy.timeout_ms, node.policy.retries, skip=True, failed=failed)
    yield replace(node, name=f"{node.name}:try", outputs=(*outputs, flag), policy=policy)
    own = tuple(Use(output.port, output.tensor, node.at) for output in outputs)
    work = FallbackWork(Use("choice", failed, node.at), (own, node.policy.fallback))
    uses = (work.failed, *own, *node.policy.fallback)
    # Where it ran does not matter to the answer; in the try's container it could wait for itself.
    yield Node(node.name, node.origin, node.at, work, uses, tuple(kept))
