"""`graphc check` takes the YAML that kubectl takes, in files that hold nothing but manifests."""

import json
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from graphc.cli import main

MANIFEST: Final = """
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: fraud, namespace: models}
spec:
  protocol: v2
  predictors:
    - name: main
      replicas: 1
      traffic: 100
      graph: &graph {name: score, implementation: SKLEARN_SERVER, modelUri: "s3://models/score"}
      componentSpecs:
        - spec:
            containers: [{name: score}]
            volumes: [{name: code, configMap: {name: code}}]
"""
GRAPH: Final = """---
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {left: "FP32[batch, 3]", right: "FP32[batch, 3]"}
nodes:
  both: {component: mean, in: [left, right]}
outputs: {answer: both}
"""

Found = list[tuple[str, str, int]]


def check(text: str, folder: Path) -> tuple[int, Found]:
    path = folder / "manifest.yaml"
    path.write_text(text)
    done = CliRunner().invoke(main, ["check", "--output-format", "json", str(path)])
    return done.exit_code, [(it["severity"], it["code"], it["line"]) for it in json.loads(done.stdout)]


def change(old: str, new: str) -> str:
    assert MANIFEST.count(old) == 1
    return MANIFEST.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("configMap: {name: code}", "configMap: {name: code, defaultMode: 0420}"),
        ("configMap: {name: code}", "configMap: {name: code, defaultMode: 0o644}"),
        ("configMap: {name: code}", "configMap: {name: code, optional: yes}"),
        ("configMap: {name: code}", "configMap: {name: code, optional: N}"),
        ("traffic: 100", "traffic: 1_00"),
        ("traffic: 100", "traffic: 100.0"),
        ("replicas: 1", "replicas: 0b1\n      labels: {released: 2024-01-02, 1: one}"),
        ("    - name: main\n", "    - <<: {replicas: 2}\n      name: main\n"),
        ("graph: &graph {", "annotations: {at: 1:30}\n      graph: {"),
    ],
)
def test_nothing_is_said_of_what_kubectl_takes(old: str, new: str, tmp_path: Path) -> None:
    assert check(change(old, new), tmp_path) == (0, [])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("replicas: 1\n", "replicas: 1\n      replicas: 2\n", ("GC010", 10)),
        ("replicas: 1\n", "replicas: 010\n", ("GC012", 9)),
        ("replicas: 1\n", "replicas: 1\n      labels: {y: a}\n", ("GC013", 10)),
        ("replicas: 1\n", "replicas: 1\n      <<: {replicas: 2}\n", ("GC014", 10)),
        ("name: fraud", "name: !name fraud", ("GC015", 4)),
    ],
)
def test_what_kubectl_takes_for_something_else_is_a_warning(
    old: str, new: str, found: tuple[str, int], tmp_path: Path
) -> None:
    assert check(change(old, new), tmp_path) == (0, [("warning", *found)])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("name: main", "name: n", ("GC603", 8)),
        ("replicas: 1", "replicas: yes", ("GC603", 9)),
        ("replicas: 1", "labels: {country: no}", ("GC603", 9)),
        ("replicas: 1", "labels: {version: 1.10}", ("GC603", 9)),
        ("replicas: 1", "<<: text", ("GC014", 9)),
        ("replicas: 1", "~: text", ("GC013", 9)),
    ],
)
def test_what_kubectl_or_the_server_refuses_is_an_error(
    old: str, new: str, found: tuple[str, int], tmp_path: Path
) -> None:
    assert check(change(old, new), tmp_path) == (1, [("error", *found)])


def test_what_is_merged_is_judged_where_it_was_written(tmp_path: Path) -> None:
    old, new = (
        "  predictors:\n",
        "  predictors:\n    - &p\n      name: other\n      replicas: two\n      graph: *graph\n",
    )
    text = change("graph: &graph", "graph:").replace(
        old, new.replace("*graph", "{name: a, implementation: SKLEARN_SERVER}")
    )
    found = check(
        text.replace("    - name: main\n", "    - <<: *p\n      name: main\n").replace(
            "      replicas: 1\n", ""
        ),
        tmp_path,
    )[1]
    assert ("error", "GC603", 10) in found
    assert [each for each in found if each[1] == "GC603"] == [("error", "GC603", 10)]


def test_a_graph_beside_a_manifest_makes_the_file_strict(tmp_path: Path) -> None:
    manifest = change("configMap: {name: code}", "configMap: {name: code, defaultMode: 0420}")
    assert check(manifest + GRAPH, tmp_path) == (1, [("error", "GC012", 15)])
    assert check(MANIFEST + GRAPH, tmp_path) == (0, [])


def test_compiling_stays_strict(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(change("replicas: 1", "replicas: 0_1"))
    done = CliRunner().invoke(main, ["compile", str(path)])
    assert done.exit_code == 1
    assert "error[GC012]" in done.stderr


def test_a_profile_stays_strict(tmp_path: Path) -> None:
    text = "apiVersion: graphc/v1\nkind: ClusterProfile\nkind: ClusterProfile\n"
    code, found = check(text, tmp_path)
    assert (code, found) == (1, [("error", "GC010", 3)])
