"""Graphs that are called over gRPC: units one after another, and routes that lead to no executor that ends of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from graphc.cli import main

Json = Any
GRAPH = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {{name: score, namespace: models}}
{transport}
inputs: {{x: "FP32[batch, 3]"}}
nodes:
  left: {{component: softmax, in: x{alone}}}
  right: {{component: normalise, in: x{alone}}}
  both: {{component: mean, in: [left, right]}}
outputs: {{answer: both}}
predictors:
  main: {{traffic: 90}}
  canary: {{traffic: 10, version: "2"}}
"""
PROFILE = """\
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: p}
ingress: {kind: gateway, gateway: ingress/public, host: a.example.com, grpc_host: g.example.com}
"""


def _compile(folder: Path, *, transport: bool, alone: bool = True) -> tuple[dict[str, list[Json]], str]:
    """Return the documents by kind, and what was said."""
    (folder / "profile.yaml").write_text(PROFILE)
    text = GRAPH.format(
        transport="transport: grpc" if transport else "", alone=", replicas: 2" if alone else ""
    )
    (folder / "graph.yaml").write_text(text)
    arguments = ["compile", "--format", "json", "--profile", str(folder / "profile.yaml")]
    done = CliRunner().invoke(main, [*arguments, str(folder / "graph.yaml")])
    assert done.exit_code == 0, done.stderr
    loaded: Any = json.loads(done.stdout)
    documents: list[Json] = loaded.get("items", [loaded])
    found: dict[str, list[Json]] = {}
    for each in documents:
        found.setdefault(each["kind"], []).append(each)
    return found, done.stderr


def _types(unit: Json) -> list[str]:
    return [unit["type"], *(each for child in unit["children"] for each in _types(child))]


def _methods(route: Json) -> list[str | None]:
    return [match["method"].get("method") for rule in route["spec"]["rules"] for match in rule["matches"]]


def test_a_graph_that_asks_for_grpc_is_a_chain_of_models(tmp_path: Path) -> None:
    found, said = _compile(tmp_path, transport=True)
    for predictor in found["SeldonDeployment"][0]["spec"]["predictors"]:
        assert _types(predictor["graph"]) == ["MODEL"] * 3
    (route,) = found["GRPCRoute"]
    assert set(_methods(route)) == {"ModelInfer", "ModelMetadata", "ModelReady"}
    assert "GC332" not in said


def test_no_route_leads_grpc_to_an_executor_that_ends_of_it(tmp_path: Path) -> None:
    found, said = _compile(tmp_path, transport=False)
    assert "COMBINER" in _types(found["SeldonDeployment"][0]["spec"]["predictors"][0]["graph"])
    assert "GRPCRoute" not in found
    assert said.count("GC332") == 1


def test_a_graph_of_one_unit_takes_all_calls(tmp_path: Path) -> None:
    found, _ = _compile(tmp_path, transport=False, alone=False)
    (route,) = found["GRPCRoute"]
    assert set(_methods(route)) == {None}


@pytest.mark.parametrize(("alone", "target"), [(True, ""), (False, "/versions/{}")])
def test_each_version_has_a_route_by_its_names(tmp_path: Path, alone: bool, target: str) -> None:
    found, _ = _compile(tmp_path, transport=True, alone=alone)
    routes = {each["metadata"]["name"]: each for each in found["HTTPRoute"]}
    led: dict[str, tuple[str, str]] = {}
    for rule in routes["score.versions"]["spec"]["rules"]:
        path = rule["matches"][0]["path"]["value"]
        change = rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"]
        led[path.rpartition("/versions/")[2]] = (rule["backendRefs"][0]["name"], change)
    base = "/v2/models/score"
    assert led == {
        "main": ("score-main", base + target.format("main")),
        "canary": ("score-canary", base + target.format("canary")),
        "2": ("score-canary", base + target.format("2")),
    }
    predictors = found["SeldonDeployment"][0]["spec"]["predictors"]
    for predictor, names in zip(predictors, (None, "canary,2"), strict=True):
        for spec in predictor["componentSpecs"]:
            for container in spec["spec"]["containers"]:
                env = {each["name"]: each.get("value") for each in container["env"]}
                assert env.get("GRAPHC_VERSIONS") == names
