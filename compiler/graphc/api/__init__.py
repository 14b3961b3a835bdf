"""What Python programs, notebooks and tests use of graphc."""

from graphc.api.inference_graph import InferenceGraph, load
from graphc.api.problems import GraphError, Problem, RequestFailedError
from graphc.api.served import Served

__all__ = ["GraphError", "InferenceGraph", "Problem", "RequestFailedError", "Served", "load"]
