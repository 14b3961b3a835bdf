"""Builds a graph that nothing keeps."""  # error[GC031]: the file builds no graph

from graphc.builder import Graph


def build() -> Graph:
    graph = Graph("score")
    left, right = (graph.input(name, "FP32[batch, 3]") for name in ("left", "right"))
    graph.output(answer=graph.component("both", "mean", [left, right]))
    return graph
