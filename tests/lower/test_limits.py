"""Plans keep what runs them: a target's limits, and no others."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.engine.tree import MAX_DEPTH
from graphc.ir.limits import DEEPEST, Limits, Most
from graphc.ir.plan import Plan
from in_process import SELDON, lower, read_document

Json = dict[str, Any]
OWN: Final = Limits()


def clip(read: str, low: int = 0) -> Json:
    return {"component": "clip", "in": read, "parameters": {"low": low}, "replicas": 2}


def plan_of(nodes: Json, limits: Limits, **fields: Any) -> Plan | list[str]:
    document = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "limited"},
        "inputs": {"x": "FP32[batch, 3]"},
        "nodes": nodes,
        "outputs": {"y": list(nodes)[-1]},
    }
    return lower(read_document(document | fields, Path()), 1, limits)


def chain(length: int) -> Json:
    names = ["x", *(f"n{index}" for index in range(length))]
    return {name: clip(before, index) for index, (before, name) in enumerate(pairwise(names))}


def fork() -> Json:
    return {"left": clip("x"), "right": clip("x", 1), "both": {"component": "mean", "in": ["left", "right"]}}


def types_of(plan: Plan | Sequence[str]) -> list[str]:
    assert isinstance(plan, Plan)
    return [unit.type for unit in plan.root.walk()]


def test_the_engine_walks_as_many_levels_as_plans_have() -> None:
    assert DEEPEST == MAX_DEPTH


@pytest.mark.parametrize(("length", "limits"), [(10, SELDON), (3, Limits(Most(3, "a box"))), (DEEPEST, OWN)])
def test_a_chain_has_as_many_levels_as_its_target_takes(length: int, limits: Limits) -> None:
    assert types_of(plan_of(chain(length), limits)) == ["MODEL"] * length
    assert plan_of(chain(length + 1), limits) == ["GC304"]


@pytest.mark.parametrize(("limits", "kinds"), [(SELDON, ["MODEL", "COMBINER"]), (OWN, ["COMBINER", "MODEL"])])
def test_a_unit_stands_before_a_fork_where_the_target_needs_one(limits: Limits, kinds: list[str]) -> None:
    plan = plan_of(fork(), limits)
    assert types_of(plan)[:2] == kinds
    assert isinstance(plan, Plan)
    assert [each.because for each in plan.decisions if each.kind == "entrance"] == [
        limits.entrance for _ in range(limits.entrance is not None)
    ]


@pytest.mark.parametrize(("limits", "is_chain"), [(SELDON, True), (OWN, False)])
def test_calls_over_grpc_make_a_chain_where_no_others_pass(limits: Limits, is_chain: bool) -> None:
    assert (set(types_of(plan_of(fork(), limits, transport="grpc"))) == {"MODEL"}) is is_chain


def test_one_unit_is_kept_for_the_reason_of_the_target() -> None:
    slow = {"component": "softmax", "in": "x", "cost_ms": 80}
    nodes = {"left": slow, "right": slow, "both": {"component": "mean", "in": ["left", "right"]}}
    assert len(types_of(plan_of(nodes, OWN))) > 1
    plan = plan_of(nodes, Limits(alone="a second unit finds no seat"))
    assert types_of(plan) == ["MODEL"]
    assert isinstance(plan, Plan)
    assert ("forced", "a second unit finds no seat") in [(each.kind, each.because) for each in plan.decisions]
