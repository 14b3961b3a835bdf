"""Turns routers and cascades into choices, guarded nodes and merges.

A router is an if-expression. What only some of its branches need is guarded by the choice of those branches; what
anything else needs too runs always. The guards of a node are thus what its readers' guards have in common, which one
walk against the flow finds: the same branches of the same choices, outermost first, and of the first choice whose
branches differ all that any reader has. Beyond that choice readers see different rows, which no choice tells apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphc_components.tensors import Dim, TensorType

from graphc.graph import (
    CascadeStep,
    CascadeWork,
    ChoiceWork,
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
from graphc.order import sort_topologically
from graphc.records import record

Guards = tuple[Guard, ...]


def lower_conditions(graph: Graph) -> Graph:
    """Return the graph without routers and cascades, its nodes guarded instead."""
    guards = find_guards(graph)
    made_under = {tensor: guards[node.name] for tensor, node in graph.makers.items()}
    lowering = _Lowering(guards, made_under, graph.types, find_row_choices(graph))
    nodes = {each.name: lowering.part_rows(each) for node in graph.nodes for each in lowering.lower(node)}
    makers = {output.tensor: node.name for node in nodes.values() for output in node.outputs}
    reads = {name: {makers[each] for each in node.reads if each in makers} for name, node in nodes.items()}
    return graph.with_nodes(tuple(nodes[name] for name in sort_topologically(reads)))


def find_row_choices(graph: Graph) -> dict[str, Dim]:
    """Return, for each choice that is made by row, the dimension of the rows."""
    types = graph.types
    found: dict[str, Dim] = {}
    for node in graph.nodes:
        match node.work:
            case RouterWork(per="row", value=Use(tensor=tensor)):
                found[choice_tensor(node.name)] = types[tensor].shape[0]
            case CascadeWork(per="row", steps=steps):
                rows = types[steps[0].takes[0].tensor].shape[0]
                found |= {choice_tensor(node.name, index): rows for index in range(len(steps) - 1)}
            case _:
                pass
    return found


def find_ungatherable(graph: Graph) -> list[tuple[str, Node, Use]]:
    """Return the uses by which a tensor of unknown first dimension meets a decision by row, with who decides."""
    guards, rows, types = find_guards(graph), find_row_choices(graph), graph.types
    made_under = {tensor: guards[node.name] for tensor, node in graph.makers.items()}
    return [
        (each.choice.partition(":")[0], node, use)
        for node in graph.nodes
        for use, inner in _guarded_uses(node)
        if types[use.tensor].shape[0] is None
        for each in _narrow(made_under.get(use.tensor, ()), guards[node.name] + inner)
        if each.choice in rows
    ]


def choice_tensor(node: str, step: int = 0) -> str:
    """Name the tensor that holds a router's choice; no reference of a user's can have a colon there."""
    return f"{node}:choice{step or ''}"


def find_guards(graph: Graph) -> dict[str, Guards]:
    """Return the conditions under which each node runs, outermost first."""
    readers: dict[str, list[Guards]] = defaultdict(list)
    for result in graph.outputs:
        readers[result.tensor].append(())
    found: dict[str, Guards] = {}
    counts = _count_branches(graph)
    for node in reversed(graph.nodes):
        guards = _common([each for output in node.outputs for each in readers[output.tensor]], counts)
        found[node.name] = guards
        for use, inner in _guarded_uses(node):
            readers[use.tensor].append(guards + inner)
    return found


def _count_branches(graph: Graph) -> dict[str, int]:
    """Return how many branches a router's choice has; every other one has two."""
    return {
        choice_tensor(node.name): len(node.work.takes)
        for node in graph.nodes
        if isinstance(node.work, RouterWork)
    }


def _guarded_uses(node: Node) -> Iterable[tuple[Use, Guards]]:
    """Yield the uses of a node, each with the guards under which the node reads it."""
    match node.work:
        case RouterWork(takes=takes, value=value):
            if value:
                yield value, ()
            for index, branch in enumerate(takes):
                yield from ((use, (Guard(choice_tensor(node.name), (index,)),)) for use in branch)
        case CascadeWork(steps=steps):
            for index, step in enumerate(steps):
                before = tuple(Guard(choice_tensor(node.name, each), (1,)) for each in range(index))
                last = index == len(steps) - 1
                here = before if last else (*before, Guard(choice_tensor(node.name, index), (0,)))
                yield from ((use, here) for use in step.takes)
                if step.confidence:
                    yield step.confidence, before
        case FallbackWork(failed=failed, takes=takes):
            yield failed, ()
            for index, branch in enumerate(takes):
                yield from ((use, (Guard(failed.tensor, (index,)),)) for use in branch)
        case _:
            yield from ((use, ()) for use in node.uses)


def _common(paths: Sequence[Guards], counts: Mapping[str, int]) -> Guards:
    """Return the narrowest guards that let all paths through; `counts` are the branches of choices, if not two."""
    shared: Guards = ()
    for index, guard in enumerate(min(paths, key=len, default=())):
        here = {path[index] for path in paths}
        if len(here) > 1:
            branches = sorted({branch for each in here for branch in each.branches})
            if len({each.choice for each in here}) > 1 or len(branches) == counts.get(guard.choice, 2):
                return shared
            return (*shared, Guard(guard.choice, tuple(branches)))
        shared = (*shared, guard)
    return shared


def _narrow(made: Guards, reader: Guards) -> Iterable[Gather]:
    """Yield what a reader's guards ask beyond those of a tensor's maker, of which the last may be wider."""
    for index, guard in enumerate(reader):
        if index >= len(made):
            yield Gather(guard.choice, guard.branches)
        elif made[index] != guard:
            yield Gather(guard.choice, guard.branches, made[index].branches)


@record
class _Lowering:
    guards: dict[str, Guards]
    made_under: dict[str, Guards]
    types: dict[str, TensorType]
    rows: dict[str, Dim]

    def lower(self, node: Node) -> Iterable[Node]:
        guards = self.guards[node.name]
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
        if not rows:
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
        """Pick from a tensor the rows that its reader's guards leave, beyond those of its maker."""
        beyond = _narrow(self.made_under.get(use.tensor, ()), reader)
        first = self.types[use.tensor].shape[0]
        gather = (each for each in beyond if each.choice in self.rows and self.rows[each.choice] == first)
        return replace(use, gather=tuple(gather))

    def _lower_router(self, node: Node, work: RouterWork, guards: Guards) -> Iterable[Node]:
        choice = choice_tensor(node.name)
        values = (replace(self._gathered(work.value, guards), port="value"),) if work.value else ()
        yield self._choice(node, choice, ChoiceWork(work.router, work.parameters, work.per), values, guards)
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
        work = ChoiceWork("confidence", {"until": step.until, "branches": 2}, per)
        return self._choice(node, choice_tensor(node.name, index), work, (use,), guards)

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
        work = MergeWork(per, Use("choice", choice, node.at), tuple(branches))
        uses = (work.choice, *(use for branch in branches for use in branch))
        name = f"{node.name}:merge{index or ''}"
        return Node(name, node.origin, node.at, work, uses, outputs, node.placement, guards)
