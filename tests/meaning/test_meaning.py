"""A compiled graph means what its definition says, whatever its shape and wherever its nodes run."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest
import yaml
from generated_graphs import MODEL, MODULE, Generated, generated_graphs, run_model
from graphc.graph import ComponentWork, ModelWork, Node, Per, PythonWork
from graphc.interpreter import NodeFailedError, interpret
from graphc.plan import Plan
from graphc_components.catalog import CATALOG, load_function
from graphc_components.datatypes import to_datatype
from graphc_runtimes.choose import Call as Asked
from graphc_runtimes.choose import choose as choose_node
from graphc_runtimes.errors import RequestError
from graphc_runtimes.region import ChoiceNode
from hypothesis import HealthCheck, Phase, given, settings
from in_process import FailedError, load_plan, lower, read_document
from onnx.parser import parse_model
from served_graphs import Call, serve_graph

Json = dict[str, Any]
Ports = Mapping[str, Any]

LEVELS: Final = (0, 1, 2)
REFUSALS: Final = {"GC303", "GC304"}
"""Placements that make a cycle of units, or a tree that is too deep, are refused rather than compiled."""

DECISIONS: Final = {"apart", "fused", "join", "parallel", "sequence"}
"""What has to come up among the plans at -O1."""

SHAPES: Final = {
    "shared",
    "own-branch",
    "own-branches-by-row",
    "after-a-combiner",
    "combiner-after-combiner",
    "after-a-decision",
    "decision-after-decision",
    "joined-forks",
    "several-graph-outputs",
    "several-outputs",
    "large-integers",
    "failing",
    "model",
    "placed",
    "default",
    "several-defaults",
    "fallback",
    "shared-fallback",
    "last-resort",
    "quorum",
    "skipped",
    "policy-under-a-decision",
    "policy-after-policy",
    "failed: answers",
    "failed: default",
    "failed: fallback",
    "failed: skip",
    "cascade-row",
    "cascade-request",
    "router-threshold-row",
    "router-threshold-request",
    "router-equals-row",
    "router-parameter-row",
    "router-random-row",
    "several branches, outermost",
    "several branches, inside others",
    "rows among those of several branches",
    "one child for several branches",
    "conditions three deep",
}
"""What the generator has to reach."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the user's module, both beside the graph and where nodes would have it mounted."""
    folder = tmp_path_factory.mktemp("graph")
    (folder / "steps.py").write_text(MODULE)
    (folder / "affine.onnx").write_bytes(parse_model(MODEL).SerializeToString())
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield folder
    monkeypatch.undo()


def mount(folder: Path, plan: Plan) -> None:
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            if isinstance(node.work, PythonWork):
                (folder / node.origin).mkdir(exist_ok=True)
                shutil.copyfile(folder / "steps.py", folder / node.origin / "steps.py")
            if isinstance(node.work, ModelWork) and node.work.local:
                (folder / node.origin).mkdir(exist_ok=True)
                shutil.copyfile(node.work.local, folder / node.origin / node.work.local.name)


def run_node(node: Node, ports: Ports) -> Ports:
    work = node.work
    if isinstance(work, ComponentWork):
        component = CATALOG[work.component]
        function: Any = load_function(component)
        answer = function(*ports.values(), **work.parameters)
        names = component.output_names(list(ports))
        return dict(
            zip(names, answer if len(names) > 1 or component.outputs is None else [answer], strict=True)
        )
    if isinstance(work, ModelWork):
        return run_model(*ports.values())
    assert isinstance(work, PythonWork)
    space: Json = {}
    exec(MODULE, space)  # the module is this test's own
    answer: Any = space[work.entry.partition(":")[2]](**ports)
    return cast("Ports", answer) if isinstance(answer, dict) else {node.outputs[0].port: answer}


def interpreted(generated: Generated, folder: Path, seen: Counter[str]) -> Json | None:
    """The outputs by definition, or None where a node or a decision fails."""
    call = Asked(generated.parameters)
    failed: set[str] = set()

    def run(node: Node, ports: Ports) -> Ports:
        try:
            return run_node(node, ports)
        except ValueError as error:
            policy = node.policy
            kinds = (("default", policy.defaults), ("fallback", policy.fallback), ("skip", policy.skip))
            failed.update(f"failed: {kind}" for kind, has in kinds if has)
            raise NodeFailedError(str(error)) from error

    def choose(router: str, parameters: Mapping[str, object], per: Per, value: Any) -> Any:
        filled: Any = {"branches": 2} | dict(parameters)
        kind: Any = router
        node = ChoiceNode(name="decide", outputs={}, kind="choice", router=kind, parameters=filled, per=per)
        return choose_node(node, value, call)

    try:
        outputs = interpret(read_document(generated.document, folder), generated.inputs, run, choose)
    except (NodeFailedError, RequestError):
        return None
    # What stood for a failure was part of an answer.
    seen.update(failed | ({"failed: answers"} if failed else set()))
    return outputs


def conditions_of(plan: Plan) -> Iterator[str]:
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


def check(generated: Generated, folder: Path, seen: Counter[str]) -> None:
    expected = interpreted(generated, folder, seen)
    seen["fails" if expected is None else "answers"] += 1
    for level in LEVELS:
        plan = lower(read_document(generated.document, folder), level)
        if isinstance(plan, list):
            assert set(plan) <= REFUSALS
            seen["refused"] += 1
            continue
        assert plan.root.depth <= 10
        seen.update({unit.type for unit in plan.root.walk()})
        seen.update({f"{decision.kind} at -O{level}" for decision in plan.decisions})
        seen.update(f"{merge.kind}: {merge.reason}" for merge in plan.merges)
        seen.update(set(conditions_of(plan)))
        mount(folder, plan)
        loaded = load_plan(plan, folder)
        if expected is None:
            with pytest.raises(FailedError):
                loaded.infer(request_of(generated))
        else:
            assert_same(loaded.infer(request_of(generated)), expected)


def agree(count: int, check: Callable[[Generated, Counter[str]], None]) -> Counter[str]:
    """Check so many generated graphs, the same ones each time; returns what was seen."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
    )
    @given(generated_graphs())
    def run(generated: Generated) -> None:
        seen.update(set(generated.shapes))
        check(generated, seen)

    run()
    return seen


@pytest.mark.parametrize(
    "count", [300, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_compiled_plans_mean_what_the_graphs_say(count: int, folder: Path) -> None:
    seen = agree(count, lambda generated, seen: check(generated, folder, seen))
    assert {shape for shape in SHAPES if not seen[shape]} == set()
    assert seen["answers"] > count / 3
    assert seen["fails"] > count / 60
    assert {"MODEL", "COMBINER", "ROUTER", "OUTPUT_TRANSFORMER"} <= set(seen)
    assert {f"{kind} at -O1" for kind in DECISIONS if not seen[f"{kind} at -O1"]} == set()
    assert seen["merged: one ONNX model answers as they do"] > count / 60
    # Components and models as sound as these are never told apart.
    assert not [each for each in seen if each.startswith("apart:")]


@pytest.mark.parametrize("count", [25, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_served_manifests_mean_what_the_graphs_say(count: int, folder: Path) -> None:
    def check_served(generated: Generated, seen: Counter[str]) -> None:
        expected = interpreted(generated, folder, seen)
        (folder / "graph.yaml").write_text(yaml.safe_dump(generated.document, sort_keys=False))
        for level in LEVELS:
            if isinstance(lower(read_document(generated.document, folder), level), list):
                continue
            call = Call(request_of(generated))
            ((status, body),) = serve_graph(folder / "graph.yaml", level, [call], folder / "mounted")
            seen["answers" if status == 200 else "fails"] += 1
            assert (status == 200) == (expected is not None), body
            if expected is not None:
                assert_same(body, expected)

    seen = agree(count, check_served)
    assert seen["answers"] > count / 2
