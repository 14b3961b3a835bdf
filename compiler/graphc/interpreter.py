"""What a graph means: the reference that every compiled form has to agree with, written to be read.

A node computes its outputs from its inputs. A router is an if-expression: for each row of the batch (or once for the
request) it answers with one of its branches; a cascade is routers in routers: leave here, or go on. A node runs
wherever its condition is met, and by row it sees the rows that meet it.

Its condition is what the ways from it to the graph's outputs have in common: which branches are taken, of the outermost
router first. What some branches of a router need runs where one of those is taken; what all of them need, or anything
outside, runs wherever the router does. Where ways part, the condition ends. So a node runs more widely than it is
needed in two cases: needed in branch 0, and in branch 1 only where a router inside that branch says so, it runs for all
of 0 and 1; needed in branches of two routers of which neither is inside the other, it runs wherever both of them do.

A node that works (a model, component or Python node) fails where no try of it answers: one try, and as many more as
it has retries; a try that is not over in time gives no answer. Its policy then says what stands for its outputs:
nothing, which only combiners with a quorum can do without; constants; or the outputs of its fallback, which it reads
under the condition that it failed, as a router reads a branch. Without a policy the request fails. A combiner with a
quorum works on those of its tensors that are there, in order, and fails where they are fewer than the quorum.

Time itself has no place here: `run` fails where a node would not answer in time, and a request that is past its
deadline has no meaning. A combiner that waits for its quorum only may see any of its tensors, if they are enough.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.graph import CascadeWork, ComponentWork, Default, Graph, Node, Per, RouterWork, Use

Array = NDArray[Any]
Ports = Mapping[str, Array]
Step = tuple[str, int, frozenset[int]]
"""One condition: the router, cascade or node that may fail, which of its decisions, and the branches taken."""
Condition = tuple[Step, ...]

RunNode = Callable[[Node, Ports], Ports]
"""Runs a model, component or Python node once on its inputs by port; it fails with NodeFailedError."""
Choose = Callable[[str, Mapping[str, object], Per, Array | None], Array]
"""Decides by a router's name and parameters: INT32 [rows], or one element for the request."""


class NodeFailedError(Exception):
    """A node gave no answer."""


def interpret(graph: Graph, inputs: Ports, run: RunNode, choose: Choose) -> dict[str, Array]:
    """Return the graph's outputs by name; raises whatever a node or a decision that is needed raises."""
    meaning = _Meaning(graph, inputs, run, choose)
    for node in graph.nodes:
        meaning.make(node)
    outputs = {result.name: meaning.read(result.tensor, ()) for result in graph.outputs}
    return {name: array for name, array in outputs.items() if array is not None}


@dataclass(slots=True)
class _Meaning:
    graph: Graph
    inputs: Ports
    run: RunNode
    choose: Choose
    outputs: dict[str, Ports] = field(default_factory=dict[str, Ports])
    conditions: dict[str, Condition] = field(default_factory=dict[str, Condition])
    choices: dict[tuple[str, int], Array | None] = field(default_factory=dict[tuple[str, int], Array | None])
    answers: dict[str, Ports | NodeFailedError] = field(default_factory=dict[str, Ports | NodeFailedError])

    def read(self, tensor: str, under: Condition) -> Array | None:
        """Return a tensor as a reader under a condition sees it; None where no row meets the condition."""
        node = self.graph.makers.get(tensor)
        if node is None:
            return self._filter(self.inputs[tensor], self._first(tensor), (), under)
        own = self.condition(node)
        array = self.make(node).get(tensor.removeprefix(f"{node.name}.")) if self.is_met(under) else None
        return None if array is None else self._filter(array, self._first(tensor), own, under)

    def condition(self, node: Node) -> Condition:
        """Return what all ways from a node to the graph's outputs have in common."""
        if node.name not in self.conditions:
            self.conditions[node.name] = self._common(list(self._ways(node)))
        return self.conditions[node.name]

    def _ways(self, node: Node) -> Iterable[Condition]:
        tensors = {each.tensor for each in node.outputs}
        yield from (() for result in self.graph.outputs if result.tensor in tensors)
        for reader in self.graph.nodes:
            for use, steps in uses_of(reader):
                if use.tensor in tensors:
                    yield self.condition(reader) + steps

    def _common(self, ways: list[Condition]) -> Condition:
        """Return the same steps of all ways, then the branches that any takes of the decision where they part."""
        common: Condition = ()
        for name, decision, branches in min(ways, key=len, default=()):
            steps = {way[len(common)] for way in ways}
            if len(steps) > 1:
                taken = frozenset[int]().union(*(each[2] for each in steps))
                is_one = {each[:2] for each in steps} == {(name, decision)}
                is_some = len(taken) < _count_branches(self._node(name))
                return (*common, (name, decision, taken)) if is_one and is_some else common
            common = (*common, (name, decision, branches))
        return common

    def _node(self, name: str) -> Node:
        return next(each for each in self.graph.nodes if each.name == name)

    def is_met(self, condition: Condition) -> bool:
        """Say whether any row, or the request, meets a condition; without rows every condition is met."""
        for index, (name, decision, branches) in enumerate(condition):
            choice = self.decide(name, decision, condition[:index])
            if choice is None or (choice.size and not _takes(choice, branches).any()):
                return False
        return True

    def decide(self, name: str, decision: int, under: Condition) -> Array | None:
        """Return which branch is taken, of the rows that are there under a condition."""
        if (name, decision) not in self.choices:
            self.choices[name, decision] = self._decide(self._node(name), decision, under)
        return self.choices[name, decision]

    def _decide(self, node: Node, decision: int, under: Condition) -> Array | None:
        if not self.is_met(under):
            return None
        match node.work:
            case RouterWork(router=router, parameters=parameters, per=per, value=value):
                return self.choose(router, parameters, per, self.read(value.tensor, under) if value else None)
            case CascadeWork(per=per, steps=steps):
                step = steps[decision]
                assert step.confidence is not None
                return self.choose(
                    "confidence", {"until": step.until}, per, self.read(step.confidence.tensor, under)
                )
            case _:
                return np.array([isinstance(self.answer(node, under), NodeFailedError)], np.int32)

    def make(self, node: Node) -> Ports:
        """Return a node's outputs by port, of the rows that are there under its condition."""
        if node.name not in self.outputs:
            own = self.condition(node)
            self.outputs[node.name] = self._make(node, own) if self.is_met(own) else {}
        return self.outputs[node.name]

    def _make(self, node: Node, own: Condition) -> Ports:
        match node.work:
            case RouterWork(per=per, takes=takes):
                return self._pick(node, per, 0, own, list(takes))
            case CascadeWork(per=per, steps=steps):
                return self._pick(node, per, 0, own, [step.takes for step in steps])
            case _:
                answer = self.answer(node, own)
                return self._stand_in(node, own, answer) if isinstance(answer, NodeFailedError) else answer

    def answer(self, node: Node, own: Condition) -> Ports | NodeFailedError:
        """Return what a working node itself answers with, or its last try's failure."""
        if node.name not in self.answers:
            read = self._take(node.uses, own)
            answer = self._try(node, read)
            for _ in range(node.policy.retries):
                answer = self._try(node, read) if isinstance(answer, NodeFailedError) else answer
            self.answers[node.name] = answer
        return self.answers[node.name]

    def _try(self, node: Node, read: Ports) -> Ports | NodeFailedError:
        quorum = node.work.quorum if isinstance(node.work, ComponentWork) else None
        if quorum is not None and len(read) < quorum:
            return NodeFailedError(f"{node.name} has {len(read)} of {quorum}")
        try:
            return self.run(node, read)
        except NodeFailedError as failure:
            return failure

    def _stand_in(self, node: Node, own: Condition, failure: NodeFailedError) -> Ports:
        """Return what a node's policy puts in the place of its outputs."""
        policy = node.policy
        if policy.fallback:
            return self._take(policy.fallback, (*own, (node.name, 0, frozenset({1}))))
        if policy.defaults:
            return {each.port: self._fill(node, own, each) for each in policy.defaults}
        if policy.skip:
            return {}
        raise failure

    def _fill(self, node: Node, own: Condition, default: Default) -> Array:
        rows = (
            default.rows if isinstance(default.rows, int) else len(self._take(node.uses, own)[default.rows])
        )
        return np.full((rows, *default.shape), _element(default), _dtype(default.datatype))

    def _pick(
        self, node: Node, per: Per, decision: int, own: Condition, takes: list[tuple[Use, ...]]
    ) -> Ports:
        """Answer with the branches taken; a cascade is a router whose other branch is the rest of it."""
        is_cascade = isinstance(node.work, CascadeWork)
        if is_cascade and len(takes) == 1:
            return self._take(takes[0], own)
        choice = self.decide(node.name, decision, own)
        assert choice is not None
        answers: dict[int, Ports] = {}
        for branch in range(2 if is_cascade else len(takes)):
            under = (*own, (node.name, decision, frozenset({branch})))
            if not self.is_met(under):
                continue
            if is_cascade and branch == 1:
                answers[branch] = self._pick(node, per, decision + 1, under, takes[1:])
            else:
                answers[branch] = self._take(takes[branch], under)
        return {output.port: _join(choice, per, output.port, answers) for output in node.outputs}

    def _take(self, takes: Iterable[Use], under: Condition) -> Ports:
        read = {use.port: self.read(use.tensor, under) for use in takes}
        return {port: array for port, array in read.items() if array is not None}

    def _first(self, tensor: str) -> object:
        return self.graph.types[tensor].shape[0]

    def _filter(self, array: Array, first: object, have: Condition, want: Condition) -> Array:
        """Leave the rows that meet a narrower condition, of those that meet a wider one."""
        there, wanted = self._number(first, have), self._number(first, want)
        if wanted is None:
            return array
        return array[wanted if there is None else np.isin(there, wanted)]

    def _number(self, first: object, condition: Condition) -> Array | None:
        """Return which rows of a dimension meet a condition; None where it asks nothing of them."""
        rows: Array | None = None
        for index, (name, decision, branches) in enumerate(condition):
            choice = self.decide(name, decision, condition[:index])
            if choice is not None and first is not None and first == self._decided(self._node(name)):
                rows = np.arange(len(choice)) if rows is None else rows
                rows = rows[_takes(choice, branches)]
        return rows

    def _decided(self, node: Node) -> object:
        """Return the dimension whose rows are decided on; None where the request is."""
        match node.work:
            case RouterWork(per="row", value=Use(tensor=tensor)):
                return self._first(tensor)
            case CascadeWork(per="row", steps=steps):
                return self._first(steps[0].takes[0].tensor)
            case _:
                return None


def uses_of(node: Node) -> Iterable[tuple[Use, Condition]]:
    """Yield what a node reads, each with the further conditions under which it does."""
    match node.work:
        case RouterWork(value=value, takes=takes):
            if value:
                yield value, ()
            for branch, uses in enumerate(takes):
                yield from ((use, ((node.name, 0, frozenset({branch})),)) for use in uses)
        case CascadeWork(steps=steps):
            for index, step in enumerate(steps):
                before = tuple((node.name, each, frozenset({1})) for each in range(index))
                leave = () if step.confidence is None else ((node.name, index, frozenset({0})),)
                yield from ((use, before + leave) for use in step.takes)
                if step.confidence:
                    yield step.confidence, before
        case _:
            yield from ((use, ()) for use in node.uses)
            yield from ((use, ((node.name, 0, frozenset({1})),)) for use in node.policy.fallback)


def _dtype(datatype: str) -> str:
    return "object" if datatype == "BYTES" else datatype.lower().replace("fp", "float")


def _element(default: Default) -> bool | float | bytes:
    return default.value.encode() if isinstance(default.value, str) else default.value


def _takes(choice: Array, branches: frozenset[int]) -> Array:
    return np.isin(choice, list(branches))


def _count_branches(node: Node) -> int:
    return len(node.work.takes) if isinstance(node.work, RouterWork) else 2


def _join(choice: Array, per: Per, port: str, answers: Mapping[int, Ports]) -> Array:
    if per == "request":
        return answers[int(choice[0])][port]
    parts = {branch: ports[port] for branch, ports in answers.items()}
    whole = np.empty((len(choice), *next(iter(parts.values())).shape[1:]), next(iter(parts.values())).dtype)
    for branch, part in parts.items():
        whole[choice == branch] = part
    return whole
