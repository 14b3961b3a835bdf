"""Answers a request of one row by asking only for what is needed, tensor by tensor: what a graph means for that row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from graphc.ir.graph import CascadeWork, ComponentWork, Default, Graph, Node, RouterWork, Use
from graphc.verify.interpreter import Choose, NodeFailedError, RunNode

Ports = Mapping[str, Any]

_DTYPES: Final = {"FP32": "float32", "INT64": "int64", "BYTES": "object"}


def answer_lazily(graph: Graph, inputs: Ports, run: RunNode, choose: Choose) -> dict[str, Any]:
    """Return the outputs of the graph for one row; a node that no branch which is taken leads to is never run."""
    asking = _Asking(graph, inputs, run, choose)
    return {result.name: asking.read(result.tensor) for result in graph.outputs}


@dataclass(slots=True)
class _Asking:
    graph: Graph
    inputs: Ports
    run: RunNode
    choose: Choose
    found: dict[str, Ports] = field(default_factory=dict[str, Ports])

    def read(self, tensor: str) -> Any:
        node = self.graph.makers.get(tensor)
        if node is None:
            return self.inputs[tensor]
        if node.name not in self.found:
            self.found[node.name] = self._make(node)
        return self.found[node.name].get(tensor.removeprefix(f"{node.name}."))

    def _read_all(self, uses: Iterable[Use]) -> Ports:
        read = {use.port: self.read(use.tensor) for use in uses}
        return {port: array for port, array in read.items() if array is not None}

    def _make(self, node: Node) -> Ports:
        match node.work:
            case RouterWork() as work:
                value = self.read(work.value.tensor) if work.value else None
                choice = self.choose(work.router, work.parameters, work.per, value)
                return self._read_all(work.takes[int(choice[0])])
            case CascadeWork() as work:
                for step in work.steps:
                    if step.confidence is None:
                        return self._read_all(step.takes)
                    value = self.read(step.confidence.tensor)
                    if self.choose("confidence", {"until": step.until}, work.per, value)[0] == 0:
                        return self._read_all(step.takes)
                raise AssertionError
            case _:
                return self._work(node)

    def _work(self, node: Node) -> Ports:
        read, policy = self._read_all(node.uses), node.policy
        quorum = node.work.quorum if isinstance(node.work, ComponentWork) else None
        for _ in range(1 + policy.retries):
            try:
                if quorum is None or len(read) >= quorum:
                    return self.run(node, read)
            except NodeFailedError:
                pass
        if policy.fallback:
            return self._read_all(policy.fallback)
        if policy.skip:
            return {}
        if policy.defaults:
            return {each.port: _constant(each, read) for each in policy.defaults}
        raise NodeFailedError(node.name)


def _constant(default: Default, read: Ports) -> Any:
    rows = default.rows if isinstance(default.rows, int) else len(read[default.rows])
    value = default.value.encode() if isinstance(default.value, str) else default.value
    return np.full((rows, *default.shape), value, _DTYPES[default.datatype])
