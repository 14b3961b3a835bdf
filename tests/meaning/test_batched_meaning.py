"""A unit that runs requests together answers each as one that runs them alone, whatever the graph's shape."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from generated_graphs import MODEL, MODULE, Generated, generated_graphs
from graphc.ir.plan import Plan
from graphc.targets.region import describe_region
from graphc_components.datatypes import to_datatype
from graphc_runtimes.batching import answer
from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.reading import read_message
from graphc_runtimes.region import Batch
from graphc_runtimes.unit import LoadedUnit, load_unit
from hypothesis import HealthCheck, Phase, given, settings
from in_process import lower, read_document
from onnx.parser import parse_model
from steady_draws import steady_draws

Json = dict[str, Any]
Outcome = tuple[str, str] | list[WireTensor]

REFUSALS: Final = {"GC325", "GC326"}
FAILING: Final = {"steps:fail", "steps:fail_all", "steps:stuck", "steps:flaky"}
TIERS: Final = ("gold", "silver", "bronze")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "steps.py").write_text(MODULE)
    (folder / "affine.onnx").write_bytes(parse_model(MODEL).SerializeToString())
    return folder


def batched(document: Json) -> Json:
    """The graph in one unit that batches, its nodes as they have to be for that."""
    nodes: dict[str, Json] = {}
    for name, fields in document["nodes"].items():
        kept = {key: value for key, value in fields.items() if key not in {"unit", "resources", "per"}}
        nodes[name] = kept | ({"rowwise": True, "idempotent": True} if "python" in kept else {})
    return document | {"nodes": nodes, "placement": "fused", "batch": {}}


def load(plan: Plan, folder: Path) -> LoadedUnit:
    for node in plan.root.region.nodes:
        (folder / node.origin).mkdir(exist_ok=True)
        for file in ("steps.py", "affine.onnx"):
            shutil.copyfile(folder / file, folder / node.origin / file)
    region = json.dumps(describe_region(plan, plan.root))
    return asyncio.run(load_unit(Environment(region, plan.root.name, folder, "cpu", 1)))


def requests_of(generated: Generated) -> list[Message]:
    """Requests of one to three rows that are picked from the generated ones, or drawn where there are none."""
    rows = len(generated.inputs["x"])
    pick = np.random.default_rng(rows).integers
    messages: list[Message] = []
    for number in range(8):
        chosen = pick(rows, size=number % 4) if rows else np.zeros(0, int)
        body = {"inputs": [_tensor(name, array[chosen]) for name, array in generated.inputs.items()]}
        body |= {"parameters": {"tier": TIERS[int(pick(3))]}}
        messages.append(read_message(json.dumps(body).encode(), {}))
    return messages


def _tensor(name: str, array: Any) -> Json:
    data = [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]
    return {"name": name, "shape": list(array.shape), "datatype": to_datatype(array.dtype), "data": data}


def ask_alone(unit: LoadedUnit, messages: Sequence[Message]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for message in messages:
        try:
            outcomes.append(unit.answer(message))
        except (RequestError, RunError) as error:
            outcomes.append((type(error).__name__, str(error)))
    return outcomes


def ask_together(unit: LoadedUnit, messages: Sequence[Message]) -> list[Outcome]:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(answer(unit, each) for each in messages), return_exceptions=True)

    found = asyncio.run(ask())
    return [(type(each).__name__, str(each)) if isinstance(each, Exception) else each for each in found]


def may_fail(document: Json) -> list[str]:
    """Name the nodes at which a request can fail: where there are several, the first in time is told."""

    def fails(fields: Json) -> bool:
        endured = fields.get("on_error", "fail") == "skip" or "default" in fields.get("on_error", "fail")
        return not endured and ("quorum" in fields or fields.get("python", "") in FAILING)

    return [name for name, fields in document["nodes"].items() if fails(fields)]


def assert_same(found: Outcome, wanted: Outcome, suspects: Sequence[str]) -> None:
    """Compare two answers; failures in what they say too, if one node alone can be at fault."""
    if isinstance(found, tuple) or isinstance(wanted, tuple):
        assert type(found) is type(wanted)
        assert found == wanted or len(suspects) > 1
        return
    for got, want in zip(found, wanted, strict=True):
        assert (got.name, got.datatype, got.shape) == (want.name, want.datatype, want.shape)
        if got.datatype.startswith("FP"):
            pairs = [np.array(each.data, np.float64) for each in (got, want)]
            np.testing.assert_allclose(*pairs, rtol=1e-5, atol=1e-5)
        else:
            assert got.data == want.data


def check(generated: Generated, folder: Path, seen: Counter[str]) -> None:
    plan = lower(read_document(batched(generated.document), folder), 1)
    if isinstance(plan, list):
        assert set(plan) <= REFUSALS
        seen["refused"] += 1
        return
    assert not plan.root.children
    if not plan.root.region.nodes:
        seen["nothing to run"] += 1
        return
    unit = load(plan, folder)
    assert unit.region.batch is not None
    messages = requests_of(generated)
    alone = ask_alone(unit, messages)
    suspects = may_fail(generated.document)
    # A size of four parts the requests into several batches.
    for size in (4, 64):
        together = LoadedUnit(replace(unit.region, batch=Batch(size)), unit.runners)
        for found, wanted in zip(ask_together(together, messages), alone, strict=True):
            assert_same(found, wanted, suspects)
    seen.update("fails" if isinstance(each, tuple) else "answers" for each in alone)
    seen["fails at one node"] += len(suspects) == 1 and any(isinstance(each, tuple) for each in alone)


@pytest.mark.parametrize(
    "count", [40, pytest.param(600, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_requests_that_run_together_are_answered_as_alone(count: int, folder: Path) -> None:
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
        check(generated, folder, seen)

    with steady_draws():
        run()
    assert seen["answers"] > count * 2
    assert seen["fails"] > count / 25
    assert seen["fails at one node"]
    assert seen["refused"] < count / 3
    for shape in (
        "router-threshold-row",
        "router-parameter-row",
        "cascade-row",
        "model",
        "default",
        "fallback",
    ):
        assert seen[shape], shape
