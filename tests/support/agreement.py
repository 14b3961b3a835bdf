"""Asks a graph's definition and its compiled forms the same question, and compares their answers."""

import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest
from generated_graphs import MODEL, MODULE, Generated, generated_graphs, run_model
from graphc.graph import ComponentWork, Graph, ModelWork, Node, Per, PythonWork
from graphc.interpreter import NodeFailedError, interpret
from graphc.plan import Plan
from graphc_components.catalog import CATALOG, load_function
from graphc_components.datatypes import to_datatype
from graphc_runtimes.choose import Call as Asked
from graphc_runtimes.choose import choose as choose_node
from graphc_runtimes.errors import RequestError
from graphc_runtimes.region import ChoiceNode
from hypothesis import HealthCheck, Phase, given, seed, settings
from in_process import FailedError, load_plans, lower, read_document
from onnx.parser import parse_model

Json = dict[str, Any]
Ports = Mapping[str, Any]
Check = Callable[[Generated, Path, Counter[str]], None]

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
    function: Any = load_function(component)
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


def interpreted(graph: Graph, generated: Generated, seen: Counter[str]) -> Json | None:
    """Return the outputs by definition, or None where a node or a decision fails."""
    call, running = Asked(generated.parameters), _Running()

    def choose(router: str, parameters: Mapping[str, object], per: Per, value: Any) -> Any:
        filled: Any = {"branches": 2} | dict(parameters)
        kind: Any = router
        node = ChoiceNode(name="decide", outputs={}, kind="choice", router=kind, parameters=filled, per=per)
        return choose_node(node, value, call)

    try:
        outputs = interpret(graph, generated.inputs, running.run, choose)
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
    """Compare a graph's definition with its plans at every level, run in this process; with no rows too."""
    graph = read_document(generated.document, folder)
    expected = interpreted(graph, generated, seen)
    seen["fails" if expected is None else "answers"] += 1
    plans = [plan for level in LEVELS if (plan := _plan(graph, level, seen)) is not None]
    empty = generated.without_rows()
    asked = [(generated, expected), (empty, interpreted(graph, empty, Counter()))]
    answer_alike(plans, folder, asked)


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


def _plan(graph: Graph, level: int, seen: Counter[str]) -> Plan | None:
    plan = lower(graph, level)
    if isinstance(plan, list):
        assert set(plan) <= REFUSALS
        seen.update({"refused", *plan})
        return None
    assert plan.root.depth <= 10
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
            if any(each.among for use in node.uses for each in use.gather):
                yield "rows among those of several branches"
            if len(node.guards) > 2:
                yield "conditions three deep"


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
