"""Draws a graph as its file has it."""

from graphc.ir.graph import Graph
from graphc.view.draw_nodes import draw_arrows, draw_input, draw_node, draw_output
from graphc.view.drawing import Arrow, Drawing


def draw_graph(graph: Graph) -> Drawing:
    """Return the picture of a graph: its inputs, nodes and outputs, and the tensors between them."""
    types = graph.types
    makers = {name: f"in:{name}" for name, _ in graph.inputs}
    makers |= {tensor: f"node:{node.name}" for tensor, node in graph.makers.items()}
    boxes = [
        *(draw_input(name, type_) for name, type_ in graph.inputs),
        *(draw_node(node) for node in graph.nodes),
        *(draw_output(output.name, types.get(output.tensor)) for output in graph.outputs),
    ]
    ends = [
        Arrow(makers[output.tensor], f"out:{output.name}", (f"{output.tensor}: {types[output.tensor]}",))
        for output in graph.outputs
    ]
    count = len(graph.nodes)
    subtitle = f"as the file has it: {count} node{'s' * (count != 1)}"
    return Drawing(graph.name, subtitle, tuple(boxes), (*draw_arrows(graph.nodes, makers, types), *ends))
