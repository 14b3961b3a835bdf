"""Where namespaces refuse Seldon's executor, a graph is kept in one unit, whatever would be faster."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main

Json = dict[str, Any]

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: heavy}
inputs: {x: "FP32[batch, 3]"}
nodes:
  left: {component: softmax, in: x, cost_ms: 500}
  right: {component: clip, in: x, parameters: {low: 0}, cost_ms: 500}
  both: {component: mean, in: [left, right]}
outputs: {answer: both}
"""


def run(command: str, folder: Path, **security: object) -> str:
    """Return what a command prints for the graph and a profile that says this of security."""
    profile = {"apiVersion": "graphc/v1", "kind": "ClusterProfile", "metadata": {"name": "ours"}, **security}
    (folder / "graph.yaml").write_text(GRAPH)
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    arguments = [command, "--profile", str(folder / "profile.yaml"), str(folder / "graph.yaml")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


def read_predictor(text: str) -> Json:
    deployment = next(each for each in yaml.safe_load_all(text) if each["kind"] == "SeldonDeployment")
    (predictor,) = deployment["spec"]["predictors"]
    return predictor


def test_heavy_branches_stay_together(tmp_path: Path) -> None:
    predictor = read_predictor(run("compile", tmp_path, pod_security="restricted"))
    assert predictor["annotations"] == {"seldon.io/no-engine": "true"}
    assert predictor["graph"]["children"] == []
    assert "refuse Seldon's executor" in " ".join(run("explain", tmp_path, pod_security="restricted").split())


@pytest.mark.parametrize(
    "security", [{"pod_security": "restricted", "executor_policy": True}, {"pod_security": "baseline"}, {}]
)
def test_they_are_parted_where_the_executor_runs(security: Json, tmp_path: Path) -> None:
    predictor = read_predictor(run("compile", tmp_path, **security))
    assert "annotations" not in predictor
    assert [each["type"] for each in predictor["graph"]["children"]] == ["COMBINER"]
