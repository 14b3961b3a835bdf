"""Turns routers and cascades into choices, guarded nodes and merges.

A router is an if-expression. A node is guarded by the choices that lead to its readers, so that it runs for exactly the
rows that they take. A choice has all rows of the batch, and branch -1 for those that it was not asked for: so the
innermost choice of a node's guards tells its rows by itself, and which of a tensor's rows a reader wants is seen from
two choices, the reader's and the maker's. Where ways of different choices lead to a node, an `either` computes once
which rows any of them takes, and guards as a choice does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from graphc_components.tensors import Dim, TensorType

from graphc.diagnostics import Span
from graphc.ir.graph import (
    CascadeStep,
    CascadeWork,
    ChoiceWork,
    EitherWork,
    FallbackWork,
    Gather,
    Graph,
    Guard,
    MergeWork,
    Node,
    Output,
    Per,
    RouterWork,
    Use,
    Work,
)
from graphc.ir.order import sort_topologically
from graphc.lower.ways import Conditions, Either, Guards, choice_tensor, find_conditions, guarded_uses
from graphc.records import record


def lower_conditions(graph: Graph) -> Graph:
    """Return the graph without routers and cascades, its nodes guarded instead."""
    conditions = find_conditions(graph)
    makers = {tensor: node.name for tensor, node in graph.makers.items()}
    lowering = _Lowering(conditions, makers, graph.types)
    nodes = {each.name: lowering.part_rows(each) for node in graph.nodes for each in lowering.lower(node)}
    places = {node.origin: node.at for node in graph.nodes}
    nodes |= {
        name: _lower_either(conditions, each, places[each.origin])
        for name, each in conditions.eithers.items()
    }
    makers = {output.tensor: node.name for node in nodes.values() for output in node.outputs}
    reads = {name: {makers[each] for each in node.reads if each in makers} for name, node in nodes.items()}
    return graph.with_nodes(tuple(nodes[name] for name in sort_topologically(reads)))


def _lower_either(conditions: Conditions, either: Either, at: Span) -> Node:
    asked = [guard for case in either.cases for guard in (case.rows, *case.whole) if guard]
    uses = tuple(
        Use(str(port), choice, at)
        for port, choice in enumerate(dict.fromkeys(guard.choice for guard in asked))
    )
    rows: Dim = either.axis if _tells_rows(conditions, either.tensor) else None
    output = Output("rows", either.tensor, TensorType("INT32", (1 if either.axis is None else rows,)))
    work = EitherWork(either.cases)
    return Node(either.tensor, either.origin, at, work, uses, (output,), guards=either.guards)


def _tells_rows(conditions: Conditions, choice: str) -> bool:
    """Say whether a tensor has an element for each row: an `Either` may say by one that all are wanted."""
    either = conditions.eithers.get(choice)
    return either is None or all(
        case.rows is not None and _tells_rows(conditions, case.rows.choice) for case in either.cases
    )


def find_ungatherable(graph: Graph) -> Iterator[tuple[str, Node, Use]]:
    """Yield the uses by which a tensor of unknown first dimension meets a decision by row, with who decides."""
    conditions = find_conditions(graph)
    makers = graph.makers
    for node in graph.nodes:
        for use, inner in guarded_uses(node):
            if graph.types[use.tensor].shape[0] is None:
                maker = makers.get(use.tensor)
                made = conditions.guards[maker.name] if maker else ()
                for guard in conditions.guards[node.name] + inner:
                    if guard not in made and guard.choice in conditions.axes:
                        yield _decider(conditions, guard.choice), node, use


def _decider(conditions: Conditions, choice: str) -> str:
    """Return the node that makes a choice, or the first of those that an `Either` is computed from."""
    either = conditions.eithers.get(choice)
    if either is None:
        return choice.partition(":")[0]
    return _decider(conditions, next(case.rows for case in either.cases if case.rows).choice)


@record
class _Lowering:
    conditions: Conditions
    makers: Mapping[str, str]
    types: Mapping[str, TensorType]

    @property
    def rows(self) -> Mapping[str, Dim]:
        """The dimension of the rows of each choice by row."""
        return self.conditions.axes

    def lower(self, node: Node) -> Iterable[Node]:
        guards = self.conditions.guards[node.name]
        match node.work:
            case RouterWork() as work:
                yield from self._lower_router(node, work, guards)
            case CascadeWork() as work:
                yield from self._lower_cascade(node, work, guards)
            case FallbackWork() as work:
                choice = work.failed.tensor
                branches = [
                    tuple(self._gathered(use, (*guards, Guard(choice, (index,)))) for use in takes)
                    for index, takes in enumerate(work.takes)
                ]
                yield self._merge(node, choice, "request", branches, node.outputs, guards)
            case _:
                uses = tuple(self._gathered(use, guards) for use in node.uses)
                yield replace(node, uses=uses, guards=guards)

    def part_rows(self, node: Node) -> Node:
        """Forget how many rows the outputs have where guards leave only some of the batch's."""
        rows = {self.rows[guard.choice] for guard in node.guards if guard.choice in self.rows}
        if not rows or isinstance(node.work, ChoiceWork):
            return node
        outputs = tuple(
            replace(
                output,
                type=output.type.with_shape((None, *output.type.shape[1:])),
                rows=self._rows_of(node, output),
            )
            if output.type.shape[0] in rows
            else output
            for output in node.outputs
        )
        return replace(node, outputs=outputs)

    def _rows_of(self, node: Node, output: Output) -> str | None:
        """Return a port of a node whose tensor has an output's rows."""
        first = output.type.shape[0]
        # Choices have no types yet.
        types = ((use.port, self.types.get(use.tensor)) for use in node.uses)
        return next((port for port, type_ in types if type_ and type_.shape[:1] == (first,)), None)

    def _gathered(self, use: Use, reader: Guards) -> Use:
        """Pick from a tensor the rows that its reader's guards leave, of those that its maker's left."""
        maker = self.makers.get(use.tensor)
        rows = self.types[use.tensor].shape[0]
        wanted = self._row_guard(reader, rows)
        there = self._row_guard(self.conditions.guards[maker] if maker else (), rows)
        if wanted is None or wanted == there:
            return use
        return replace(use, gather=Gather(wanted, there))

    def _row_guard(self, guards: Guards, rows: Dim) -> Guard | None:
        """Return the innermost guard by rows of a dimension: it wants none that those around it do not."""
        if rows is None:
            return None
        return next((each for each in reversed(guards) if self.rows.get(each.choice) == rows), None)

    def _lower_router(self, node: Node, work: RouterWork, guards: Guards) -> Iterable[Node]:
        choice = choice_tensor(node.name)
        values = (replace(self._gathered(work.value, guards), port="value"),) if work.value else ()
        among = self._row_guard(guards, self.rows.get(choice))
        chosen = ChoiceWork(work.router, work.parameters, work.per, among)
        yield self._choice(node, choice, chosen, values, guards)
        branches = [
            tuple(self._gathered(use, (*guards, Guard(choice, (index,)))) for use in takes)
            for index, takes in enumerate(work.takes)
        ]
        yield self._merge(node, choice, work.per, branches, node.outputs, guards)

    def _lower_cascade(self, node: Node, work: CascadeWork, guards: Guards) -> Iterable[Node]:
        inner = guards
        unders: list[Guards] = []
        for index, step in enumerate(work.steps[:-1]):
            yield self._leave(node, index, step, work.per, inner)
            unders.append(inner)
            inner = (*inner, Guard(choice_tensor(node.name, index), (1,)))
        takes = tuple(self._gathered(use, inner) for use in work.steps[-1].takes)
        for index in reversed(range(len(work.steps) - 1)):
            choice, under = choice_tensor(node.name, index), unders[index]
            here = tuple(
                self._gathered(use, (*under, Guard(choice, (0,)))) for use in work.steps[index].takes
            )
            outputs = node.outputs if index == 0 else self._partial(node, index)
            yield self._merge(node, choice, work.per, [here, takes], outputs, under, index)
            takes = tuple(Use(output.port, output.tensor, node.at) for output in outputs)

    def _leave(self, node: Node, index: int, step: CascadeStep, per: Per, guards: Guards) -> Node:
        assert step.confidence is not None
        use = replace(self._gathered(step.confidence, guards), port="value")
        choice = choice_tensor(node.name, index)
        among = self._row_guard(guards, self.rows.get(choice))
        work = ChoiceWork("confidence", {"until": step.until, "branches": 2}, per, among)
        return self._choice(node, choice, work, (use,), guards)

    def _partial(self, node: Node, index: int) -> tuple[Output, ...]:
        return tuple(replace(each, tensor=f"{node.name}:{each.port}{index}") for each in node.outputs)

    def _choice(self, node: Node, tensor: str, work: Work, uses: tuple[Use, ...], guards: Guards) -> Node:
        output = Output("choice", tensor, TensorType("INT32", (self.rows.get(tensor, 1),)))
        return Node(tensor, node.name, node.at, work, uses, (output,), guards=guards)

    def _merge(
        self,
        node: Node,
        choice: str,
        per: Per,
        branches: Sequence[tuple[Use, ...]],
        outputs: tuple[Output, ...],
        guards: Guards,
        index: int = 0,
    ) -> Node:
        among = self._row_guard(guards, self.rows.get(choice))
        work = MergeWork(
            per, Use("choice", choice, node.at, Gather(among) if among else None), tuple(branches)
        )
        uses = (work.choice, *(use for branch in branches for use in branch))
        name = f"{node.name}:merge{index or ''}"
        return Node(name, node.origin, node.at, work, uses, outputs, node.placement, guards)
