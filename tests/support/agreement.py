"""Asks a graph's definition and its compiled forms the same question, and compares their answers."""

import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest
from generated_graphs import MODEL, MODULE, Generated, generated_graphs, run_model
from graphc.ir.graph import ComponentWork, EitherWork, Graph, ModelWork, Node, Per, PythonWork, Use
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan
from graphc.lower.ways import find_conditions, guarded_uses
from graphc.verify.interpreter import Choose, NodeFailedError, RunNode, interpret
from graphc_components.catalog import CATALOG
from graphc_components.datatypes import to_datatype
from graphc_runtimes.choose import Call as Asked
from graphc_runtimes.choose import choose as choose_node
from graphc_runtimes.errors import RequestError
from graphc_runtimes.region import ChoiceNode
from hypothesis import HealthCheck, Phase, given, seed, settings
from in_process import SELDON, FailedError, load_plans, lower, read_document
from lazily import answer_lazily
from onnx.parser import parse_model
from steady_draws import steady_draws

Json = dict[str, Any]
Ports = Mapping[str, Any]
Check = Callable[[Generated, Path, Counter[str]], None]

Answer = Callable[[Graph, Ports, RunNode, Choose], dict[str, Any]]

LEVELS: Final = (0, 1, 2)
REFUSALS: Final = {"GC303", "GC304", "GC320"}
"""Placements that make a cycle of units, a tree that is too deep, or part a quorum are refused, not compiled."""


def write_folder(folder: Path) -> None:
    """Write the user's module and model that generated graphs are made of."""
    (folder / "steps.py").write_text(MODULE)
    (folder / "affine.onnx").write_bytes(parse_model(MODEL).SerializeToString())


def mount(folder: Path, plan: Plan) -> None:
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            if isinstance(node.work, PythonWork):
                (folder / node.origin).mkdir(exist_ok=True)
                shutil.copyfile(folder / "steps.py", folder / node.origin / "steps.py")
            if isinstance(node.work, ModelWork) and node.work.local:
                (folder / node.origin).mkdir(exist_ok=True)
                shutil.copyfile(node.work.local, folder / node.origin / node.work.local.name)


@cache
def _module() -> Json:
    space: Json = {}
    exec(MODULE, space)  # the module is the tests' own
    return space


def _run_component(work: ComponentWork, ports: Ports) -> Ports:
    component = CATALOG[work.component]
    function: Any = component.function
    answer = function(*ports.values(), **work.parameters)
    names = component.output_names(list(ports))
    arrays = answer if len(names) > 1 or component.outputs is None else [answer]
    return dict(zip(names, arrays, strict=True))


@dataclass(slots=True)
class _Running:
    """One run by definition: what nodes were tried, and which failures something stood for."""

    tries: Counter[str] = field(default_factory=Counter[str])
    failed: set[str] = field(default_factory=set[str])

    def run(self, node: Node, ports: Ports) -> Ports:
        try:
            return self._try(node, ports)
        except ValueError as error:
            policy = node.policy
            kinds = (("default", policy.defaults), ("fallback", policy.fallback), ("skip", policy.skip))
            self.failed.update(f"failed: {kind}" for kind, has in kinds if has)
            raise NodeFailedError(str(error)) from error

    def _try(self, node: Node, ports: Ports) -> Ports:
        work = node.work
        if isinstance(work, ComponentWork):
            return _run_component(work, ports)
        if isinstance(work, ModelWork):
            return run_model(*ports.values())
        assert isinstance(work, PythonWork)
        self.tries[node.name] += 1
        name = work.entry.partition(":")[2]
        # By definition a node that is not over in time, or not yet ready to answer, fails.
        if name == "stuck" or (name == "flaky" and self.tries[node.name] == 1):
            raise ValueError(name)
        # What a function counts for itself, it would count over all graphs here.
        answer: Any = _module()["twice" if name == "flaky" else name](**ports)
        return cast("Ports", answer) if isinstance(answer, dict) else {node.outputs[0].port: answer}


def interpreted(
    graph: Graph, generated: Generated, seen: Counter[str], answer: Answer = interpret
) -> Json | None:
    """Return the outputs by definition, or None where a node or a decision fails."""
    call, running = Asked(generated.parameters), _Running()

    def choose(router: str, parameters: Mapping[str, object], per: Per, value: Any) -> Any:
        filled: Any = {"branches": 2} | dict(parameters)
        kind: Any = router
        node = ChoiceNode(name="decide", outputs={}, kind="choice", router=kind, parameters=filled, per=per)
        return choose_node(node, value, call)

    try:
        outputs = answer(graph, generated.inputs, running.run, choose)
    except (NodeFailedError, RequestError):
        return None
    # What stood for a failure was part of an answer.
    seen.update(running.failed | ({"failed: answers"} if running.failed else set()))
    return outputs


def request_of(generated: Generated) -> Json:
    def tensor(name: str, array: Any) -> Json:
        data = [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]
        return {"name": name, "shape": list(array.shape), "datatype": to_datatype(array.dtype), "data": data}

    inputs = [tensor(name, array) for name, array in generated.inputs.items()]
    return {"inputs": inputs, "parameters": generated.parameters}


def assert_same(answer: Json, expected: Json) -> None:
    assert [each["name"] for each in answer["outputs"]] == list(expected)
    for got, want in zip(answer["outputs"], expected.values(), strict=True):
        assert got["shape"] == list(want.shape)
        assert got["datatype"] == to_datatype(want.dtype)
        if got["datatype"] == "FP32":
            found = np.array(got["data"], np.float32).reshape(want.shape)
            np.testing.assert_allclose(found, want, rtol=1e-6)
        elif got["datatype"] == "BYTES":
            assert [each.encode() for each in got["data"]] == want.ravel().tolist()
        else:
            assert got["data"] == want.ravel().tolist()


def check_plans(generated: Generated, folder: Path, seen: Counter[str]) -> None:
    """Compare a graph's definition with its plans at every level, run in this process; with no rows too.

    There are plans for Seldon, and plans for graphc's own engine, without Seldon's limits.
    """
    graph = read_document(generated.document, folder)
    expected = interpreted(graph, generated, seen)
    seen["fails" if expected is None else "answers"] += 1
    seen["a decision that waits for what it leads to"] += any(find_waited(graph))
    plans: list[Plan] = []
    for limits in (SELDON, Limits()):
        drawn = [_plan(graph, level, seen, limits) for level in LEVELS]
        known = [each.root for each in plans]
        plans += [plan for plan in drawn if plan is not None and plan.root not in known]
    empty = generated.without_rows()
    asked = [(generated, expected), (empty, interpreted(graph, empty, Counter()))]
    answer_alike(plans, folder, asked)


def check_rows(generated: Generated, folder: Path, seen: Counter[str]) -> None:
    """Compare a graph's definition, for each row alone, with what is found by asking for what is needed only."""
    graph = read_document(generated.document, folder)
    waited = set(find_waited(graph))
    for index in range(len(generated.inputs["x"])):
        row = replace(
            generated, inputs={name: array[index : index + 1] for name, array in generated.inputs.items()}
        )
        lazily = interpreted(graph, row, Counter(), answer_lazily)
        found = interpreted(graph, row, Counter())
        is_same = (lazily is None) == (found is None) and all(
            np.array_equal(array, (found or {})[name]) for name, array in (lazily or {}).items()
        )
        # Without the rule that no node waits for itself, each row is answered as if it were alone.
        assert is_same or waited
        seen["fails" if lazily is None else "answers"] += 1
        seen["a row that was not asked for"] += not is_same
        seen["a row after what waits for itself"] += is_same and bool(waited)


def find_waited(graph: Graph) -> Iterator[str]:
    """Yield the nodes that run for more rows than are taken, as a decision waits for them that they are read by."""
    conditions = find_conditions(graph)
    for reader in graph.nodes:
        for use, guards in guarded_uses(reader):
            maker = graph.makers.get(use.tensor)
            way = (*conditions.guards[reader.name], *guards)
            unknown = conditions.unknown[maker.name] if maker else 0
            waits = [conditions.needs[guard.choice] & unknown for guard in way]
            # What is cut off leaves out rows where what is left of the way is not covered by another.
            if (
                maker
                and any(waits)
                and len(conditions.guards[maker.name]) <= waits.index(next(filter(None, waits)))
            ):
                yield maker.name


def answer_alike(plans: Sequence[Plan], folder: Path, asked: Sequence[tuple[Generated, Json | None]]) -> None:
    """Run plans in this process, and compare their answers; None where they have to fail."""
    for plan in plans:
        mount(folder, plan)
    for loaded in load_plans(plans, folder):
        for generated, expected in asked:
            if expected is None:
                with pytest.raises(FailedError):
                    loaded.infer(request_of(generated))
            else:
                assert_same(loaded.infer(request_of(generated)), expected)


def _plan(graph: Graph, level: int, seen: Counter[str], limits: Limits) -> Plan | None:
    plan = lower(graph, level, limits)
    if isinstance(plan, list):
        assert set(plan) <= REFUSALS
        seen.update({"refused", *plan})
        return None
    assert plan.root.depth <= limits.levels.count
    seen["a fork at the root"] += plan.root.type == "COMBINER"
    seen.update({unit.type for unit in plan.root.walk()})
    seen.update({f"{decision.kind} at -O{level}" for decision in plan.decisions})
    seen.update(f"{merge.kind}: {merge.reason}" for merge in plan.merges)
    seen.update(set(_conditions_of(plan)))
    return plan


def _conditions_of(plan: Plan) -> Iterator[str]:
    """Name the conditions that are about several branches of one choice."""
    for unit in plan.root.walk():
        if unit.route and len({child for _, child in unit.route.children}) < len(unit.route.children):
            yield "one child for several branches"
        for node in unit.region.nodes:
            for depth, guard in enumerate(node.guards):
                if len(guard.branches) > 1:
                    yield f"several branches, {'outermost' if depth == 0 else 'inside others'}"
            if any(_is_among_several(use) for use in node.uses):
                yield "rows among those of several branches"
            if len(node.guards) > 2:
                yield "conditions three deep"
            if isinstance(node.work, EitherWork):
                yield from _eithers_of(node, node.work)


def _is_among_several(use: Use) -> bool:
    return use.gather is not None and use.gather.there is not None and len(use.gather.there.branches) > 1


def _eithers_of(node: Node, work: EitherWork) -> Iterator[str]:
    """Name what is hard about a condition that several ways meet."""
    yield "either of several"
    rows = [case.rows for case in work.cases if case.rows]
    if not rows:
        yield "either for the request"
    elif len(rows) < len(work.cases):
        yield "either all rows or some"
    if any(guard.choice.endswith(":rows") for guard in rows):
        yield "either of another"
    if node.guards:
        yield "either inside others"
    if any(case.whole for case in work.cases if case.rows):
        yield "either of rows for some requests"


def agree(count: int, folder: Path, check: Check, number: int = 0) -> Counter[str]:
    """Check so many generated graphs, the same ones each time for a number; returns what was seen."""
    seen: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
    )
    @given(generated_graphs())
    def run(generated: Generated) -> None:
        seen.update(set(generated.shapes))
        check(generated, folder, seen)

    with steady_draws():
        run()
    return seen


def agree_in_shards(shards: int, count: int, folder: Path, check: Check) -> Counter[str]:
    """Check so many generated graphs in each of some shards, on all processors; returns what was seen."""
    seen: Counter[str] = Counter()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        folders = [folder / str(number) for number in range(shards)]
        done = [pool.submit(_check_shard, number, count, own, check) for number, own in enumerate(folders)]
        for each in done:
            found = each.result()
            assert isinstance(found, Counter), found
            seen.update(found)
    return seen


def _check_shard(number: int, count: int, folder: Path, check: Check) -> Counter[str] | str:
    """Return what was seen, or in words what failed: an exception would come without its notes."""
    folder.mkdir()
    write_folder(folder)
    try:
        with _merging_in(folder):
            return agree(count, folder, check, number)
    except Exception as error:
        return f"shard {number}: " + "".join(traceback.format_exception(error))


@contextmanager
def _merging_in(folder: Path) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield
