"""Finds what is wrong with a graph that no pass may make: faults of graphc's own, never of a user."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from graphc_components.catalog import CATALOG, SignatureError, Value
from graphc_components.tensors import TensorType

from graphc.frontend.shapes import agree
from graphc.ir.graph import (
    CascadeWork,
    ChoiceWork,
    ComponentWork,
    EitherWork,
    FallbackWork,
    Graph,
    MergeWork,
    Node,
    Result,
    RouterWork,
    Use,
)
from graphc.verify.conditions import Conditions


def verify_graph(graph: Graph) -> list[str]:
    """Return what is wrong, a sentence for each fault."""
    return [
        *_verify_names(graph),
        *verify_order([name for name, _ in graph.inputs], graph.nodes),
        *(f"the output `{each.name}` is `{each.tensor}`, which nothing makes" for each in _missing(graph)),
        *Verifying(graph).verify(),
    ]


def _verify_names(graph: Graph) -> Iterator[str]:
    yield from _repeated("node", [node.name for node in graph.nodes])
    tensors = [output.tensor for node in graph.nodes for output in node.outputs]
    yield from _repeated("tensor", [*(name for name, _ in graph.inputs), *tensors])
    yield from _repeated("output", [result.name for result in graph.outputs])
    for node in graph.nodes:
        yield from _repeated(f"port of `{node.name}`", [output.port for output in node.outputs])
        if not isinstance(node.work, MergeWork | FallbackWork):
            yield from _repeated(f"input of `{node.name}`", [use.port for use in node.uses])


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    return (f"the {what} `{name}` is there twice" for name, count in Counter(names).items() if count > 1)


def verify_order(given: Iterable[str], nodes: Sequence[Node]) -> Iterator[str]:
    """Yield the tensors that nodes read before anything gives them; in such an order nothing is cyclic."""
    known = set(given)
    for node in nodes:
        for tensor in dict.fromkeys(node.reads):
            if tensor not in known:
                yield f"`{node.name}` reads `{tensor}`, which nothing before it makes"
        known |= {output.tensor for output in node.outputs}


def _missing(graph: Graph) -> Iterator[Result]:
    types = graph.types
    return (each for each in graph.outputs if each.tensor not in types)


class Verifying:
    """The check of a graph's nodes, one by one, against the types and conditions of what they read."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.types, self.conditions = graph, graph.types, Conditions(graph)
        self.read = {tensor for node in graph.nodes for tensor in node.reads}
        self.read |= {each.tensor for each in graph.outputs}
        self.is_lowered = not any(
            isinstance(node.work, RouterWork | CascadeWork | FallbackWork) for node in graph.nodes
        )

    def verify(self) -> Iterator[str]:
        """Yield what is wrong with any node."""
        for node in self.graph.nodes:
            if all(tensor in self.types for tensor in node.reads):
                yield from self._verify_work(node)
                yield from self._verify_policy(node)
                yield from self.conditions.verify(node)
        if self.is_lowered:
            yield from self.conditions.verify_results()

    def _verify_work(self, node: Node) -> Iterator[str]:
        match node.work:
            case ComponentWork(component=name, parameters=parameters):
                yield from self._verify_component(node, name, cast("Mapping[str, Value]", parameters))
            case RouterWork(value=value, takes=takes):
                yield from self._verify_uses(node, [*([value] if value else []), *_flat(takes)])
                yield from self._verify_branches(node, takes)
            case CascadeWork(steps=steps):
                takes = [step.takes for step in steps]
                confidences = [step.confidence for step in steps if step.confidence]
                yield from self._verify_uses(node, [*_flat(takes), *confidences])
                yield from self._verify_branches(node, takes)
            case FallbackWork(failed=failed, takes=takes):
                yield from self._verify_uses(node, [failed, *_flat(takes)])
                yield from self._verify_branches(node, takes)
            case MergeWork(choice=choice, branches=branches):
                yield from self._verify_uses(node, [choice, *_flat(branches)])
                yield from self._verify_branches(node, branches)
            case ChoiceWork() | EitherWork():
                if [output.type.datatype for output in node.outputs] != ["INT32"]:
                    yield f"the choice `{node.name}` does not give one INT32"
            case _:
                pass

    def _verify_component(self, node: Node, name: str, parameters: Mapping[str, Value]) -> Iterator[str]:
        component, fed = CATALOG[name], tuple(self.types[use.tensor] for use in node.uses)
        try:
            given = component.signature(fed, parameters)
        except SignatureError as error:
            yield f"`{node.name}` cannot be fed so: {error}"
            return
        ports = component.output_names([use.port for use in node.uses])
        types = dict(zip(ports, given.values(), strict=True))
        for output in node.outputs:
            if output.tensor != node.policy.failed and not _is_one(output.type, types[output.port]):
                yield f"`{output.tensor}` is `{output.type}`, and `{name}` gives `{types[output.port]}`"

    def _verify_uses(self, node: Node, own: Iterable[Use]) -> Iterator[str]:
        """Compare what the work reads with what the node says that it reads."""
        tensors = {use.tensor for use in node.uses}
        for use in own:
            if use.tensor not in tensors:
                yield f"`{node.name}` works with `{use.tensor}`, which is not among its uses"

    def _verify_branches(self, node: Node, branches: Sequence[tuple[Use, ...]]) -> Iterator[str]:
        for index, branch in enumerate(branches):
            types = {use.port: self.types.get(use.tensor) for use in branch}
            for output in node.outputs:
                type_ = types.get(output.port)
                if type_ is None:
                    yield f"branch {index} of `{node.name}` has no `{output.port}`"
                elif not _is_one(output.type, type_):
                    yield f"branch {index} of `{node.name}` has `{type_}` for `{output.type}`"

    def _verify_policy(self, node: Node) -> Iterator[str]:
        policy, ports = node.policy, {each.port for each in node.outputs if each.tensor in self.read}
        ways = [policy.skip, bool(policy.defaults), bool(policy.fallback)]
        if sum(ways) > 1:
            yield f"`{node.name}` has several answers to its failing"
        if policy.failed is not None and policy.failed not in {each.tensor for each in node.outputs}:
            yield f"`{node.name}` tells in `{policy.failed}` that it failed, and does not make that"
        fed = {use.port for use in node.uses}
        for default in policy.defaults:
            if isinstance(default.rows, str) and default.rows not in fed:
                yield f"the default of `{node.name}` has the rows of `{default.rows}`, which it does not read"
        standing = {default.port for default in policy.defaults} | {use.port for use in policy.fallback}
        if standing and not ports <= standing:
            yield f"nothing stands for `{min(ports - standing)}` where `{node.name}` fails"


def _flat(branches: Iterable[tuple[Use, ...]]) -> list[Use]:
    return [use for branch in branches for use in branch]


def _is_one(left: TensorType, right: TensorType) -> bool:
    return left.datatype == right.datatype and agree(left.shape, right.shape)
