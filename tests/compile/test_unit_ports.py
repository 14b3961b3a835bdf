"""Ports follow a unit's name: what else there is, and in which order, moves none."""

import json
from itertools import count
from pathlib import Path
from typing import Any

from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.targets.pods.ports import choose_ports
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

names = st.text("abcdefgh-", min_size=1, max_size=6)


@given(st.lists(names, unique=True, max_size=60), st.randoms())
def test_ports_do_not_depend_on_the_order(units: list[str], order: Any) -> None:
    shuffled = list(units)
    order.shuffle(shuffled)
    chosen = choose_ports(units)
    assert choose_ports(shuffled) == chosen
    everyone = [port for each in chosen.values() for port in (each.http, each.grpc, each.metrics)]
    assert len(everyone) == len(set(everyone))


def test_a_unit_that_comes_moves_no_other_but_one_that_wants_its_very_port() -> None:
    units = [f"unit-{index}" for index in range(40)]
    before = choose_ports(units)
    moved = 0
    for index in range(200):
        after = choose_ports([*units, f"new-{index}"])
        moved += sum(after[each] != before[each] for each in units)
    # 200 of them over 5000 places meet 40 units about once or twice; the half of that moves.
    assert moved < 10


def test_units_that_want_one_port_get_two() -> None:
    first = choose_ports(["a"])["a"]
    other = next(name for name in map("b{}".format, count()) if choose_ports([name])[name] == first)
    both = choose_ports(["a", other])
    assert both == choose_ports([other, "a"])
    assert sorted(each == first for each in both.values()) == [False, True]


def test_so_many_units_as_there_are_ports_all_get_one() -> None:
    chosen = choose_ports(map(str, range(5000)))
    assert len({each.http for each in chosen.values()}) == 5000


GRAPH: Json = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "ports"},
    "inputs": {"x": "FP32[batch, 3]", "y": "FP32[batch, 3]"},
}


def compile_units(folder: Path, units: list[str], **own: Json) -> Json:
    nodes = {
        name: {"component": "mean", "in": ["x", "y"], **own.get(name, {"replicas": 1})} for name in units
    }
    graph = GRAPH | {"nodes": nodes, "outputs": {name: name for name in units}}
    path = folder / "graph.yaml"
    path.write_text(json.dumps(graph))
    done = compile_files(Request([str(path)]))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    documents = json.loads(json.dumps(done.emissions[0].documents))
    return documents[-1]["spec"]["predictors"][0]


def containers_of(predictor: Json) -> dict[str, Json]:
    return {each["name"]: each for pod in predictor["componentSpecs"] for each in pod["spec"]["containers"]}


def test_a_unit_that_is_added_before_others_moves_none_of_their_ports(tmp_path: Path) -> None:
    few = containers_of(compile_units(tmp_path, ["b", "c"]))
    more = containers_of(compile_units(tmp_path, ["a", "b", "c"]))
    assert {name: more[name]["ports"] for name in few} == {name: each["ports"] for name, each in few.items()}


def test_a_unit_that_gets_pods_of_its_own_keeps_its_ports(tmp_path: Path) -> None:
    shared: Json = {"resources": {"cpu": "1"}}
    one = containers_of(compile_units(tmp_path, ["a", "b"], a=shared))
    other = containers_of(compile_units(tmp_path, ["a", "b"]))
    assert one["a"]["ports"] == other["a"]["ports"]
