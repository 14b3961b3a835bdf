"""What the operator tells the executor of a predictor is reckoned to the byte, or a little more."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.seldon.predictor_size import MAX_STRING, MOST, reckon_predictor

RECORDED: Final = Path(__file__).parents[3] / "shared" / "seldon" / "operator.json"
MARK: Final = "base64 of: "

Json = dict[str, Any]


def recorded() -> Iterator[tuple[str, Json, Json, int]]:
    """Yield deployments with a predictor, and the size of what its executor was told."""
    if not RECORDED.exists():
        return
    for case in json.loads(RECORDED.read_text())["cases"]:
        deployment = case["seldonDeployment"]
        predictors = {each["name"]: each for each in deployment["spec"]["predictors"]}
        for made in case["deployments"]:
            for container in made["spec"]["template"]["spec"]["containers"]:
                for variable in container.get("env", []):
                    if variable["name"] == "ENGINE_PREDICTOR":
                        told = variable["value"].removeprefix(MARK)
                        predictor = predictors[json.loads(told)["name"]]
                        yield case["id"], deployment, predictor, len(told.encode())


# A server's container is the operator's own to add, and another pod has other hosts.
FOREIGN: Final = ("_server", "separate-engine")
CASES: Final = [each for each in recorded() if not any(word in each[0] for word in FOREIGN)]


@pytest.mark.skipif(not CASES, reason="recordings of the operator are not here")
@pytest.mark.parametrize(
    ("deployment", "predictor", "size"), [each[1:] for each in CASES], ids=[each[0] for each in CASES]
)
def test_what_is_reckoned_is_what_was_recorded_or_little_more(
    deployment: Json, predictor: Json, size: int
) -> None:
    namespace = deployment["metadata"].get("namespace") or "models"
    reckoned = reckon_predictor(deployment["metadata"]["name"], namespace, predictor)
    containers = sum(len(each["spec"]["containers"]) for each in predictor["componentSpecs"])
    # Hosts and ports have other lengths in the first pod, and names of fields that are empty go.
    assert size <= reckoned <= size + 60 + 140 * containers


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_linux_takes_as_much_in_one_variable_and_not_more() -> None:
    def start(letters: int) -> None:
        subprocess.run(["true"], env={"PATH": os.environ["PATH"], "A": letters * "x"}, check=True)

    start(MAX_STRING - len("A=") - 1)
    with pytest.raises(OSError, match="Argument list too long"):
        start(MAX_STRING - len("A="))
    assert 4 * math.ceil(MOST / 3) + len("ENGINE_PREDICTOR=") < MAX_STRING


GRAPH: Final[Json] = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "many", "namespace": "models"},
    "inputs": {"x": "FP32[batch, 3]"},
    "placement": "separate",
}


def compile_nodes(folder: Path, nodes: Json) -> tuple[list[str], list[Json]]:
    """Return the codes of what is wrong, and the documents."""
    graph = GRAPH | {"nodes": nodes, "outputs": {"y": next(reversed(nodes))}}
    path = folder / "graph.yaml"
    path.write_text(json.dumps(graph))
    done = compile_files(Request([str(path)]))
    documents = [each for emission in done.emissions for each in emission.documents]
    return [each.rule.code for each in done.sink], json.loads(json.dumps(documents))


def many(count: int) -> Json:
    nodes: Json = {f"n{index}": {"component": "softmax", "in": "x"} for index in range(count)}
    return nodes | {"mean": {"component": "mean", "in": list(nodes)}}


def labelled(labels: int) -> Json:
    names = [f"a label <of {index}> & $more$ of its kind" for index in range(labels)]
    return {
        "class": {"component": "argmax", "in": "x"},
        "name": {"component": "label-map", "in": "class", "parameters": {"labels": names}},
    }


def predictor_of(documents: list[Json]) -> Json:
    return documents[-1]["spec"]["predictors"][0]


def variables_of(documents: list[Json]) -> list[set[str]]:
    (pod,) = predictor_of(documents)["componentSpecs"]
    return [{each["name"] for each in container["env"]} for container in pod["spec"]["containers"]]


def test_regions_move_to_files_the_largest_first_until_the_executor_takes_the_rest(tmp_path: Path) -> None:
    codes, documents = compile_nodes(tmp_path, many(31))
    assert set(codes) <= {"GC307"}
    assert reckon_predictor("many", "models", predictor_of(documents)) <= MOST
    filed = [{"GRAPHC_REGION_FILE", "GRAPHC_REGION"} & each for each in variables_of(documents)]
    assert all(len(each) == 1 for each in filed)
    assert 0 < sum("GRAPHC_REGION_FILE" in each for each in filed) < 32
    maps = {each["metadata"]["name"] for each in documents if each["kind"] == "ConfigMap"}
    (pod,) = predictor_of(documents)["componentSpecs"]
    mounted = {each["configMap"]["name"] for each in pod["spec"]["volumes"] if "configMap" in each}
    assert mounted == maps
    assert compile_nodes(tmp_path, many(31))[1] == documents


def test_a_map_of_many_labels_is_a_file(tmp_path: Path) -> None:
    codes, documents = compile_nodes(tmp_path, labelled(2_000))
    assert set(codes) <= {"GC307"}
    assert [sorted({"GRAPHC_REGION_FILE", "GRAPHC_REGION"} & each) for each in variables_of(documents)] == [
        ["GRAPHC_REGION"],
        ["GRAPHC_REGION_FILE"],
    ]
    assert reckon_predictor("many", "models", predictor_of(documents)) <= MOST


def test_what_fits_stays_in_variables(tmp_path: Path) -> None:
    _, documents = compile_nodes(tmp_path, many(10))
    assert all("GRAPHC_REGION" in each for each in variables_of(documents))


def test_more_units_than_the_executor_can_be_told_of_are_an_error(tmp_path: Path) -> None:
    codes, documents = compile_nodes(tmp_path, many(60))
    assert (codes, documents) == (["GC308"], [])
