"""What the operator makes of a deployment, as recorded, and what a change of it replaces and leaves unanswered."""

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.cluster.bundle import make_bundle
from graphc.cluster.dangers import find_dangers
from graphc.cluster.made import read_made
from graphc.cluster.offline import plan_offline
from graphc.cluster.render import plan_as_data, write_plan
from graphc.cluster.replaced import find_replaced
from graphc.cluster.serving import Reading
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from graphc.seldon.deployment import deployment_of

RECORDED: Final = Path(__file__).parents[3] / "shared" / "seldon" / "operator.json"

Json = dict[str, Any]

# A server's container is the operator's own to add, and an executor of its own has a Deployment.
FOREIGN: Final = ("_server", "separate-engine")
CASES: Final[list[Json]] = (
    [
        each
        for each in json.loads(RECORDED.read_text())["cases"]
        if not any(word in each["id"] for word in FOREIGN)
    ]
    if RECORDED.exists()
    else []
)


@pytest.mark.skipif(not CASES, reason="recordings of the operator are not here")
@pytest.mark.parametrize("case", CASES, ids=[each["id"] for each in CASES])
def test_what_is_made_is_what_was_recorded(case: Json) -> None:
    made = read_made(deployment_of(case["seldonDeployment"]))
    assert set(made.pods) == {each["metadata"]["name"] for each in case["deployments"]}
    assert {name: dict(each.ports) for name, each in made.services.items()} == {
        each["metadata"]["name"]: {port["name"]: port["port"] for port in each["spec"]["ports"]}
        for each in case["services"]
    }


def container(name: str, ports: bool = False) -> Json:
    found: Json = {"name": name, "image": "example.test/unit:1"}
    if ports:
        numbers = {
            "http": 17_000 + ord(name[0]),
            "grpc": 22_000 + ord(name[0]),
            "metrics": 27_000 + ord(name[0]),
        }
        found["ports"] = [{"name": each, "containerPort": port} for each, port in numbers.items()]
    return found


def predictor(name: str, *pods: str, ports: bool = False, **own: Any) -> Json:
    """A predictor whose first unit combines the others; each of `pods` has the letters of its units."""
    units = [unit for pod in pods for unit in pod]
    graph: Json = {"name": units[0], "type": "COMBINER" if len(units) > 1 else "MODEL"}
    graph["children"] = [{"name": each, "type": "MODEL", "children": []} for each in units[1:]]
    specs = [{"spec": {"containers": [container(each, ports) for each in pod]}} for pod in pods]
    return {"name": name, "graph": graph, "componentSpecs": specs, "traffic": 100, **own}


def deployment(*predictors: Json) -> Json:
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "x"},
        "spec": {"predictors": list(predictors)},
    }


NO_ENGINE: Final[Json] = {"annotations": {"seldon.io/no-engine": "true"}}


def reading_of(deployment: Json) -> Reading:
    return Reading(deployment_of(deployment), {}, None)


def found(before: Json, after: Json) -> list[tuple[str, str]]:
    return list(find_replaced(reading_of(before), reading_of(after)))


def test_the_first_predictor_that_goes_takes_the_pods_of_the_next_with_it() -> None:
    before = deployment(predictor("main", "m"), predictor("canary", "m"))
    assert found(before, deployment(predictor("canary", "m"))) == [
        (
            "replaced",
            "the pods of `canary` are replaced as well, though nothing of it changes: "
            "the operator counts ports over all predictors",
        )
    ]
    named = [predictor(each, "m", ports=True) for each in ("main", "canary")]
    assert found(deployment(*named), deployment(named[1])) == []


def test_one_unit_that_becomes_several_is_called_elsewhere_before_it_is_there() -> None:
    one, many = deployment(predictor("main", "m", **NO_ENGINE)), deployment(predictor("main", "cab"))
    assert found(one, many) == [
        (
            "unanswered",
            "`main` does not answer until new pods are ready: its Service goes from port 9000 to 8000 and 9500 to 5001 "
            "before they are",
        )
    ]
    assert [kind for kind, _ in found(many, one)] == ["unanswered"]


def test_a_unit_that_comes_before_another_moves_its_pods_and_its_port() -> None:
    before = deployment(predictor("main", "c", "b"))
    after = deployment(predictor("main", "c", "a", "b"))
    assert found(before, after) == [
        (
            "replaced",
            "the pods of `b` in `main` are replaced as well: "
            "the operator numbers pods by their place, and theirs is now 2, no longer 1",
        ),
        (
            "unanswered",
            "`b` in `main` does not answer until new pods are ready: its Service goes from port 9001 to 9002 and "
            "9501 to 9502 before they are",
        ),
    ]
    named = [predictor("main", *pods, ports=True) for pods in (("c", "b"), ("c", "a", "b"))]
    # Its place is the operator's to number; its port is its own.
    assert [kind for kind, _ in found(*map(deployment, named))] == ["replaced"]
    assert (
        found(
            deployment(predictor("main", "c", "b", ports=True)),
            deployment(predictor("main", "c", "b", "d", ports=True)),
        )
        == []
    )


def test_a_unit_beside_the_executor_that_comes_first_moves_the_ports_behind_it() -> None:
    before, after = deployment(predictor("main", "c", "b")), deployment(predictor("main", "ca", "b"))
    assert [kind for kind, _ in found(before, after)] == ["replaced", "unanswered"]
    assert "the operator counts ports through" in found(before, after)[0][1]


@pytest.mark.parametrize("pods", [("m",), ("cab",), ("c", "b")])
def test_what_a_change_names_is_not_said_again(pods: tuple[str, ...]) -> None:
    before = deployment(predictor("main", *pods), predictor("canary", *pods))
    after = copy.deepcopy(before)
    after["spec"]["predictors"][0]["traffic"] = 50
    after["spec"]["predictors"][1]["replicas"] = 3
    assert found(before, after) == []
    after["spec"]["predictors"][1]["componentSpecs"][-1]["spec"]["containers"][-1]["image"] = "other:2"
    assert found(before, after) == []


GRAPH: Final[Json] = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "g", "namespace": "models"},
    "inputs": {"x": "FP32[batch, 3]", "y": "FP32[batch, 3]"},
}


def compile_graph(folder: Path, nodes: Json, level: int = 1, **own: Any) -> list[Json]:
    path = folder / "graph.yaml"
    path.write_text(json.dumps(GRAPH | {"nodes": nodes, "outputs": {"z": next(reversed(nodes))}} | own))
    done = compile_files(Request([str(path)], options=Options(level)))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    return [json.loads(json.dumps(each)) for emission in done.emissions for each in emission.documents]


def mean(*names: str, **own: Any) -> Json:
    return {"component": "mean", "in": list(names), **own}


def test_what_graphc_emits_leaves_nothing_unanswered(tmp_path: Path) -> None:
    one = {"a": mean("x", "y"), "b": mean("a", "x")}
    alone: Json = {"replicas": 1}
    small = compile_graph(tmp_path, one)[-1]
    large = compile_graph(tmp_path, one, level=0)[-1]
    spread = compile_graph(tmp_path, {"a": mean("x", "y", **alone), "b": mean("a", "x")})[-1]
    longer = compile_graph(
        tmp_path, {"n": mean("x", "y", **alone), "a": mean("n", "y", **alone), "b": mean("a", "x")}
    )[-1]
    both = {"main": {"traffic": 90}, "canary": {"traffic": 10}}
    two = compile_graph(tmp_path, one, predictors=both)[-1]
    canary = compile_graph(tmp_path, one, predictors={"canary": {"traffic": 100}})[-1]
    for before, after in ((small, large), (large, small), (large, spread), (spread, longer), (two, canary)):
        kinds = [kind for kind, _ in found(before, after)]
        assert "unanswered" not in kinds
    assert found(two, canary) == []


def test_a_plan_says_it_in_text_and_in_json(tmp_path: Path) -> None:
    nodes = {"a": mean("x", "y"), "b": mean("a", "x")}
    after = compile_graph(tmp_path, nodes, level=0)
    before = copy.deepcopy(compile_graph(tmp_path, nodes))
    (spec,) = before[-1]["spec"]["predictors"][0]["componentSpecs"]
    del spec["spec"]["containers"][0]["ports"]  # as it was emitted before ports were
    plan = plan_offline(make_bundle("g", "models", after, None, "models"), before)
    words = "`main` does not answer until new pods are ready: its Service goes from port 9000 to 8000"
    assert f"  ! {words}" in write_plan(plan)
    told: Json = json.loads(json.dumps(plan_as_data(plan)))
    (danger,) = [each for each in told["dangers"] if each["kind"] == "unanswered"]
    assert danger["message"].startswith(words)


def test_pods_that_only_get_another_place_have_gpus_twice_meanwhile() -> None:
    before, after = (
        deployment(predictor("main", *pods, ports=True)) for pods in (("c", "b"), ("c", "a", "b"))
    )
    for each in (before, after):
        one = each["spec"]["predictors"][0]["componentSpecs"][-1]
        one["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 2}}
        one["replicas"] = 3
    dangers = find_dangers(reading_of(before), reading_of(after))
    (peak,) = [each for each in dangers if each.kind == "gpu-peak"]
    assert peak.message == "the rollout needs 12 GPUs at its peak; the graph has 6 now and keeps 6"
