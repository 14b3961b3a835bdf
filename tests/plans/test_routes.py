"""Units that run only for some branches are below a router, as far as the executor can call them so."""

from pathlib import Path
from typing import Any, Final

from graphc.ir.plan import Plan, Unit
from in_process import lower, read_document

Json = dict[str, Any]

HEAD: Final[Json] = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "routes"},
    "inputs": {"x": "FP32[batch, 3]"},
    "outputs": {"y": "pick"},
}


def plan_of(nodes: Json, folder: Path) -> Plan:
    plan = lower(read_document(HEAD | {"nodes": nodes}, folder), 0)
    assert isinstance(plan, Plan)
    return plan


def pick(*takes: str) -> Json:
    branches = [{"equals": f"tier{number}", "take": take} for number, take in enumerate(takes[:-1])]
    return {"router": "parameter", "name": "tier", "branches": [*branches, {"take": takes[-1]}]}


def outline(unit: Unit) -> Json:
    """Return the names of the units below each one."""
    return {child.name: outline(child) for child in unit.children}


def routers(plan: Plan) -> list[Unit]:
    return [unit for unit in plan.root.walk() if unit.type == "ROUTER"]


def test_what_two_branches_share_runs_once_above_a_router_of_theirs(tmp_path: Path) -> None:
    nodes = {
        "shared": {"component": "clip", "in": "x", "parameters": {"low": 0}},
        "gold": {"component": "softmax", "in": "shared"},
        "silver": {"component": "normalise", "in": "shared"},
        "pick": pick("gold", "silver", "x"),
    }
    outer, inner = routers(plan_of(nodes, tmp_path))
    assert outline(outer) == {"shared": {inner.name: {"gold": {}, "silver": {}}}}
    assert outer.route is not None
    assert outer.route.children == ((0, 0), (1, 0))
    assert inner.route is not None
    assert inner.route.children == ((0, 0), (1, 1))


def test_a_unit_of_which_every_branch_needs_a_node_is_below_no_router(tmp_path: Path) -> None:
    nodes = {
        "gold": {"component": "softmax", "in": "x", "unit": "both"},
        "silver": {"component": "normalise", "in": "x", "unit": "both"},
        "pick": pick("gold", "silver"),
    }
    assert routers(plan_of(nodes, tmp_path)) == []
