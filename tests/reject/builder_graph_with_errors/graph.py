"""Builds a graph in which something is wrong, each time at the line that says it."""

from graphc.builder import Graph, Tensor

graph = Graph("score")
x = graph.input("x", "FP32[batch]")
y = graph.input("y", "FP[batch]")  # error[GC104]: `FP` is not a datatype of the V2 protocol
b = graph.component("b", "meen", [x, y])  # error[GC109]: `b` asks for `meen`, which the catalog does not have
c = graph.component("c", "mean", [x, Tensor("z")])  # error[GC201]: `c` reads `z`, which is not a node
graph.output(b=b, c=c)
