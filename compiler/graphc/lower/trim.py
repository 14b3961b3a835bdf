"""Leaves out the outputs of nodes that nothing reads, so that nobody computes them."""

from dataclasses import replace

from graphc.ir.graph import Graph


def trim_outputs(graph: Graph) -> Graph:
    """Return the graph with only those outputs that a node or the graph's answer reads."""
    read = {tensor for node in graph.nodes for tensor in node.reads} | {each.tensor for each in graph.outputs}
    return graph.with_nodes(
        tuple(
            replace(node, outputs=tuple(output for output in node.outputs if output.tensor in read))
            for node in graph.nodes
        )
    )
