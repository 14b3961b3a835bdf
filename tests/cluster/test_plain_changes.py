"""Plan, apply, status, history, rollback, promote and delete of graphs without Seldon, against real controllers."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import yaml
from cluster_callers import MODELS, Caller, Json, Kubectl, mood_of
from faulty_proxy import Proxy, When, harming
from forked_commands import forking
from graphc.cluster.client import Access, Cluster, connect
from stand_in_node import Gateways, Node, running_gateways, running_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PlainCluster = tuple[Path, Kubectl]

PROFILE: Final = {
    "apiVersion": "graphc/v1",
    "kind": "ClusterProfile",
    "metadata": {"name": "plain"},
    "target": "kubernetes",
    "ingress": {"kind": "gateway", "gateway": "infra/public", "path": "/{namespace}/{graph}"},
}


@dataclass
class Place(Caller):
    cluster: Cluster
    kubectl: Kubectl
    node: Node
    gateways: Gateways

    def plan(self, path: Path, *more: str, code: int | None = 0) -> str:
        return self.run("plan", "--profile", str(self.folder / "profile.yaml"), str(path), *more, code=code)

    def apply(self, path: Path, *more: str, config: Path | None = None, code: int | None = 0) -> str:
        options = ["--profile", str(self.folder / "profile.yaml"), "--yes", "--timeout", "20s"]
        return self.run("apply", *options, str(path), *more, config=config, code=code)

    def graph(self, name: str, **changes: object) -> Path:
        """Write a graph of two versions; `changes` replace fields of the file."""
        quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
        graph: Json = {
            "apiVersion": "graphc/v1",
            "kind": "InferenceGraph",
            "metadata": {"name": name, "namespace": "plain"},
            "inputs": {"x": "FP32[batch, 10]"},
            "nodes": {"lean": {"model": str(MODELS / "diabetes-route/models/lean.onnx"), "in": {"X": "x"}}},
            "outputs": {"y": "lean"},
            "predictors": {"main": {"traffic": 90}, "canary": {"traffic": 10, **quick}},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(graph | changes, sort_keys=False))
        return path

    def get(self, what: str, *more: str) -> Json:
        done = self.kubectl("get", what, "-n", self.namespace, "-o", "json", *more)
        assert not done.returncode, done.stderr
        found: Json = json.loads(done.stdout)
        return found

    def names(self, graph: str) -> list[str]:
        """Return everything in the namespace that belongs to the graph, pods aside."""
        kinds = "configmaps,deployments,services,hpa,pdb,httproutes,grpcroutes"
        found = (each["kind"] + " " + each["metadata"]["name"] for each in self.get(kinds)["items"])
        return sorted(
            name
            for name in found
            if name.endswith(f" {graph}") or f" {graph}-" in name or f" {graph}." in name
        )

    def weights(self, graph: str) -> dict[str, int]:
        (rule,) = self.get(f"httproute/{graph}")["spec"]["rules"]
        return {each["name"].removeprefix(f"{graph}-"): each["weight"] for each in rule["backendRefs"]}


@pytest.fixture(scope="module")
def place(plain_cluster: PlainCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    config, kubectl = plain_cluster
    folder = tmp_path_factory.mktemp("plain")
    (folder / "profile.yaml").write_text(yaml.safe_dump(PROFILE))
    assert not kubectl("create", "namespace", "plain").returncode
    cluster = connect(Access(kubeconfig=str(config), namespace="plain"))
    with (
        forking(folder) as forks,
        running_node(str(config), mood_of) as node,
        running_gateways(str(config), "plain") as gateways,
    ):
        yield Place(config, "plain", folder, forks, cluster, kubectl, node, gateways)


HEAVY: Final = {"lean": {"model": str(MODELS / "diabetes-route/models/heavy.onnx"), "in": {"X": "x"}}}


def test_a_plan_says_what_changes_and_nothing_on_the_second_run(place: Place) -> None:
    path = place.graph("planned")
    words = place.plan(path, code=2)
    assert words.splitlines()[0] == "planned (plain): 8 to create"
    told = place.apply(path)
    assert "planned: revision 1 serves" in told
    assert place.names("planned") == [
        "ConfigMap planned-lean-2e212e530e",
        "ConfigMap planned-lean-502ffd8909",
        "ConfigMap planned.graphc",
        "ConfigMap planned.graphc.1",
        "Deployment planned-canary",
        "Deployment planned-main",
        "HTTPRoute planned",
        "HTTPRoute planned.versions",
        "Service planned-canary",
        "Service planned-main",
    ]
    assert place.plan(path) == "planned (plain): no change\n"
    assert place.run("status", "planned") == (
        "planned (plain): Available, revision 1\n"
        "  main: 90 %, 1 of 1 pods ready\n"
        "  canary: 10 %, 1 of 1 pods ready\n"
    )
    place.graph("planned", nodes=HEAVY, predictors={"main": {"traffic": 100, "replicas": 2}})
    words = place.plan(path, code=2)
    for line in (
        "~ `main` traffic: 90 → 100",
        "~ `main` replicas: 1 → 2",
        "~ `main` node `lean`: model: lean.onnx (502ffd8909) → heavy.onnx (a54bb446e7)",
        "+ PodDisruptionBudget planned-main",
        "- Deployment planned-canary",
        "- Service planned-canary",
        "- HTTPRoute planned.versions",
        "! predictor `canary`, which gets 10 % of the requests, goes away",
        "! all pods of `main`, the only live predictor, are replaced at once",
    ):
        assert line in words
    data = json.loads(place.plan(path, "--json", code=2))
    (deployment,) = [
        each for each in data[0]["objects"] if each["name"] == "planned-main" and each["changes"]
    ]
    assert deployment["changes"][0] == {
        "path": ["predictors", "main", "traffic"],
        "action": "change",
        "before": 90,
        "after": 100,
        "text": "`main` traffic: 90 → 100",
    }
    assert {each["kind"] for each in data[0]["dangers"]} == {"live-removed", "restart", "deleted"}
    place.apply(path)
    assert place.plan(path) == "planned (plain): no change\n"
    names = place.names("planned")
    assert "Deployment planned-canary" not in names
    assert "Service planned-canary" not in names
    assert place.weights("planned") == {"main": 100}


def test_no_terminal_and_no_yes_changes_nothing(place: Place) -> None:
    path = place.graph("asked")
    profile = str(place.folder / "profile.yaml")
    assert "say --yes" in place.run("apply", "--profile", profile, str(path), code=1)
    assert not place.names("asked")
    assert "there is no graph" in place.run("status", "asked", code=1)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("absent", "cannot be pulled: Back-off pulling image: 401 Unauthorized: Bearer ..."),
        ("crash", "it ended with 1 (4 restarts)"),
        ("hungry", "it needed more memory than it may have (4 restarts)"),
        ("nogpu", "no node has the GPUs that it asks for: 0/3 nodes are available"),
        ("silent", "main: 0 of 1 pods ready"),
    ],
)
def test_a_version_that_does_not_start_is_taken_back_and_says_why(
    place: Place, image: str, words: str
) -> None:
    name = f"bad-{image}"
    path = place.graph(name)
    place.apply(path)
    before = {each: place.get(f"deployment/{name}-{each}")["spec"] for each in ("main", "canary")}
    place.graph(
        name, runtime={"image": image}, predictors={"main": {"traffic": 50}, "other": {"traffic": 50}}
    )
    told = place.apply(path, "--timeout", "6s", code=1)
    assert "c2VjcmV0" not in told
    assert words in told
    assert "revision 1 serves again" in told
    assert place.weights(name) == {"main": 90, "canary": 10}
    after = {each: place.get(f"deployment/{name}-{each}")["spec"] for each in ("main", "canary")}
    assert after == before
    assert f"Deployment {name}-other" not in place.names(name)
    place.graph(name)
    assert "no change" in place.plan(path)
    history = place.run("history", name)
    assert "(serving)" in history
    assert "failed: " in history
    place.run("delete", "--yes", name)
    assert not place.names(name)


def test_routes_lead_to_nobody_who_is_not_ready(place: Place) -> None:
    """A version that starts only later gets its share only then; the routes that are there stay until it does."""
    path = place.graph("patient")
    place.apply(path)
    place.graph(
        "patient", predictors={"main": {"traffic": 20}, "blue": {"traffic": 80}}, runtime={"image": "silent"}
    )
    place.apply(path, "--timeout", "3s", code=1)
    assert place.weights("patient") == {"main": 90, "canary": 10}


def test_a_first_version_that_does_not_start_leaves_nothing(place: Place) -> None:
    path = place.graph("first-bad", runtime={"image": "silent"})
    told = place.apply(path, "--timeout", "3s", code=1)
    assert "`first-bad` is not ready after 3 s: pods of main 0 of 1, canary 0 of 1" in told
    assert "nothing served before; what was made is deleted" in told
    assert place.names("first-bad") == ["ConfigMap first-bad.graphc"]


def test_a_full_quota_is_told_in_the_words_of_the_cluster(place: Place) -> None:
    path = place.graph("full")
    place.apply(path)
    pods = len([each for each in place.get("pods")["items"] if "deletionTimestamp" not in each["metadata"]])
    quota: Json = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods", "namespace": "plain"},
        "spec": {"hard": {"count/pods": str(pods)}},
    }
    place.cluster.create(quota)
    try:
        await_that(lambda: "used" in place.get("resourcequota/pods").get("status", {}))
        place.graph("full", nodes=HEAVY)
        told = place.apply(path, "--timeout", "5s", code=1)
    finally:
        assert not place.kubectl("delete", "resourcequota", "pods", "-n", "plain").returncode
    assert f"the quota `pods` allows count/pods={pods}, of which count/pods={pods} is used" in told
    assert "revision 1 serves again" in told


def await_that(look: Callable[[], bool], seconds: float = 30) -> None:
    for _ in range(int(seconds * 5)):
        if look():
            return
        time.sleep(0.2)
    pytest.fail("what was waited for did not come")


# --- What others made ------------------------------------------------------------------------------------


def test_an_object_of_others_is_refused_and_stays(place: Place) -> None:
    service: Json = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken-main", "namespace": "plain"},
        "spec": {"ports": [{"name": "http", "port": 8000}]},
    }
    place.cluster.create(service)
    path = place.graph("taken")
    for verb in (place.plan, place.apply):
        words = verb(path, code=1)
        assert "Service taken-main is there already, and graphc did not make it" in words
        assert "label it app.kubernetes.io/managed-by=graphc,app.kubernetes.io/part-of=taken" in words
    assert "is there already" in place.apply(path, "--force-conflicts", code=1)
    assert place.names("taken") == ["Service taken-main"]
    # As it says: whoever labels it gives it away.
    labels = ("app.kubernetes.io/managed-by=graphc", "app.kubernetes.io/part-of=taken")
    assert not place.kubectl("label", "service", "taken-main", "-n", "plain", *labels).returncode
    place.apply(path, "--force-conflicts")
    place.run("delete", "--yes", "taken")
    assert not place.names("taken")


def test_two_graphs_cannot_have_the_same_object(place: Place) -> None:
    place.apply(place.graph("near", predictors={"by-main": {"traffic": 100}}))
    words = place.apply(place.graph("near-by"), code=1)
    assert "Service near-by-main is there already, and graphc made it for `near`" in words
    assert place.run("status", "near").startswith("near (plain): Available")


def test_fields_that_others_decided_are_a_conflict_with_their_names(place: Place) -> None:
    path = place.graph("contested")
    place.apply(path)
    patch = json.dumps({"spec": {"replicas": 3}})
    scaled = place.kubectl(
        "patch", "deployment", "contested-main", "-n", "plain", "--type=merge", "-p", patch
    )
    assert not scaled.returncode, scaled.stderr
    words = place.plan(path, code=2)
    assert "! conflict: Deployment contested-main: `spec.replicas` belongs to `kubectl-patch`" in words
    assert "~ `main` replicas: 3 → 1" in words
    assert "somebody else changed it since" in place.run("status", "contested", code=None)
    assert "--force-conflicts takes them over" in place.apply(path, code=1)
    place.apply(path, "--force-conflicts")
    assert place.get("deployment/contested-main")["spec"]["replicas"] == 1
    # What was found is remembered, and can be gone back to.
    assert "found in the cluster, as somebody else left it" in place.run("history", "contested")
    place.run("rollback", "--yes", "contested", "2")
    assert place.get("deployment/contested-main")["spec"]["replicas"] == 3


def test_what_kubectl_applied_is_taken_over_and_pruned(place: Place) -> None:
    path = place.graph("adopted")
    profile = str(place.folder / "profile.yaml")
    compiled = place.forks.run(["compile", "--format", "json", "--profile", profile, str(path)])[1]
    done = place.kubectl("apply", "--server-side", "-n", "plain", "-f", "-", text=compiled)
    assert not done.returncode, done.stderr
    place.apply(place.graph("adopted", predictors={"main": {"traffic": 100}}), "--force-conflicts")
    assert "Deployment adopted-canary" not in place.names("adopted")
    assert "found in the cluster" in place.run("history", "adopted")
    place.run("rollback", "--yes", "adopted")
    assert place.weights("adopted") == {"main": 90, "canary": 10}
    assert place.run("status", "adopted").startswith("adopted (plain): Available")


@pytest.mark.parametrize("how", ["--server-side", "--server-side=false"])
def test_of_what_kubectl_applied_nothing_is_left_that_a_version_no_longer_has(place: Place, how: str) -> None:
    name = f"fused-{how.count('false')}"
    path = walked(place, name, fused=True)
    profile = str(place.folder / "profile.yaml")
    compiled = place.forks.run(["compile", "-O0", "--format", "json", "--profile", profile, str(path)])[1]
    done = place.kubectl("apply", how, "-n", "plain", "-f", "-", text=compiled)
    assert not done.returncode, done.stderr
    before = place.get(f"deployment/{name}-main")["spec"]["template"]["spec"]
    assert len(before["containers"]) > 2
    words = place.plan(path, code=2)
    if how == "--server-side":
        assert "unit `graphc-engine`" in words
    place.apply(path, "--force-conflicts")
    (wanted,) = [
        each
        for each in yaml.safe_load_all(place.forks.run(["compile", "--profile", profile, str(path)])[1])
        if each["kind"] == "Deployment" and each["metadata"]["name"] == f"{name}-main"
    ]
    after = place.get(f"deployment/{name}-main")["spec"]["template"]["spec"]
    for part in ("containers", "volumes"):
        assert [each["name"] for each in after[part]] == [
            each["name"] for each in wanted["spec"]["template"]["spec"][part]
        ]
    assert place.plan(path).endswith("no change\n")


def test_what_a_controller_makes_of_an_object_of_ours_is_the_controllers(place: Place) -> None:
    """KEDA gives its autoscaler the labels of the ScaledObject that it makes it of."""
    path = place.graph("copied")
    place.apply(path)
    owner = place.get("deployment/copied-main")["metadata"]
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner["name"], "uid": owner["uid"]}
    labels = {"app.kubernetes.io/managed-by": "graphc", "app.kubernetes.io/part-of": "copied"}
    made: Json = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": "keda-hpa-copied-main",
            "namespace": "plain",
            "labels": labels,
            "ownerReferences": [{**reference, "controller": True}],
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"},
            "maxReplicas": 2,
        },
    }
    place.cluster.create(made)
    assert place.plan(path) == "copied (plain): no change\n"
    place.graph("copied", nodes=HEAVY)
    place.apply(path)
    assert place.get("hpa/keda-hpa-copied-main")
    place.run("delete", "--yes", "copied")
    # Its owner is gone, and Kubernetes collects it.
    await_that(lambda: not place.names("copied") and not place.get("hpa")["items"])


def test_delete_leaves_what_others_made_and_nothing_else(place: Place) -> None:
    path = place.graph("gone")
    place.apply(path)
    mine: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "gone-mine", "namespace": "plain"},
    }
    place.cluster.create(mine)
    label = "app.kubernetes.io/managed-by=somebody"
    done = place.kubectl("label", "service", "gone-canary", "-n", "plain", "--overwrite", label)
    assert not done.returncode
    words = place.run("delete", "--yes", "gone")
    assert "Service gone-canary belongs to somebody else now; it stays" in words
    assert place.names("gone") == ["ConfigMap gone-mine", "Service gone-canary"]
    selector = "app.kubernetes.io/part-of=gone"
    await_that(lambda: not place.get("pods,replicasets", "-l", selector)["items"])


# --- Going back ------------------------------------------------------------------------------------------


def test_a_rollback_returns_to_any_kept_revision_with_all_that_it_had(place: Place) -> None:
    path = place.graph("back")
    place.apply(path)
    place.apply(place.graph("back", nodes=HEAVY, predictors={"main": {"traffic": 100, "replicas": 2}}))
    assert "Deployment back-canary" not in place.names("back")
    place.run("rollback", "--yes", "back")
    place.graph("back")
    assert place.plan(path) == "back (plain): no change\n"
    assert "PodDisruptionBudget back-main" not in place.names("back")
    place.run("rollback", "--yes", "back", "2")
    assert place.weights("back") == {"main": 100}
    history = place.run("history", "back")
    assert "4  " in history
    assert "rollback to revision 2" in history


def test_a_deployment_that_somebody_deleted_is_missed_and_made_again(place: Place) -> None:
    path = place.graph("missed")
    place.apply(path)
    assert not place.kubectl("delete", "deployment", "missed-canary", "-n", "plain").returncode
    words = place.run("status", "missed", code=1)
    assert words.startswith("missed (plain): Failed")
    assert "Deployment missed-canary: is not there any more" in words
    assert "+ Deployment missed-canary" in place.plan(path, code=2)
    place.apply(path)
    assert place.run("status", "missed").startswith("missed (plain): Available")


# --- Routes and gateways ---------------------------------------------------------------------------------


def test_routes_that_a_gateway_refuses_are_taken_back(place: Place) -> None:
    path = place.graph("refused")
    place.apply(path)
    place.gateways.refusal = "Service refused-main is not for everyone"
    try:
        place.graph("refused", predictors={"main": {"traffic": 60}, "blue": {"traffic": 40}})
        told = place.apply(path, code=1)
    finally:
        place.gateways.refusal = ""
    assert "HTTPRoute refused: not ResolvedRefs by the gateway: BackendNotFound: Service refused-main" in told
    assert "revision 1 serves again" in told
    assert place.weights("refused") == {"main": 90, "canary": 10}
    assert "Deployment refused-blue" not in place.names("refused")


def test_what_a_gateway_still_leads_to_stays_until_it_has_taken_up_the_routes(place: Place) -> None:
    path = place.graph("asleep")
    place.apply(path)
    place.gateways.is_asleep = True
    try:
        place.graph("asleep", predictors={"main": {"traffic": 100}})
        told = place.apply(path, "--timeout", "4s", code=1)
    finally:
        place.gateways.is_asleep = False
    assert "no gateway has taken up HTTPRoute asleep within 4 s" in told
    assert place.weights("asleep") == {"main": 90, "canary": 10}
    assert place.run("status", "asleep").startswith("asleep (plain): Available")


def test_weights_that_somebody_else_moved_are_noticed(place: Place) -> None:
    path = place.graph("moved")
    place.apply(path)
    route = place.get("httproute/moved")
    for backend, weight in zip(route["spec"]["rules"][0]["backendRefs"], (1, 99), strict=True):
        backend["weight"] = weight
    done = place.kubectl("replace", "-n", "plain", "-f", "-", text=json.dumps(route))
    assert not done.returncode, done.stderr
    assert "somebody else changed it since" in place.run("status", "moved")
    assert "is not as revision 1 left it" in place.run(*PROMOTE, "moved", code=1)
    place.apply(path, "--force-conflicts")
    assert place.weights("moved") == {"main": 90, "canary": 10}
    place.run("rollback", "--yes", "moved", "2")
    assert place.weights("moved") == {"main": 1, "canary": 99}


# --- Replicas --------------------------------------------------------------------------------------------


def replicas(place: Place, name: str) -> int:
    found: int = place.get(f"deployment/{name}")["spec"]["replicas"]
    return found


def test_what_scales_a_deployment_comes_and_goes_without_a_pod_less(place: Place) -> None:
    def version(**own: object) -> Path:
        return place.graph("scaled", resources={"cpu": "100m"}, predictors={"main": {"traffic": 100, **own}})

    path = version(replicas=3)
    place.apply(path)
    assert replicas(place, "scaled-main") == 3
    # An autoscaler that finds nothing to do leaves them as they are, and so does the next change.
    version(autoscaling={"min": 2, "max": 5, "cpu": 80})
    place.apply(path)
    assert replicas(place, "scaled-main") == 3
    assert place.plan(path) == "scaled (plain): no change\n"
    version(autoscaling={"min": 4, "max": 5, "cpu": 80})
    place.apply(path)
    await_that(lambda: replicas(place, "scaled-main") == 4)
    assert place.plan(path) == "scaled (plain): no change\n"
    assert "somebody else" not in place.run("status", "scaled", code=None)
    version(replicas=2)
    words = place.plan(path, code=2)
    assert "conflict" not in words
    assert "- HorizontalPodAutoscaler scaled-main" in words
    assert "~ `main` replicas: 4 → 2" in words
    place.apply(path)
    assert replicas(place, "scaled-main") == 2
    time.sleep(2)
    assert replicas(place, "scaled-main") == 2
    place.run("rollback", "--yes", "scaled")
    await_that(lambda: replicas(place, "scaled-main") == 4)


def test_a_new_version_begins_with_the_least_that_its_autoscaler_allows(place: Place) -> None:
    path = place.graph(
        "least", predictors={"main": {"traffic": 100, "autoscaling": {"min": 3, "max": 4, "cpu": 50}}}
    )
    place.apply(path)
    assert "main: 100 %, 3 of 3 pods ready" in place.run("status", "least")


# --- The order of things ---------------------------------------------------------------------------------


def walked(place: Place, name: str, *, fused: bool = False, **changes: object) -> Path:
    """Write a graph whose engine calls a unit with pods of its own, or one that all fits into one unit."""
    lean = {"model": str(MODELS / "diabetes-route/models/lean.onnx"), "in": {"X": "x"}}
    heavy = {"model": str(MODELS / "diabetes-route/models/heavy.onnx"), "in": {"X": "x"}}
    heavy |= {} if fused else {"replicas": 2}
    nodes = {"lean": lean, "heavy": heavy, "mean": {"component": "mean", "in": ["lean", "heavy"]}}
    return place.graph(name, nodes=nodes, outputs={"y": "mean"}, **changes)


@dataclass
class Watch:
    """Looks at the cluster before each request of a command, and notes what must not be."""

    place: Place
    graph: str
    proxy: list[Proxy] = field(default_factory=list[Proxy])
    faults: list[str] = field(default_factory=list[str])
    seen: list[str] = field(default_factory=list[str])

    def harm(self, number: int, when: When) -> bool:
        method, path = self.proxy[0].seen[number - 1]
        if when == "before" and method in {"PATCH", "DELETE"} and "dryRun" not in path:
            what, name = path.partition("?")[0].split("/")[-2:]
            self.seen.append(f"{method} {what} {name}")
            self._judge(method, what, name)
        return False

    def _judge(self, method: str, what: str, name: str) -> None:
        if method == "PATCH" and what == "httproutes":
            for each in self.place.get("deployments", "-l", f"app.kubernetes.io/part-of={self.graph}")[
                "items"
            ]:
                status = each.get("status", {})
                if status.get("availableReplicas", 0) < each["spec"]["replicas"]:
                    self.faults.append(f"{name} is routed before {each['metadata']['name']} is ready")
        if method == "DELETE" and what in {"deployments", "services"}:
            routed = json.dumps(self.place.get("httproutes")["items"])
            if f'"name": "{name}"' in routed:
                self.faults.append(f"{what} {name} goes while a route leads there")
        if method == "DELETE" and what == "services":
            selector = f"app.kubernetes.io/part-of={self.graph},app.kubernetes.io/component=entry"
            for pod in self.place.get("pods", "-l", selector)["items"]:
                if "deletionTimestamp" in pod["metadata"]:
                    self.faults.append(f"{name} goes before {pod['metadata']['name']} has ended")


def test_nothing_goes_before_what_takes_its_place_and_nothing_that_is_still_called(place: Place) -> None:
    name = "ordered"
    path = walked(place, name)
    place.apply(path)
    assert f"Deployment {name}-canary-heavy" in place.names(name)
    place.node.linger = 3
    watch = Watch(place, name)
    try:
        with harming(place.kubeconfig, place.folder, watch.harm) as proxy:
            watch.proxy.append(proxy)
            walked(place, name, predictors={"main": {"traffic": 30}, "blue": {"traffic": 70}})
            place.apply(path, "--timeout", "60s", config=proxy.kubeconfig)
    finally:
        place.node.linger = 0.2
    assert watch.faults == []
    first = next(index for index, each in enumerate(watch.seen) if each.startswith("DELETE"))
    assert f"PATCH httproutes {name}" in watch.seen[:first]
    gone = [each for each in watch.seen if each.startswith("DELETE") and "configmaps" not in each]
    assert gone == [
        f"DELETE poddisruptionbudgets {name}-canary-heavy",
        f"DELETE deployments {name}-canary",
        f"DELETE deployments {name}-canary-heavy",
        f"DELETE services {name}-canary",
        f"DELETE services {name}-canary-heavy",
    ]


# --- Promotion -------------------------------------------------------------------------------------------

PROMOTE: Final = ("promote", "--yes", "--pause", "0s", "--without-gates")


def test_a_promotion_moves_the_routes_step_by_step_and_starts_no_pod(place: Place) -> None:
    path = place.graph("promoted")
    place.apply(path)
    pods = {each["metadata"]["name"] for each in pods_of(place, "promoted")}
    words = place.run(*PROMOTE, "--steps", "25,50,100", str(path))
    for line in ("`canary` gets 25 %", "`canary` gets 50 %", "`canary` gets 100 %"):
        assert line in words
    assert "-  canary:" in words or "+  canary:" in words or "traffic: 100" in words
    assert place.weights("promoted") == {"main": 0, "canary": 100}
    assert {each["metadata"]["name"] for each in pods_of(place, "promoted")} == pods
    assert "canary: 100 %, 1 of 1 pods ready" in place.run("status", "promoted")
    # The file does not know of it, and must not undo it without a word.
    assert "was promoted since" in place.plan(path, code=2)
    assert "say --keep-traffic or --reset-traffic" in place.apply(path, code=1)
    place.apply(path, "--keep-traffic")
    assert place.weights("promoted") == {"main": 0, "canary": 100}
    quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    place.apply(place.graph("promoted", predictors={"canary": {"traffic": 100, **quick}}))
    assert place.weights("promoted") == {"canary": 100}
    assert "Deployment promoted-main" not in place.names("promoted")
    assert {each["metadata"]["name"] for each in pods_of(place, "promoted")} < pods


def pods_of(place: Place, graph: str) -> list[Json]:
    found: list[Json] = place.get("pods", "-l", f"app.kubernetes.io/part-of={graph}")["items"]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def test_a_shadow_can_be_promoted_and_rolled_back(place: Place) -> None:
    quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
    path = place.graph("dark", predictors={"main": {"traffic": 100}, "dark": {"shadow": True, **quick}})
    place.apply(path)
    assert "dark: shadow, 1 of 1 pods ready" in place.run("status", "dark")
    place.run(*PROMOTE, "--steps", "30", "dark")
    assert place.weights("dark") == {"main": 70, "dark": 30}
    (rule,) = place.get("httproute/dark")["spec"]["rules"]
    assert "RequestMirror" not in json.dumps(rule)
    assert "dark: 30 %, 1 of 1 pods ready" in place.run("status", "dark")
    place.run("rollback", "--yes", "dark", "1")
    assert place.weights("dark") == {"main": 100}
    assert place.plan(path) == "dark (plain): no change\n"
