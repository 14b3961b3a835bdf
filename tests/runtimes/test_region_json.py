import copy
import json
import re
from collections.abc import Callable
from typing import cast

import pytest
from graphc_runtimes.errors import RegionError
from graphc_runtimes.region import ChoiceNode, ComponentNode, MergeNode, Read, parse_region

Json = dict[str, object]
Build = Callable[..., Json]


def test_a_region_keeps_everything_that_it_says(build: Build, node: Build) -> None:
    nodes: list[Json] = [
        node(
            "pick",
            {"value": "x"},
            {"choice": "pick.choice"},
            kind="choice",
            router="threshold",
            per="row",
            parameters={"below": [1.5], "branches": 2},
        ),
        node(
            "low",
            {"x": {"tensor": "x", "gather": [["pick.choice", 0], ["other.choice", [0, 2]]]}},
            {"output": "low.output"},
            kind="component",
            component="clip",
            parameters={"low": 0},
            when=[["pick.choice", 0], ["other.choice", [0, 2]]],
        ),
        {
            "name": "pick",
            "kind": "merge",
            "per": "row",
            "choice": {"tensor": "pick.choice", "gather": []},
            "branches": [
                {"output": {"tensor": "low.output", "gather": []}},
                {"output": {"tensor": "x", "gather": [["pick.choice", 1]]}},
            ],
            "outputs": {"output": "pick.output"},
            "when": [],
        },
    ]
    route = {"choice": "pick.choice", "children": {"1": 0}}
    text = json.dumps(
        build(
            nodes,
            takes=["x: FP32[batch, ?]", "other.choice: INT32[batch]"],
            answers={"pick.output": "y: FP32[batch, 2]"},
            route=route,
        )
    )
    region = parse_region(text)
    choice, low, merge = region.nodes
    assert isinstance(choice, ChoiceNode)
    assert choice.parameters == {"below": [1.5], "branches": 2}
    assert isinstance(low, ComponentNode)
    assert low.inputs == {"x": Read("x", (("pick.choice", (0,)), ("other.choice", (0, 2))))}
    assert low.when == (("pick.choice", (0,)), ("other.choice", (0, 2)))
    assert isinstance(merge, MergeNode)
    assert merge.branches[1] == {"output": Read("x", (("pick.choice", (1,)),))}
    assert region.takes[0].shape == ("batch", None)
    assert region.answers[0].tensor == "pick.output"
    assert region.route is not None
    assert region.route.children == {1: 0}


CASES: dict[str, tuple[Callable[[Json], object], str]] = {
    "unknown version": (lambda region: region.update(graphc=2), "graphc: Input should be 1"),
    "unknown field": (lambda region: region.update(fields=[]), "fields: Unexpected keyword argument"),
    "unknown kind": (lambda region: _node(region).update(kind="onnx"), "nodes.0: Input tag 'onnx'"),
    "missing field": (
        lambda region: _node(region).pop("component"),
        "nodes.0.component.component: Field required",
    ),
    "unknown datatype": (lambda region: _take(region).update(datatype="FP23"), "`FP23` is not a datatype"),
    "text for a size": (lambda region: _take(region).update(shape=[1.5]), "takes.0.shape.0"),
    "number for a name": (lambda region: region.update(unit=3), "unit: Input should be a valid string"),
    "unknown tensor": (
        lambda region: _node(region).update(when=[["nope", 0]]),
        "node `mean` reads `nope`, which nothing before it gives",
    ),
    "tensor given twice": (
        lambda region: _node(region).update(outputs={"output": "x"}),
        "node `mean`: there is a tensor `x` already",
    ),
    "unknown answer": (lambda region: _answer(region).update(tensor="nope"), "answer `y` reads `nope`"),
    "route without children": (lambda region: region.update(route={"choice": "x"}), "route.children: "),
}


def _node(region: Json) -> Json:
    return cast("list[Json]", region["nodes"])[0]


def _take(region: Json) -> Json:
    return cast("list[Json]", region["takes"])[0]


def _answer(region: Json) -> Json:
    return cast("list[Json]", region["answers"])[0]


@pytest.mark.parametrize("case", CASES)
def test_a_region_that_is_not_understood_is_refused(case: str, build: Build, node: Build) -> None:
    change, message = CASES[case]
    nodes = [
        node("mean", {"0": "x"}, {"output": "mean.output"}, kind="component", component="mean", parameters={})
    ]
    region = build(nodes, takes=["x: FP32[batch]"], answers={"mean.output": "y: FP32[batch]"})
    parse_region(json.dumps(region))
    broken = copy.deepcopy(region)
    change(broken)
    with pytest.raises(RegionError, match=re.escape(message)):
        parse_region(json.dumps(broken))


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(RegionError, match="Invalid JSON"):
        parse_region("{")


def test_a_branch_without_an_output_of_the_merge_is_refused(build: Build) -> None:
    merge = {
        "name": "pick",
        "kind": "merge",
        "per": "row",
        "choice": {"tensor": "c"},
        "branches": [{"a": {"tensor": "x"}}, {}],
        "outputs": {"a": "pick.a"},
    }
    region = build([merge], takes=["x: FP32[batch]", "c: INT32[batch]"])
    with pytest.raises(RegionError, match="node `pick`: branch 1 has no `a`"):
        parse_region(json.dumps(region))
