"""What is said of a change: nothing is lost, in the words of the graph, without noise and without secrets."""

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from changed_graphs import changed_at, graph, leaves
from graphc.cluster.bundle import Bundle, make_bundle, strip
from graphc.cluster.dangers import find_dangers
from graphc.cluster.difference import Difference, find_changes
from graphc.cluster.offline import plan_offline
from graphc.cluster.problem import ClusterError
from graphc.cluster.render import plan_as_data, write_plan
from graphc.cluster.serving import Reading
from graphc.cluster.view import conceal, view_document
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from graphc.seldon.deployment import deployment_of as read_deployment

ROOT: Final = Path(__file__).parents[2]
EVERYTHING: Final = ROOT / "tests" / "cluster" / "graphs" / "everything.yaml"

Json = dict[str, Any]


def no_map(_name: str) -> None:
    return None


def compile_graph(path: Path, level: int = 1) -> list[Json]:
    done = compile_files(Request([str(path)], {}, {}, Options(level)))
    return [dict(each) for emission in done.emissions for each in emission.documents]


def deployment_of(documents: list[Json]) -> Json:
    return next(each for each in documents if each["kind"] == "SeldonDeployment")


@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_change_of_any_field_is_seen(level: int) -> None:
    deployment = deployment_of(compile_graph(EVERYTHING, level))
    paths = list(leaves(deployment))
    assert len(paths) > 200
    view = view_document(deployment, no_map)
    for path in paths:
        # The other predictors have the same fields as the first.
        if "graphc.dev/content-hash" in path or path[1:3] in {("predictors", 1), ("predictors", 2)}:
            continue
        other = view_document(changed_at(deployment, path), no_map)
        assert list(find_changes(view, other)), path


def test_a_view_of_the_same_document_differs_in_nothing() -> None:
    for path in (EVERYTHING, *sorted(ROOT.glob("graphs/*/graph.yaml"))):
        for document in compile_graph(path):
            again = json.loads(json.dumps(document))
            assert not list(find_changes(view_document(document, no_map), view_document(again, no_map)))


def test_what_the_server_adds_is_no_change() -> None:
    deployment = deployment_of(compile_graph(EVERYTHING))
    live = copy.deepcopy(deployment)
    live["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "x",
        "managedFields": [{}],
    }
    live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    live["status"] = {"state": "Available"}
    assert strip(live) == deployment


def write(folder: Path, document: Json, name: str = "graph.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def bundle(folder: Path, document: Json) -> Bundle:
    documents = compile_graph(write(folder, document))
    assert documents
    return make_bundle("g", "models", documents, None, "default")


def plan(folder: Path, old: Json, new: Json) -> tuple[list[str], dict[str, list[str]]]:
    """Return the lines of the changes, and the dangers by kind."""
    before = bundle(folder, old)
    found = plan_offline(bundle(folder, new), before.documents)
    dangers: dict[str, list[str]] = {}
    for each in found.dangers:
        dangers.setdefault(each.kind, []).append(each.message)
    return [change.words() for step in found.steps for change in step.changes], dangers


def test_the_words_are_the_graphs(tmp_path: Path) -> None:
    new = graph()
    new["nodes"]["first"] = new["nodes"]["first"] | {"model": "s3://bucket/other.onnx"}
    new["predictors"]["main"] = {"traffic": 80, "replicas": 3}
    new["predictors"]["canary"]["traffic"] = 20
    lines, dangers = plan(tmp_path, graph(), new)
    assert lines == [
        "`main` traffic: 90 → 80",
        "`main` replicas: 3",
        "`main` node `first`: model: first.onnx (s3://bucket/first.onnx) → other.onnx (s3://bucket/other.onnx)",
        "`canary` traffic: 10 → 20",
    ]
    assert dangers == {}


def test_nothing_changes_twice(tmp_path: Path) -> None:
    assert plan(tmp_path, graph(), graph()) == ([], {})


def test_a_renamed_predictor_is_dangerous(tmp_path: Path) -> None:
    new = graph()
    new["predictors"] = {"main": new["predictors"]["main"], "green": new["predictors"]["canary"]}
    lines, dangers = plan(tmp_path, graph(), new)
    assert "predictor `green`" in lines
    assert "predictor `canary`" in lines
    assert dangers["renamed"] == [
        "predictor `canary` is now called `green`: Seldon starts other pods under the new name and ends the old ones, "
        "and requests are lost meanwhile; keep the name"
    ]
    assert "live-removed" not in dangers


def test_other_inputs_and_outputs_are_dangerous(tmp_path: Path) -> None:
    new = graph(inputs={"x": "FP64[batch, 4]", "z": "INT64[batch]"}, outputs={"score": "first.y"})
    new["nodes"]["first"]["in"] = {"X": "x", "Z": "z"}
    _, dangers = plan(tmp_path, graph(), new)
    assert dangers["interface"] == [
        "the graph's input `x` is now `FP64[batch, 4]`, and was `FP32[batch, 4]`",
        "the graph needs another input, `z`, which no client sends yet",
        "the graph has no output `y` any more, and clients may use it",
    ]


def test_gpus_that_only_the_rollout_needs_are_counted(tmp_path: Path) -> None:
    old = graph(predictors={"main": {"traffic": 100, "replicas": 5}})
    old["nodes"]["first"]["resources"] = {"gpu": 2}
    new = copy.deepcopy(old)
    new["nodes"]["first"]["model"] = "s3://bucket/other.onnx"
    _, dangers = plan(tmp_path, old, new)
    # Five pods of two, and a quarter of the pods, rounded up, before any goes.
    assert dangers["gpu-peak"] == ["the rollout needs 14 GPUs at its peak; the graph has 10 now and keeps 10"]
    assert "restart" in dangers
    new["predictors"]["main"]["replicas"] = 6
    new["nodes"]["first"]["model"] = "s3://bucket/first.onnx"
    assert "gpu-peak" not in plan(tmp_path, old, new)[1]


def test_traffic_that_jumps_and_predictors_without_pods_are_dangerous(tmp_path: Path) -> None:
    new = graph()
    new["predictors"]["main"] = {"traffic": 10}
    new["predictors"]["canary"] |= {"traffic": 90, "replicas": 0}
    _, dangers = plan(tmp_path, graph(), new)
    assert dangers["traffic"] == [
        "the traffic of `main` goes from 90 % to 10 % in one step",
        "the traffic of `canary` goes from 10 % to 90 % in one step",
    ]
    assert dangers["no-replicas"] == ["predictor `canary` gets requests and has no replicas"]


def test_a_shadow_that_answers_is_dangerous(tmp_path: Path) -> None:
    old, new = graph(), graph()
    canary = old["predictors"]["canary"]
    old["predictors"] = {"main": {"traffic": 100}, "canary": {"shadow": True, "nodes": canary["nodes"]}}
    assert plan(tmp_path, old, new)[1]["unmirrored"] == [
        "predictor `canary` was a shadow, and now answers clients"
    ]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    old, new = graph(), graph()
    old["nodes"]["first"] |= {
        "model": "https://host/a.onnx?sig=abc",
        "env": {"API_TOKEN": "hunter2", "MODE": "a"},
    }
    new["nodes"]["first"] |= {
        "model": "https://host/b.onnx?sig=def",
        "env": {"API_TOKEN": "hunter3", "MODE": "b"},
    }
    # No graph has a password in a URI, but a manifest of another hand may.
    written = json.dumps(bundle(tmp_path, old).documents).replace("https://host/", "https://me:hunter2@host/")
    assert "hunter2@" in written
    found = plan_offline(bundle(tmp_path, new), json.loads(written))
    for text in (write_plan(found), json.dumps(plan_as_data(found))):
        assert "hunter" not in text
        assert "abc" not in text
        assert "API_TOKEN" in text
        assert "a → b" in text or '"a"' in text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("s3://user:pass@host/a", "s3://...@host/a"),
        ("401: Bearer abcdefgh.ijk", "401: Bearer ..."),
        ("https://h/a?X-Amz-Signature=abc&b=1", "https://h/a?X-Amz-Signature=...&b=1"),
        ("a plain text", "a plain text"),
    ],
)
def test_words_of_others_are_concealed(words: str, shown: str) -> None:
    assert conceal(words) == shown


def test_values_of_other_kinds_are_changes() -> None:
    assert list(find_changes({"a": 1}, {"a": True})) == [Difference(("a",), "change", 1, True)]
    assert list(find_changes({"a": 1}, {"a": 1.0})) == []
    assert list(find_changes({"a": [1]}, {"a": [1, 2]})) == [Difference(("a",), "change", [1], [1, 2])]
    assert list(find_changes({"a": {}}, {})) == []


STRANGE: Final[Json] = {"name": 2, "graph": [], "componentSpecs": [{"spec": {"containers": "x"}}]}


@pytest.mark.parametrize(
    "hostile", [{}, {"spec": 3}, {"spec": {"predictors": 7}}, {"spec": {"predictors": [1, STRANGE]}}]
)
def test_documents_of_any_form_have_a_view(hostile: Json) -> None:
    document: Json = {"kind": "SeldonDeployment", "metadata": {"annotations": 1}} | hostile
    view = view_document(document, no_map)
    same = read_deployment(strip(document))
    reading = Reading(same, view, None)
    assert list(find_dangers(reading, reading)) == []


def test_a_namespace_is_said_once(tmp_path: Path) -> None:
    documents = compile_graph(write(tmp_path, graph()))
    assert make_bundle("g", "models", documents, "models", "default").namespace == "models"
    with pytest.raises(ClusterError, match="`g` says `namespace: models`, and --namespace says `other`"):
        make_bundle("g", "models", documents, "other", "default")


def test_config_maps_go_first_and_routes_last(tmp_path: Path) -> None:
    route: Json = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "g"},
    }
    documents = compile_graph(ROOT / "graphs" / "wine-average" / "graph.yaml")
    placed = make_bundle("wine-average", None, [route, *reversed(documents)], None, "n").documents
    kinds = [each["kind"] for each in placed]
    assert kinds == [*["ConfigMap"] * (len(documents) - 1), "SeldonDeployment", "HTTPRoute"]
