"""What a graph means: the reference that every compiled form has to agree with, written to be read.

A node computes its outputs from its inputs. A router is an if-expression: for each row of the batch (or once for the
request) it answers with one of its branches; a cascade is routers in routers: leave here, or go on.

A node runs once, for exactly the rows that some reader of it takes, through however many routers and cascades, and not
at all where there are none. The graph's outputs take all rows; a node takes of what it reads the rows that it runs for
itself; a router or cascade takes, of what a branch answers with, those of its rows for which that branch is taken. One
thing is left to say, because a node runs once: no node can wait for a decision that is made from its own answer. That
decision leaves out no row of what the node is read for: it runs for all rows that are decided on.

Rows are those of one dimension. A tensor without the rows that are decided on is read whole, if any row asks for it.
Without rows every branch is taken, and there is nothing to run.

A node that works (a model, component or Python node) fails where no try of it answers: one try, and as many more as
it has retries; a try that is not over in time gives no answer. It fails for all rows that it runs for. Its policy then
says what stands for its outputs: nothing, which only combiners with a quorum can do without; constants; or the outputs
of its fallback, which it reads where it failed, as a router reads a branch. Without a policy the request fails. A
combiner with a quorum works on those of its tensors that are there, in order, and fails where they are fewer than the
quorum.

Time itself has no place here: `run` fails where a node would not answer in time, and a request that is past its
deadline has no meaning. A combiner that waits for its quorum only may see any of its tensors, if they are enough.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from graphc_components.tensors import Dim
from numpy.typing import NDArray

from graphc.ir.graph import CascadeWork, ComponentWork, Default, Graph, Node, Per, RouterWork, Use
from graphc.lower.fallbacks import FAILED
from graphc.lower.ways import choice_tensor, find_unused

Array = NDArray[Any]
Ports = Mapping[str, Array]
Rows = Mapping[Dim, Array]
"""By dimension, which rows of the batch are taken; of a dimension that is not there, all."""
Step = tuple[int, int]
"""One of a router's or cascade's decisions, or that a node failed, and the branch that leads to what is read."""

RunNode = Callable[[Node, Ports], Ports]
"""Runs a model, component or Python node once on its inputs by port; it fails with NodeFailedError."""
Choose = Callable[[str, Mapping[str, object], Per, Array | None], Array]
"""Decides by a router's name and parameters: INT32 [rows], or one element for the request."""


class NodeFailedError(Exception):
    """A node gave no answer."""


def interpret(graph: Graph, inputs: Ports, run: RunNode, choose: Choose) -> dict[str, Array]:
    """Return the graph's outputs by name; raises what a needed node or decision raises."""
    meaning = _Meaning(graph, inputs, run, choose)
    for node in graph.nodes:
        meaning.make(node)
    outputs = {result.name: meaning.read(result.tensor, {}) for result in graph.outputs}
    return {name: array for name, array in outputs.items() if array is not None}


@dataclass(slots=True)
class _Meaning:
    graph: Graph
    inputs: Ports
    run: RunNode
    choose: Choose
    unknown: Mapping[str, frozenset[str]] = field(init=False)
    """By node, the decisions that are made from its answer, and those that leave out nothing."""
    outputs: dict[str, Ports] = field(default_factory=dict[str, Ports])
    taken: dict[tuple[str, frozenset[str]], Rows | None] = field(
        default_factory=dict[tuple[str, frozenset[str]], Rows | None]
    )
    choices: dict[tuple[str, int], Array] = field(default_factory=dict[tuple[str, int], Array])
    answers: dict[str, Ports | NodeFailedError] = field(default_factory=dict[str, Ports | NodeFailedError])

    def __post_init__(self) -> None:
        self.unknown = find_unused(self.graph)

    # Which rows

    def rows(self, node: Node, unknown: frozenset[str] = frozenset()) -> Rows | None:
        """Return the rows that any reader takes, as far as that is known; None where none takes any."""
        unknown |= self.unknown[node.name]
        if (node.name, unknown) not in self.taken:
            self.taken[node.name, unknown] = _unite(self._ways(node, unknown))
        return self.taken[node.name, unknown]

    def _ways(self, node: Node, unknown: frozenset[str]) -> Iterable[Rows | None]:
        tensors = {each.tensor for each in node.outputs}
        yield from ({} for result in self.graph.outputs if result.tensor in tensors)
        for reader in self.graph.nodes:
            for use, steps in uses_of(reader):
                if use.tensor in tensors:
                    yield self._narrow(reader, self.rows(reader, unknown), steps, unknown)

    def _narrow(
        self, node: Node, rows: Rows | None, steps: Iterable[Step], unknown: frozenset[str] = frozenset()
    ) -> Rows | None:
        """Leave the rows for which a node's decisions lead so far."""
        for decision, branch in steps:
            if rows is None or _name(node, decision) in unknown:
                return rows
            takes = self.decide(node, decision, rows) == branch
            if takes.size and not takes.any():
                return None
            dimension = self._decided(node)
            rows = rows if dimension is None else {**rows, dimension: takes}
        return rows

    def decide(self, node: Node, decision: int, rows: Rows) -> Array:
        """Return which branch is taken, by all rows of the batch: -1 by those that the decision is not about."""
        if (node.name, decision) not in self.choices:
            choice = self._decide(node, decision, rows)
            wanted = rows.get(self._decided(node))
            if wanted is not None:
                all_rows = np.full(len(wanted), -1, np.int32)
                all_rows[wanted] = choice
                choice = all_rows
            self.choices[node.name, decision] = choice
        return self.choices[node.name, decision]

    def _decide(self, node: Node, decision: int, rows: Rows) -> Array:
        match node.work:
            case RouterWork(router=router, parameters=parameters, per=per, value=value):
                return self.choose(router, parameters, per, self.read(value.tensor, rows) if value else None)
            case CascadeWork(per=per, steps=steps):
                step = steps[decision]
                assert step.confidence is not None
                return self.choose(
                    "confidence", {"until": step.until}, per, self.read(step.confidence.tensor, rows)
                )
            case _:
                return np.array([isinstance(self.answer(node, rows), NodeFailedError)], np.int32)

    def _decided(self, node: Node) -> Dim:
        """Return the dimension whose rows are decided on; None where the request is."""
        match node.work:
            case RouterWork(per="row", value=Use(tensor=tensor)):
                return self._first(tensor)
            case CascadeWork(per="row", steps=steps):
                return self._first(steps[0].takes[0].tensor)
            case _:
                return None

    def _first(self, tensor: str) -> Dim:
        return self.graph.types[tensor].shape[0]

    # What is answered

    def read(self, tensor: str, rows: Rows) -> Array | None:
        """Return some rows of a tensor, None where it is missing."""
        wanted = rows.get(self._first(tensor))
        node = self.graph.makers.get(tensor)
        if node is None:
            return self.inputs[tensor] if wanted is None else self.inputs[tensor][wanted]
        array = self.make(node).get(tensor.removeprefix(f"{node.name}."))
        made = (self.rows(node) or {}).get(self._first(tensor))
        if array is None or wanted is None:
            return array
        return array[wanted if made is None else wanted[made]]

    def make(self, node: Node) -> Ports:
        """Return a node's outputs by port, of the rows that it runs for."""
        if node.name not in self.outputs:
            rows = self.rows(node)
            self.outputs[node.name] = {} if rows is None else self._make(node, rows)
        return self.outputs[node.name]

    def _make(self, node: Node, rows: Rows) -> Ports:
        match node.work:
            case RouterWork(per=per, takes=takes):
                return self._pick(node, per, [], rows, list(takes))
            case CascadeWork(per=per, steps=steps):
                return self._pick(node, per, [], rows, [step.takes for step in steps])
            case _:
                answer = self.answer(node, rows)
                return self._stand_in(node, rows, answer) if isinstance(answer, NodeFailedError) else answer

    def answer(self, node: Node, rows: Rows) -> Ports | NodeFailedError:
        """Return what a working node itself answers with, or its last try's failure."""
        if node.name not in self.answers:
            read = self._take(node.uses, rows)
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

    def _stand_in(self, node: Node, rows: Rows, failure: NodeFailedError) -> Ports:
        """Return what a node's policy puts in the place of its outputs."""
        policy = node.policy
        if policy.fallback:
            return self._take(policy.fallback, rows)
        if policy.defaults:
            return {each.port: self._fill(node, rows, each) for each in policy.defaults}
        if policy.skip:
            return {}
        raise failure

    def _fill(self, node: Node, rows: Rows, default: Default) -> Array:
        count = (
            default.rows if isinstance(default.rows, int) else len(self._take(node.uses, rows)[default.rows])
        )
        return np.full((count, *default.shape), _element(default), _dtype(default.datatype))

    def _pick(
        self, node: Node, per: Per, before: list[Step], rows: Rows, takes: list[tuple[Use, ...]]
    ) -> Ports:
        """Answer with the branches taken; a cascade is a router whose other branch is the rest of it."""
        is_cascade, decision = isinstance(node.work, CascadeWork), len(before)
        if is_cascade and len(takes) == 1:
            return self._take(takes[0], rows)
        choice = self.decide(node, decision, rows)
        answers: dict[int, Ports] = {}
        for branch in range(2 if is_cascade else len(takes)):
            under = self._narrow(node, rows, [(decision, branch)])
            if under is None:
                continue
            if is_cascade and branch == 1:
                answers[branch] = self._pick(node, per, [*before, (decision, 1)], under, takes[1:])
            else:
                answers[branch] = self._take(takes[branch], under)
        return {output.port: _join(choice, per, output.port, answers) for output in node.outputs}

    def _take(self, takes: Iterable[Use], rows: Rows) -> Ports:
        read = {use.port: self.read(use.tensor, rows) for use in takes}
        return {port: array for port, array in read.items() if array is not None}


def uses_of(node: Node) -> Iterable[tuple[Use, tuple[Step, ...]]]:
    """Yield what a node reads, each with the decisions of its own by which it does."""
    match node.work:
        case RouterWork(value=value, takes=takes):
            if value:
                yield value, ()
            for branch, uses in enumerate(takes):
                yield from ((use, ((0, branch),)) for use in uses)
        case CascadeWork(steps=steps):
            for index, step in enumerate(steps):
                before = tuple((each, 1) for each in range(index))
                leave = () if step.confidence is None else ((index, 0),)
                yield from ((use, before + leave) for use in step.takes)
                if step.confidence:
                    yield step.confidence, before
        case _:
            yield from ((use, ()) for use in node.uses)
            yield from ((use, ((0, 1),)) for use in node.policy.fallback)


def _name(node: Node, decision: int) -> str:
    is_choice = isinstance(node.work, RouterWork | CascadeWork)
    return choice_tensor(node.name, decision) if is_choice else f"{node.name}{FAILED}"


def _unite(ways: Iterable[Rows | None]) -> Rows | None:
    """Return the rows of any of some ways."""
    met = [rows for rows in ways if rows is not None]
    if not met:
        return None
    shared = [dimension for dimension in met[0] if all(dimension in rows for rows in met)]
    return {dimension: np.logical_or.reduce([rows[dimension] for rows in met]) for dimension in shared}


def _dtype(datatype: str) -> str:
    return "object" if datatype == "BYTES" else datatype.lower().replace("fp", "float")


def _element(default: Default) -> bool | float | bytes:
    return default.value.encode() if isinstance(default.value, str) else default.value


def _join(choice: Array, per: Per, port: str, answers: Mapping[int, Ports]) -> Array:
    if per == "request":
        return answers[int(choice[0])][port]
    choice = choice[choice >= 0]
    parts = {branch: ports[port] for branch, ports in answers.items()}
    whole = np.empty((len(choice), *next(iter(parts.values())).shape[1:]), next(iter(parts.values())).dtype)
    for branch, part in parts.items():
        whole[choice == branch] = part
    return whole
