"""What is said of a change to a graph without Seldon, and what is read of its live objects."""

import copy
import json
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from changed_graphs import changed_at, graph, leaves
from graphc.cluster.bundle import Bundle, is_ours, make_bundle
from graphc.cluster.client import Cluster, Kind, Ref, ref_of
from graphc.cluster.difference import find_changes
from graphc.cluster.find_serving import annotation_of, find_ours, order_servings, read_graph, serving_of
from graphc.cluster.judges import Limits, LiveMetrics
from graphc.cluster.marks import find_mark, is_as_marked
from graphc.cluster.offline import plan_offline
from graphc.cluster.owners import check_owners, check_target
from graphc.cluster.planning import GraphPlan, Step
from graphc.cluster.problem import ClusterError, RefusedError
from graphc.cluster.putting import complete, find_freed, leave_replicas
from graphc.cluster.records import State
from graphc.cluster.removing import order_of_removal
from graphc.cluster.rollout_room import NODE, find_stages, judge_room
from graphc.cluster.route_status import judge_route
from graphc.cluster.traffic import move, shadows_of, traffic_of
from graphc.cluster.view import view_document
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options
from graphc.unchecked import Data

ROOT: Final = Path(__file__).parents[2]
EVERYTHING: Final = ROOT / "tests" / "cluster" / "graphs" / "everything.yaml"

Json = dict[str, Any]


def compile_graph(path: Path, level: int = 1) -> list[Json]:
    request = Request([str(path)], {}, {}, Options(level), profile="gateway", target="kubernetes")
    done = compile_files(request)
    assert not done.sink.has_errors, [each.message for each in done.sink]
    return [dict(each) for emission in done.emissions for each in emission.documents]


def maps_of(documents: list[Json]) -> Any:
    maps = {each["metadata"]["name"]: each for each in documents if each["kind"] == "ConfigMap"}
    return maps.get


ELSEWHERE: Final = ("graphc.dev/content-hash", "graphc.dev/rollout")
"""What says nothing of its own, and the shares of others, which others' Deployments tell."""


@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_change_of_any_field_is_seen(level: int) -> None:
    documents = compile_graph(EVERYTHING, level)
    find_map = maps_of(documents)
    seen = 0
    for document in documents:
        if document["kind"] == "ConfigMap" or document["metadata"]["name"].count("canary"):
            continue
        view = view_document(document, find_map)
        for path in leaves(document):
            # The labels that tell whose a Deployment is are what it is found by.
            if set(ELSEWHERE) & set(path) or (path[:2] == ("metadata", "labels")):
                continue
            assert list(find_changes(view, view_document(changed_at(document, path), find_map))), path
            seen += 1
    assert seen > 500


def test_what_the_engine_is_told_is_shown_by_unit() -> None:
    documents = compile_graph(EVERYTHING, 0)
    entry = next(each for each in documents if "graphc.dev/engine" in each["metadata"].get("annotations", {}))
    view: Any = view_document(entry, maps_of(documents))
    (predictor,) = view["predictors"].values()
    assert any(unit.get("children") for unit in predictor["units"].values())
    volumes = predictor["rest"]["componentSpecs"][0]["spec"]["volumes"]
    assert [each["configMap"] for each in volumes if each["name"] == "engine-graph"] == [
        {"items": [{"key": "graph.json", "path": "graph.json"}]}
    ]
    # Where the file is not there, or is none, its config map is named.
    broken: Data = {"data": {"graph.json": "[" * 5000}}
    for view in (view_document(entry, lambda _: None), view_document(entry, lambda _: broken)):
        assert "-main-engine-" in json.dumps(view)


def bundle(folder: Path, document: Json) -> Bundle:
    path = folder / "graph.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return make_bundle("g", "models", compile_graph(path), None, "default")


def plan(folder: Path, old: Json, new: Json) -> tuple[list[str], dict[str, list[str]]]:
    """Return the lines of the changes to Deployments, and the dangers by kind."""
    before = bundle(folder, old)
    found = plan_offline(bundle(folder, new), before.documents)
    dangers: dict[str, list[str]] = {}
    for each in found.dangers:
        dangers.setdefault(each.kind, []).append(each.message)
    lines = [
        change.words()
        for step in found.steps
        if step.ref.kind.kind == "Deployment"
        for change in step.changes
    ]
    return lines, dangers


def test_the_words_are_the_graphs(tmp_path: Path) -> None:
    new = graph()
    new["nodes"]["first"] = new["nodes"]["first"] | {"model": "s3://bucket/other.onnx"}
    new["predictors"]["main"] = {"traffic": 80, "replicas": 3}
    new["predictors"]["canary"]["traffic"] = 20
    lines, dangers = plan(tmp_path, graph(), new)
    assert lines == [
        "`main` traffic: 90 → 80",
        "`main` node `first`: model: first.onnx (s3://bucket/first.onnx) → other.onnx (s3://bucket/other.onnx)",
        "`main` replicas: 1 → 3",
        "`canary` traffic: 10 → 20",
    ]
    assert dangers == {}
    assert plan(tmp_path, graph(), graph()) == ([], {})


def test_the_dangers_are_those_that_there_are_without_an_operator(tmp_path: Path) -> None:
    new = graph()
    new["predictors"] = {"main": new["predictors"]["main"], "green": new["predictors"]["canary"]}
    _, dangers = plan(tmp_path, graph(), new)
    assert dangers["renamed"] == [
        "predictor `canary` is now called `green`: clients that call its Service (`g-canary`) find nobody any more; "
        "keep the name"
    ]
    assert "live-removed" not in dangers
    assert dangers["deleted"] == ["Deployment g-canary is deleted", "Service g-canary is deleted"]
    alone = graph(predictors={"main": {"traffic": 100}})
    _, dangers = plan(tmp_path, graph(), alone)
    assert dangers["live-removed"] == ["predictor `canary`, which gets 10 % of the requests, goes away"]
    other = graph(inputs={"x": "FP64[batch, 4]"})
    _, dangers = plan(tmp_path, graph(), other)
    assert dangers["interface"] == ["the graph's input `x` is now `FP64[batch, 4]`, and was `FP32[batch, 4]`"]
    assert "replaced" not in dangers


def test_gpus_that_only_the_rollout_needs_are_counted(tmp_path: Path) -> None:
    old = graph(predictors={"main": {"traffic": 100, "replicas": 5}})
    old["nodes"]["first"]["resources"] = {"gpu": 2}
    new = copy.deepcopy(old)
    new["nodes"]["first"]["model"] = "s3://bucket/other.onnx"
    _, dangers = plan(tmp_path, old, new)
    assert dangers["gpu-peak"] == ["the rollout needs 14 GPUs at its peak; the graph has 10 now and keeps 10"]
    assert "restart" in dangers


def test_a_service_whose_port_moves_before_its_pods_is_dangerous(tmp_path: Path) -> None:
    documents = list(copy.deepcopy(bundle(tmp_path, graph()).documents))
    service = next(
        each for each in documents if ref_of(each) == Ref(Kind("v1", "Service"), "models", "g-main")
    )
    cast("Json", service)["spec"]["ports"][0]["port"] = 9000
    found = plan_offline(bundle(tmp_path, graph()), documents)
    (danger,) = [each for each in found.dangers if each.kind == "unanswered"]
    assert danger.message.startswith(
        "`main` does not answer until new pods are ready: its Service goes from port 9000"
    )


def test_objects_come_and_go_so_that_none_is_missed(tmp_path: Path) -> None:
    scaled = graph()
    scaled["predictors"]["main"] |= {"autoscaling": {"min": 2, "max": 3, "cpu": 80}}
    scaled["resources"] = {"cpu": "1"}
    kinds = [ref.kind.kind for ref in bundle(tmp_path, scaled).refs]
    order = ["Service", "Deployment", "HorizontalPodAutoscaler", "HTTPRoute"]
    assert [kinds.index(each) for each in order] == sorted(kinds.index(each) for each in order)
    gone = [ref.kind.kind for ref in order_of_removal(bundle(tmp_path, scaled).refs)]
    order = ["HTTPRoute", "HorizontalPodAutoscaler", "Deployment", "Service"]
    assert [gone.index(each) for each in order] == sorted(gone.index(each) for each in order)


HOSTILE: Final[list[Any]] = [
    {},
    {"spec": 3},
    {"spec": {"template": []}},
    {"spec": {"template": {"spec": {"containers": "x", "volumes": [1, {"name": "engine-graph"}]}}}},
    {"spec": {"replicas": "many", "selector": {"matchLabels": 2}}},
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("rollout", ["", "[" * 5000, '{"ways": 3}', '{"ways": [{"shares": {"main": "x"}}]}'])
def test_documents_of_any_form_are_read(hostile: Json, rollout: str) -> None:
    metadata: Json = {
        "name": "g-main",
        "labels": {
            "app.kubernetes.io/managed-by": "graphc",
            "app.kubernetes.io/part-of": "g",
            "app.kubernetes.io/component": "entry",
            "graphc.dev/predictor": "main",
        },
        "annotations": {"graphc.dev/rollout": rollout, "graphc.dev/engine": "engine"},
    }
    document: Data = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **hostile}
    assert traffic_of([document]) == {"main": 0}
    assert shadows_of([document]) == []
    assert [each.name for each in read_graph([document]).predictors] == ["main"]
    serving = serving_of([document])
    assert serving is not None
    assert serving.target == "kubernetes"
    reading = serving.read_whole([document], lambda _: {"data": 3})
    assert set(reading.made.pods if reading.made else ()) == {"g-main"}
    assert annotation_of([document], "graphc.dev/engine") == "engine"
    assert isinstance(view_document(document, lambda _: None), dict)
    assert len(find_stages([document], [document])[0]) == 1


def test_a_version_that_is_alone_has_all_requests(tmp_path: Path) -> None:
    alone = bundle(tmp_path, graph(predictors={"main": {"traffic": 100}}))
    assert traffic_of(alone.documents) == {"main": 100}
    assert move(alone, {"main": 100}) == alone


# --- Whose objects are -----------------------------------------------------------------------------------


def labelled(graph: str, manager: str = "graphc") -> Json:
    labels = {"app.kubernetes.io/managed-by": manager, "app.kubernetes.io/part-of": graph}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "g-main", "labels": labels}}


OWNED: Final[Json] = {"ownerReferences": [{"kind": "SeldonDeployment", "name": "g", "controller": True}]}


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (labelled("other"), "graphc made it for `other`"),
        (labelled("g", "Helm"), "`Helm` manages it"),
        ({"kind": "Service", "metadata": {"name": "g-main"}}, "graphc did not make it"),
        (labelled("g") | {"metadata": labelled("g")["metadata"] | OWNED}, "it belongs to SeldonDeployment g"),
    ],
)
def test_objects_of_others_are_refused_with_their_owner(tmp_path: Path, live: Json, words: str) -> None:
    ours = bundle(tmp_path, graph())
    ref = Ref(Kind("v1", "Service"), "models", "g-main")
    assert not is_ours(live, "g")
    with pytest.raises(ClusterError, match=f"Service g-main is there already, and {words}"):
        check_owners(ours, {ref: live})
    check_owners(ours, {ref: labelled("g")})


def test_a_namespace_holds_a_graph_for_one_target(tmp_path: Path) -> None:
    ours = bundle(tmp_path, graph())
    seldon = Ref(Kind("machinelearning.seldon.io/v1", "SeldonDeployment"), "models", "g")
    with pytest.raises(
        ClusterError, match="`g` is there for the target `seldon`, and these files are for `kube"
    ):
        check_target(ours, State("g", "models", refs=(seldon,)))
    check_target(ours, State("g", "models", refs=tuple(ours.refs)))
    check_target(ours, State("g", "models"))


class Forbidding:
    """A cluster in which one may look at config maps and SeldonDeployments."""

    def find(self, kind: Kind, *_: object) -> list[Data]:
        if kind.kind in {"ConfigMap", "SeldonDeployment"}:
            return []
        raise RefusedError("not for you", 403, "Forbidden", ())


def test_what_may_not_be_looked_at_is_an_error_only_where_it_may_be_there(tmp_path: Path) -> None:
    cluster = cast("Cluster", Forbidding())
    assert find_ours(cluster, "models", "g", ()) == {}
    refs = bundle(tmp_path, graph()).refs
    assert [each.target for each in order_servings(refs)] == ["kubernetes"]
    with pytest.raises(RefusedError):
        find_ours(cluster, "models", "g", refs)


# --- Replicas that something else sets ----------------------------------------------------------------


DEPLOYMENT: Final[Data] = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "g-main"}}
SCALER: Final[Data] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "g-main"},
    "spec": {"scaleTargetRef": {"name": "g-main"}, "minReplicaCount": 3, "maxReplicaCount": 9},
}


def live_with(replicas: int, *managers: tuple[str, str]) -> Data:
    fields: Json = {"f:spec": {"f:replicas": {}}}
    managed: list[Json] = [{"manager": who, "operation": how, "fieldsV1": fields} for who, how in managers]
    metadata: Json = {"name": "g-main", "generation": replicas, "managedFields": managed}
    return {**DEPLOYMENT, "metadata": metadata, "spec": {"replicas": replicas, "paused": False}}


def test_replicas_stay_what_they_are_once_the_file_leaves_them_to_a_scaler() -> None:
    scaled: Data = {**DEPLOYMENT, "spec": {}}
    fixed: Data = {**DEPLOYMENT, "spec": {"replicas": 2}}
    both: list[Data] = [scaled, SCALER]
    ours, others = live_with(5, ("graphc", "Apply")), live_with(5, ("kube-controller-manager", "Update"))
    assert complete(scaled, None, both)["spec"] == {"replicas": 3}
    assert complete(scaled, ours, both)["spec"] == {"replicas": 5}
    assert complete(scaled, others, both)["spec"] == {}
    assert complete(fixed, ours, [fixed]) == fixed
    assert complete(SCALER, None, both) == SCALER
    ref = ref_of(SCALER)
    assert find_freed(fixed, {ref: SCALER}) == [ref]
    assert find_freed(scaled, {ref: SCALER}) == []
    left = leave_replicas([ours, SCALER])
    assert left == [{**ours, "spec": {"paused": False}}, SCALER]


def test_replicas_that_a_scaler_set_are_nobodys_change() -> None:
    scaled: Data = {**DEPLOYMENT, "spec": {}}
    fixed: Data = {**DEPLOYMENT, "spec": {"replicas": 2}}
    before, after = live_with(2), live_with(4)
    assert is_as_marked(after, find_mark(before, scaled))
    assert not is_as_marked(after, find_mark(before, fixed))
    assert is_as_marked(before, find_mark(before, fixed))
    changed: Data = {**after, "spec": {"replicas": 4, "paused": True}}
    assert not is_as_marked(changed, find_mark(before, scaled))
    assert not is_as_marked(before, {})
    annotations: Json = {"kubectl.kubernetes.io/restartedAt": "now"}
    restarted: Data = {**after, "spec": {"replicas": 2, "paused": False}}
    cast("Json", restarted["spec"])["template"] = {"metadata": {"annotations": annotations}}
    bare: Data = {**before, "spec": {"replicas": 2, "paused": False, "template": {"metadata": {}}}}
    assert is_as_marked(restarted, find_mark(bare, fixed))


# --- Routes, room, metrics ---------------------------------------------------------------------------


def route(*conditions: tuple[str, str, int]) -> Json:
    told = [
        {"type": kind, "status": status, "observedGeneration": seen, "reason": "Why", "message": "words"}
        for kind, status, seen in conditions
    ]
    return {"metadata": {"generation": 2}, "status": {"parents": [{"conditions": told}]}}


@pytest.mark.parametrize(
    ("document", "finding"),
    [
        ({}, "silent"),
        (route(), "silent"),
        (route(("Programmed", "False", 1)), "silent"),
        (route(("Accepted", "True", 1)), "waiting"),
        (route(("Accepted", "True", 2), ("ResolvedRefs", "True", 1)), "waiting"),
        (route(("Accepted", "False", 1)), "waiting"),
        (route(("Accepted", "False", 2)), "refused"),
        (route(("Accepted", "True", 2), ("ResolvedRefs", "False", 2)), "refused"),
        (route(("Accepted", "True", 2), ("ResolvedRefs", "True", 3)), "accepted"),
        ({"metadata": 3, "status": {"parents": [1, {"conditions": "x"}]}}, "silent"),
    ],
)
def test_what_gateways_say_of_a_route(document: Json, finding: str) -> None:
    judged, words = judge_route(document)
    assert judged == finding
    assert bool(words) == (finding == "refused")


class Nodes:
    """A cluster of one node with GPUs on which nothing runs."""

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus

    def find(self, kind: Kind, *_: object) -> list[Json]:
        status = {
            "allocatable": {"nvidia.com/gpu": str(self._gpus), "cpu": "64", "memory": "64Gi", "pods": "9"}
        }
        node: Json = {"metadata": {"name": "a", "labels": {}}, "spec": {}, "status": status}
        return [node] if kind == NODE else []


@pytest.mark.parametrize(("gpus", "has_room"), [(5, True), (4, False)])
def test_room_is_asked_for_a_rollout_of_deployments(tmp_path: Path, gpus: int, *, has_room: bool) -> None:
    old = graph(predictors={"main": {"traffic": 100, "replicas": 4}})
    old["nodes"]["first"]["resources"] = {"gpu": 1}
    new = copy.deepcopy(old)
    new["nodes"]["first"]["model"] = "s3://bucket/other.onnx"
    before, after = bundle(tmp_path, old), bundle(tmp_path, new)
    steps = (Step(after.refs[0], "update"),)
    live = {ref_of(each): each for each in before.documents}
    made = GraphPlan(after, steps, (), (), State("g", "models"), live)
    (judged,) = judge_room(cast("Cluster", Nodes(gpus)), [made])
    assert ("no-room" not in {each.kind for each in judged.dangers}) == has_room


def test_metrics_are_those_of_the_engine_where_there_is_one(tmp_path: Path) -> None:
    serving = serving_of(bundle(tmp_path, graph()).documents)
    assert serving is not None
    one = bundle(tmp_path, graph()).documents
    assert serving.find_meter(one, "g", "models", "canary") is None
    judged = LiveMetrics("http://127.0.0.1:1", Limits()).judge(Bundle("g", "models", one), "canary", "canary")
    assert judged.finding == "undecided"
    assert "no engine stands before its one unit" in judged.statements[0]
    walked = bundle(tmp_path, graph(executor=True)).documents
    meter = serving.find_meter(walked, "g", "models", "canary")
    assert meter is not None
    assert meter.selector == 'namespace="models",pod=~"g-canary-[a-z0-9]+-[a-z0-9]{5}"'
