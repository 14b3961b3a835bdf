"""Finds what is wrong with conditions: who reads what may not be there, or rows that are not its own."""

from collections.abc import Iterator

from graphc.ir.graph import (
    Case,
    ChoiceWork,
    ComponentWork,
    EitherWork,
    FallbackWork,
    Graph,
    Guard,
    MergeWork,
    Node,
    Use,
)

Guards = tuple[Guard, ...]


class Conditions:
    """The conditions of a graph's nodes, as far as they are lowered to guards."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._makers = graph, graph.makers
        self._counts = {
            output.tensor: count
            for node in graph.nodes
            for output in node.outputs
            if (count := _count_branches(node, output.tensor)) is not None
        }
        self._met: dict[tuple[Guards, Guard], bool] = {}

    def verify(self, node: Node) -> Iterator[str]:
        """Yield what is wrong with a node's guards, and with the rows that it reads."""
        for index, guard in enumerate(node.guards):
            yield from self._verify_guard(node, guard, node.guards[:index])
        if isinstance(node.work, EitherWork):
            return  # choices that are not there are met by nothing
        for use, guards in self._reads(node):
            yield from self._verify_rows(node, use, guards)
            if not self._is_there(node, use, guards):
                yield f"`{node.name}` reads `{use.tensor}`, which may not be there"

    def verify_results(self) -> Iterator[str]:
        """Yield the graph's outputs that may be missing."""
        for result in self._graph.outputs:
            maker = self._makers.get(result.tensor)
            if maker is not None and (maker.guards or maker.policy.skip):
                yield f"the output `{result.name}` may not be there"

    def _verify_guard(self, node: Node, guard: Guard, outer: Guards) -> Iterator[str]:
        count = self._counts.get(guard.choice)
        if count is None:
            yield f"`{node.name}` runs by `{guard.choice}`, which is no choice"
            return
        if not self._are_met(outer, self._makers[guard.choice].guards):
            yield f"`{node.name}` runs by `{guard.choice}`, which is made under other conditions"
        if list(guard.branches) != sorted(set(guard.branches)) or not guard.branches:
            yield f"`{node.name}` runs for the branches {list(guard.branches)}, which are not in order"
        if not set(guard.branches) < set(range(count)):
            yield f"`{node.name}` runs for the branches {list(guard.branches)} of {count}"

    def _reads(self, node: Node) -> Iterator[tuple[Use, Guards]]:
        """Yield what a node reads, each with the guards under which it does."""
        if not isinstance(node.work, MergeWork):
            yield from ((use, node.guards) for use in node.uses)
            return
        choice = node.work.choice
        yield choice, node.guards
        for index, branch in enumerate(node.work.branches):
            under = (*node.guards, Guard(choice.tensor, (index,)))
            yield from ((use, under) for use in branch)

    def _verify_rows(self, node: Node, use: Use, reader: Guards) -> Iterator[str]:
        """Compare the rows that are picked with those that the reader runs for, and that the maker left."""
        if use.gather is None:
            return
        maker = self._makers.get(use.tensor)
        if use.gather.there is not None and use.gather.there not in (maker.guards if maker else ()):
            yield f"`{node.name}` picks rows of `{use.tensor}` that are not among it"
        if use.gather.wanted not in reader:
            yield f"`{node.name}` picks other rows of `{use.tensor}` than those that it runs for"

    def _is_there(self, node: Node, use: Use, reader: Guards) -> bool:
        maker = self._makers.get(use.tensor)
        if maker is None:
            return True
        is_skipped = maker.policy.skip and use.tensor != maker.policy.failed
        # What stands for a failed try is read in its place.
        is_tried = maker.policy.failed is not None and isinstance(node.work, MergeWork | FallbackWork)
        by_quorum = isinstance(node.work, ComponentWork) and node.work.quorum is not None
        return self._are_met(reader, maker.guards) and (by_quorum or is_tried or not is_skipped)

    def _are_met(self, inner: Guards, outer: Guards) -> bool:
        """Say whether what meets the first guards meets the others too."""
        return all(self._is_met(inner, guard) for guard in outer)

    def _is_met(self, inner: Guards, guard: Guard) -> bool:
        key = inner, guard
        if key not in self._met:
            self._met[key] = self._find_met(inner, guard)
        return self._met[key]

    def _find_met(self, inner: Guards, guard: Guard) -> bool:
        """Follow what a choice that was made says of those around it, and an `either` of its cases."""
        for each in inner:
            if each.choice == guard.choice and set(each.branches) <= set(guard.branches):
                return True
        if any(self._implies(each, guard) for each in inner):
            return True
        cases = self._cases(guard.choice)
        return any(self._are_met(inner, _guards_of(case)) for case in cases)

    def _implies(self, each: Guard, guard: Guard) -> bool:
        maker = self._makers.get(each.choice)
        if maker is None:
            return False
        if maker.guards and self._is_met(maker.guards, guard):
            return True
        cases = self._cases(each.choice)
        return bool(cases) and all(self._is_met(_guards_of(case), guard) for case in cases)

    def _cases(self, choice: str) -> tuple[Case, ...]:
        maker = self._makers.get(choice)
        return maker.work.cases if maker is not None and isinstance(maker.work, EitherWork) else ()


def _guards_of(case: Case) -> Guards:
    return (*((case.rows,) if case.rows else ()), *case.whole)


def _count_branches(node: Node, tensor: str) -> int | None:
    if tensor == node.policy.failed or isinstance(node.work, EitherWork):
        return 2
    if not isinstance(node.work, ChoiceWork):
        return None
    count = node.work.parameters.get("branches")
    assert isinstance(count, int)
    return count
