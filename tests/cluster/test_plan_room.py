"""`graphc plan --room` against a real API server and scheduler: what it foresees of a rollout is what happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cluster.client import Access, Cluster, Kind, Ref, connect
from graphc.gpus.pools import Gpus, Pool, Taint
from graphc.gpus.products import PRODUCTS
from graphc.unchecked import Data, objects, text
from made_up_nodes import nodes_of
from operator_pods import pods_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
DEPLOYMENT: Final = Kind("machinelearning.seldon.io/v1", "SeldonDeployment")
PODS: Final = Kind("v1", "Pod")
POOL: Final = Pool(
    "gpus", 2, 8000, 2**34, Gpus(PRODUCTS["L4"], 2), taints=(Taint("nvidia.com/gpu", None, "NoSchedule"),)
)
PROFILE: Final = """\
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: two}
pools:
  - name: gpus
    nodes: 2
    cpu: 8
    memory: 16Gi
    taints: [{key: nvidia.com/gpu, effect: NoSchedule}]
    gpus: {product: L4, count: 2}
"""
Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(seldon_scheduler: Path) -> Iterator[Cluster]:
    """Two nodes with two GPUs each, and a namespace `models`."""
    found = connect(Access(kubeconfig=str(seldon_scheduler)))
    for path, name in (
        ("/api/v1/namespaces", "models"),
        ("/api/v1/namespaces/models/serviceaccounts", "default"),
    ):
        found.request("POST", path, body={"metadata": {"name": name}})
    for node in nodes_of([POOL]):
        found.request("POST", "/api/v1/nodes", body=node)
    yield found
    found.request("DELETE", "/api/v1/nodes")


def write(folder: Path, image: str, replicas: int) -> Path:
    graph = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "score", "namespace": "models"},
        "inputs": {"left": "FP32[batch, 3]", "right": "FP32[batch, 3]"},
        "nodes": {"a": {"component": "mean", "in": ["left", "right"], "resources": {"gpu": 1}}},
        "outputs": {"a": "a"},
        "replicas": replicas,
        "runtime": {"image": image},
    }
    (folder / "two.profile").write_text(PROFILE)
    path = folder / f"{image}-{replicas}.yaml"
    path.write_text(json.dumps(graph))
    return path


class Graphc:
    """Runs graphc against the server."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config, self._folder = config, folder

    def compile(self, image: str, replicas: int) -> Data:
        graph = write(self._folder, image, replicas)
        options = ["--profile", str(self._folder / "two.profile"), "--format", "json"]
        done = CliRunner().invoke(main, ["compile", *options, str(graph)])
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def plan(self, image: str, replicas: int, *more: str) -> Result:
        graph = write(self._folder, image, replicas)
        options = ["--kubeconfig", str(self._config), "--profile", str(self._folder / "two.profile"), *more]
        return CliRunner().invoke(main, ["plan", *options, str(graph)])

    def dangers(self, image: str, replicas: int) -> list[str]:
        """What a plan says of room."""
        done = self.plan(image, replicas, "--room", "--json")
        assert done.exit_code == 2, (done.stderr, done.exception)
        (plan,) = json.loads(done.stdout)
        return [each["message"] for each in plan["dangers"] if each["kind"] == "no-room"]


@pytest.fixture
def graphc(seldon_scheduler: Path, cluster: Cluster, tmp_path: Path) -> Iterator[Graphc]:
    yield Graphc(seldon_scheduler, tmp_path)
    options: Data = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
    cluster.request("DELETE", "/api/v1/namespaces/models/pods", body=options)
    for each in cluster.find(DEPLOYMENT, "models", {}):
        cluster.delete(Ref(DEPLOYMENT, "models", text(each, "metadata", "name")))


def serve(cluster: Cluster, document: Data, pods: int, tag: str) -> int:
    """Create so many of a deployment's pods, marked as the operator does; return how many have a node in the end."""
    (made,) = pods_of(document)
    labels: Data = {"seldon-deployment-id": "score"}
    for index in range(pods):
        metadata: Data = {"name": f"{tag}-{index}", "namespace": "models", "labels": labels}
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made.spec})
    for _ in range(200):
        found = [
            each
            for each in cluster.find(PODS, "models", {})
            if text(each, "metadata", "name").startswith(tag)
        ]
        bound = sum(bool(text(each, "spec", "nodeName")) for each in found)
        refused = sum(
            text(each, "reason") == "Unschedulable"
            for pod in found
            for each in objects(pod, "status", "conditions")
        )
        if bound + refused >= pods:
            return bound
        cluster.sleep(0.05)
    pytest.fail("the scheduler has not looked at all pods")


@pytest.mark.parametrize(("replicas", "fits"), [(3, True), (4, False)])
def test_a_surge_that_finds_no_room_is_foreseen(
    cluster: Cluster, graphc: Graphc, replicas: int, fits: bool
) -> None:
    assert graphc.dangers("one", replicas) == []
    live = graphc.compile("one", replicas)
    cluster.apply(live)
    assert serve(cluster, live, replicas, "old") == replicas
    told = graphc.dangers("two", replicas)
    assert bool(told) is not fits
    if told:
        assert told == [
            "the nodes have not room for the rollout beside what runs there, and it would wait for itself: 5 of "
            "nvidia.com/gpu are needed, and there are 4; ask for a part of a GPU or a smaller slice, run fewer "
            "replicas while it rolls, or add a node"
        ]
    assert serve(cluster, graphc.compile("two", replicas), 1, "new") == fits


def test_what_others_run_counts(cluster: Cluster, graphc: Graphc) -> None:
    container: Data = {"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    spec: Data = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    metadata: Data = {"name": "other", "namespace": "models"}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    while not text(cluster.find(PODS, "models", {})[0], "spec", "nodeName"):
        cluster.sleep(0.05)
    assert graphc.dangers("one", 3) == []
    (told,) = graphc.dangers("one", 4)
    assert "4 of nvidia.com/gpu are needed, and there are 3" in told
    # Without the question nothing is asked of the nodes.
    assert "nodes have not room" not in graphc.plan("one", 4).stdout


def test_it_takes_the_role_beside_a_deployer_s(cluster: Cluster, graphc: Graphc) -> None:
    roles = [each for name in ("reader", "deployer", "surveyor") for each in documents(name)]
    for role in roles:
        if role["metadata"]["name"] in {"graphc-reader", "graphc-changes", "graphc-room"}:
            cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", body=role)
    for name in ("graphc-reader", "graphc-changes"):
        bind(cluster, "namespaces/models/rolebindings", name)
    done = graphc.plan("one", 4, "--room", "--as", "ann")
    assert done.exit_code == 1
    assert 'cannot list resource "nodes"' in done.stderr
    assert "k8s/rbac has the roles that graphc needs" in done.stderr
    assert graphc.plan("one", 4, "--as", "ann").exit_code == 2
    bind(cluster, "clusterrolebindings", "graphc-room")
    done = graphc.plan("one", 4, "--room", "--as", "ann")
    assert done.exit_code == 2, done.stderr


def documents(name: str) -> list[Json]:
    return list(yaml.safe_load_all((ROOT / "k8s" / "rbac" / f"{name}.yaml").read_text()))


def bind(cluster: Cluster, path: str, name: str) -> None:
    group = "rbac.authorization.k8s.io"
    body: Data = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "ann"}],
    }
    cluster.request("POST", f"/apis/{group}/v1/{path}", body=body)


# --- Several graphs, and what DaemonSets take ------------------------------------------------------------


def test_graphs_of_one_command_are_judged_together(
    cluster: Cluster, graphc: Graphc, seldon_scheduler: Path, tmp_path: Path
) -> None:
    first = write(tmp_path, "one", 3)
    second = tmp_path / "second.yaml"
    second.write_text(first.read_text().replace('"name": "score"', '"name": "other"'))
    options = ["--kubeconfig", str(seldon_scheduler), "--profile", str(tmp_path / "two.profile")]

    def dangers(*paths: Path) -> list[str]:
        done = CliRunner().invoke(main, ["plan", *options, "--room", "--json", *map(str, paths)])
        assert done.exit_code == 2, (done.stderr, done.exception)
        plans: list[Json] = json.loads(done.stdout)
        return [plan["graph"] for plan in plans for each in plan["dangers"] if each["kind"] == "no-room"]

    assert dangers(first) == dangers(second) == []
    assert dangers(first, second) == ["other"]
    # The scheduler has places for all pods of the first, and for one of the second.
    live = graphc.compile("one", 3)
    assert serve(cluster, live, 3, "score") == 3
    assert serve(cluster, live, 3, "other") == 1


def test_a_profile_has_what_daemons_leave(cluster: Cluster, graphc: Graphc, seldon_scheduler: Path) -> None:
    labels = {"app": "agent"}
    spec = asking("500m", "1Gi")
    daemons: Json = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": spec},
    }
    cluster.request("POST", "/apis/apps/v1/namespaces/models/daemonsets", body=named("agent", spec=daemons))
    # No controller is here to make the pods: one for each node, as it would.
    names = [text(each, "metadata", "name") for each in cluster.find(Kind("v1", "Node"), "", {})]
    for name in names:
        only: Json = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
        required: Json = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [only]}}
        assert schedule(cluster, f"agent-{name}", spec | {"affinity": {"nodeAffinity": required}})
    done = CliRunner().invoke(main, ["profile", "--kubeconfig", str(seldon_scheduler), "-n", "models"])
    assert done.exit_code == 0, (done.stderr, done.exception)
    (pool,) = yaml.safe_load(done.stdout)["pools"]
    assert (pool["nodes"], pool["cpu"], pool["memory"], pool["pods"]) == (2, "7500m", f"{15 * 2**20}Ki", 109)
    # A pod that takes all that a node of the pool has fits, and none with more.
    assert not schedule(cluster, "greedy", asking("7501m", "1Gi"))
    for index in range(2):
        assert schedule(cluster, f"whole-{index}", asking(pool["cpu"], pool["memory"]))
    cluster.request("DELETE", "/apis/apps/v1/namespaces/models/daemonsets")


def named(name: str, **fields: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "models"}, **fields}


def asking(cpu: str, memory: str) -> Json:
    requests = {"cpu": cpu, "memory": memory}
    container = {"name": "c", "image": "x", "resources": {"requests": requests}}
    return {"containers": [container], "tolerations": [{"operator": "Exists"}]}


def schedule(cluster: Cluster, name: str, spec: Json) -> bool:
    """Create a pod, and say whether the scheduler found a node for it."""
    path = "/api/v1/namespaces/models/pods"
    cluster.request("POST", path, body=named(name, spec=spec))
    for _ in range(200):
        pod = cluster.request("GET", f"{path}/{name}")
        if text(pod, "spec", "nodeName"):
            return True
        if any(text(each, "reason") == "Unschedulable" for each in objects(pod, "status", "conditions")):
            return False
        cluster.sleep(0.05)
    pytest.fail("the scheduler has not looked at the pod")
