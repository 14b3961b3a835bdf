"""Adds an input twice."""

from graphc.builder import Graph

graph = Graph("score")
x = graph.input("x", "FP32[batch]")
y = graph.input("x", "FP32[batch]")  # error[GC030]: the file fails: ValueError: the graph has `x` already
graph.output(y=y)
