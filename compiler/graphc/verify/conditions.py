"""Finds what is wrong with conditions: who reads what may not be there, or rows that are not its own."""

from collections.abc import Iterator, Sequence

from graphc.graph import ChoiceWork, ComponentWork, FallbackWork, Graph, Guard, MergeWork, Node, Use

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

    def verify(self, node: Node) -> Iterator[str]:
        """Yield what is wrong with a node's guards, and with the rows that it reads."""
        for index, guard in enumerate(node.guards):
            yield from self._verify_guard(node, guard, node.guards[:index])
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
        if self._makers[guard.choice].guards != outer:
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
        """Follow which rows are left of a tensor, from those that its maker saw to those of the reader."""
        maker = self._makers.get(use.tensor)
        rows = {guard.choice: guard.branches for guard in (maker.guards if maker else ())}
        wanted = {guard.choice: guard.branches for guard in reader}
        for gather in use.gather:
            if rows.get(gather.choice, ()) != gather.among:
                yield f"`{node.name}` picks rows of `{use.tensor}` by `{gather.choice}` that are not among it"
            rows[gather.choice] = gather.branches
        for gather in use.gather:
            if wanted.get(gather.choice) != rows[gather.choice]:
                yield f"`{node.name}` picks other rows of `{use.tensor}` than those that it runs for"

    def _is_there(self, node: Node, use: Use, reader: Guards) -> bool:
        maker = self._makers.get(use.tensor)
        if maker is None:
            return True
        is_skipped = maker.policy.skip and use.tensor != maker.policy.failed
        # What stands for a failed try is read in its place.
        is_tried = maker.policy.failed is not None and isinstance(node.work, MergeWork | FallbackWork)
        by_quorum = isinstance(node.work, ComponentWork) and node.work.quorum is not None
        return _is_within(reader, maker.guards) and (by_quorum or is_tried or not is_skipped)


def _count_branches(node: Node, tensor: str) -> int | None:
    if tensor == node.policy.failed:
        return 2
    if not isinstance(node.work, ChoiceWork):
        return None
    count = node.work.parameters.get("branches")
    assert isinstance(count, int)
    return count


def _is_within(inner: Sequence[Guard], outer: Sequence[Guard]) -> bool:
    """Say whether what meets the first guards meets the others too."""
    return len(inner) >= len(outer) and all(
        a.choice == b.choice and set(a.branches) <= set(b.branches)
        for a, b in zip(inner, outer, strict=False)
    )
