"""Checks types: tells one wrong declaration of a type as one fault, however many nodes cannot work with it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from graphc_components.tensors import DATATYPES, TensorType

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.flow import BRANCHES_DISAGREE, WRONG_DATATYPE, WRONG_INPUTS, WRONG_SHAPE
from graphc.frontend.draft import Draft
from graphc.frontend.infer import Inferred, Problem, infer_types
from graphc.frontend.resolve import Resolved
from graphc.records import record
from graphc.spec.fields import Model, Python, Server

_OF_TYPES: Final = frozenset({WRONG_DATATYPE, WRONG_SHAPE, WRONG_INPUTS, BRANCHES_DISAGREE})
_USUAL: Final = ("FP32", "FP64", "INT64", "INT32", "BYTES", "BOOL")
_FURTHER_SHAPES: Final = 8
_NAMED: Final = 8
"""How many nodes a message names at most."""
_MOST_WORK: Final = 20_000
"""How many nodes are inferred anew at most, all tries together; past it each node's problem is told by itself."""


Infer = Callable[[Mapping[str, TensorType]], Sequence[Problem]]
"""Returns what is wrong where the tensors that are declared had other types."""


def check_types(
    draft: Draft, resolved: Resolved, order: Sequence[str], inferred: Inferred, sink: Sink
) -> None:
    """Report what inference found wrong."""

    def infer(others: Mapping[str, TensorType]) -> Sequence[Problem]:
        return infer_types(draft, resolved, order, others).problems

    for diagnostic in Blaming(draft, resolved, inferred.types, infer).gather(inferred.problems):
        sink.report(diagnostic)


@record
class Blaming:
    """A graph with the types that were found in it."""

    draft: Draft
    resolved: Resolved
    types: Mapping[str, TensorType]
    infer: Infer

    def gather(self, problems: Sequence[Problem]) -> Iterator[Diagnostic]:
        """Yield what is to be told: what another type of one declared tensor would end is its one fault.

        That it is: nothing new comes of the other type, and nothing is wrong any more at those that read the tensor.
        """
        left = list(problems)
        places = {_place(each) for each in problems}
        work = _MOST_WORK
        for tensor, at, reading in self._suspects(problems):
            mine = [each for each in left if each.node in reading and each.diagnostic.rule in _OF_TYPES]
            if len(mine) < 2:
                continue
            for type_ in self._candidates(tensor, {each.node for each in mine}):
                work -= len(self.draft.nodes)
                if work < 0:
                    break
                # Messages name types, which are others then.
                then = {_place(each) for each in self.infer({tensor: type_})}
                ended = [each for each in mine if _place(each) not in then]
                stays = any(self._is_about(each, tensor) for each in mine if each not in ended)
                if len(ended) > 1 and not stays and then <= places:
                    yield self._describe(tensor, type_, ended, at)
                    left = [each for each in left if each not in ended]
                    break
            if work < 0:
                break
        yield from (each.diagnostic for each in left)

    def _suspects(self, problems: Sequence[Problem]) -> Iterator[tuple[str, Span, set[str]]]:
        """Yield the declared tensors with their places and all that hangs on them, the likeliest fault first.

        That is the one which most nodes read that complain: tries are costly, and there are only so many.
        """
        about = [each.node for each in problems if each.diagnostic.rule in _OF_TYPES]
        if len(about) < 2:
            return
        complaining = set(about)
        readers = self._map_readers()
        declared = list(self._declared())
        counts = {tensor: len(complaining.intersection(readers.get(tensor, ()))) for tensor, _ in declared}
        for tensor, at in sorted(declared, key=lambda each: -counts[each[0]]):
            yield tensor, at, _find_readers(readers, tensor)

    def _declared(self) -> Iterator[tuple[str, Span]]:
        """Yield the tensors whose types the file alone tells, and where it does."""
        spec = self.draft.spec
        for name in spec.fields.inputs:
            yield name, spec.at("inputs", name)
        for name, node in self.draft.nodes.items():
            if isinstance(node.spec, Server) or (
                isinstance(node.spec, Model | Python) and node.signature is None
            ):
                for port in node.spec.out:
                    yield f"{name}.{port}", spec.at("nodes", name, "out", port)

    def _map_readers(self) -> dict[str, list[str]]:
        """Return the nodes that read each tensor, and those that read anything of each node."""
        readers: dict[str, list[str]] = {}
        for name, uses in self.resolved.uses.items():
            for use in uses:
                readers.setdefault(use.tensor, []).append(name)
                readers.setdefault(use.tensor.partition(".")[0], []).append(name)
        return readers

    def _is_about(self, problem: Problem, tensor: str) -> bool:
        """Say whether a problem is of a node that reads a tensor, and not where it reads another one."""
        uses = self.resolved.uses[problem.node]
        others = {use.at for use in uses if use.tensor != tensor}
        return len(others) < len(uses) and problem.diagnostic.at not in others

    def _candidates(self, tensor: str, nodes: Collection[str]) -> Iterable[TensorType]:
        own = self.types[tensor]
        stated = [type_ for name in sorted(nodes) for type_ in self._stated(name, own)]
        usual = [TensorType(each, own.shape) for each in (*_USUAL, *DATATYPES)]
        # An input has many readers with shapes of their own; with some other shape most of them would agree.
        is_made = tensor not in self.draft.spec.fields.inputs
        shaped = [each for each in dict.fromkeys(self.types.values()) if is_made and each.shape != own.shape]
        every = [*stated, *usual, *shaped[:_FURTHER_SHAPES]]
        return (each for each in dict.fromkeys(every) if each != own)

    def _stated(self, name: str, own: TensorType) -> Iterator[TensorType]:
        signature = self.draft.nodes[name].signature
        for each in signature.inputs if signature else ():
            if each.shape:
                rows = each.shape[0] if isinstance(each.shape[0], int) or not own.shape else own.shape[0]
                yield TensorType(each.datatype or own.datatype, (rows, *each.shape[1:]))

    def _describe(self, tensor: str, type_: TensorType, ended: Sequence[Problem], at: Span) -> Diagnostic:
        names = list(dict.fromkeys(f"`{each.node}`" for each in ended))
        if len(names) > _NAMED:
            names[_NAMED:] = [f"{len(names) - _NAMED} more"]
        listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        message = f"`{tensor}` is declared as `{self.types[tensor]}`, with which {listed} cannot work"
        hint = f"with `{type_}` they could"
        return Diagnostic(ended[0].diagnostic.rule, message, at, hint)


def _find_readers(readers: Mapping[str, Sequence[str]], tensor: str) -> set[str]:
    """Return the nodes that read a tensor, and all that read what those make."""
    found: set[str] = set()
    pending = [tensor]
    while pending:
        new = {*readers.get(pending.pop(), ())} - found
        found |= new
        pending += new
    return found


def _place(problem: Problem) -> tuple[str, str, Span | None]:
    return problem.node, problem.diagnostic.rule.code, problem.diagnostic.at
