"""Every example runs in real pods where `restricted` is enforced, and answers its cases at its Service."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from control_plane import CRD, await_served
from example_cases import FOLDERS, GRAPHS, assert_same, read_cases
from real_node import Node, await_reached
from stand_in_operator import operating_on_node

GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]
READY_SECONDS: Final = 120

PROFILE: Final = {
    "apiVersion": "graphc/v1",
    "kind": "ClusterProfile",
    "metadata": {"name": "node"},
    "target": "kubernetes",
    "ingress": {"kind": "gateway", "gateway": "infra/public", "path": "/{graph}"},
}
"""Of several versions a gateway shares the requests. None is here: each version is asked at its own Service."""

Json = dict[str, Any]

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]


@pytest.fixture
def namespace(node: Node, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"examples-{abs(hash(request.node.name)) % 10**8}"
    node.make_namespace(name)
    yield name
    node.ask("delete", "deployments", "--all", "-n", name, "--cascade=orphan")
    node.ask("delete", "replicasets", "--all", "-n", name, "--cascade=orphan")
    node.ask("delete", "pods", "--all", "-n", name, "--grace-period=1")
    node.ask("delete", "namespace", name, "--wait=false")


def compile_graph(path: Path, *options: str) -> str:
    done = subprocess.run([*GRAPHC, "compile", *options, path], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return done.stdout


def await_ready(node: Node, namespace: str, count: int = 1) -> float:
    """Return the seconds until all pods of all Deployments are ready."""
    start = time.monotonic()
    while True:
        deployments = node.get("deployments", "-n", namespace)["items"]
        if len(deployments) >= count and all(
            each["status"].get("readyReplicas") == each["spec"]["replicas"] for each in deployments
        ):
            return time.monotonic() - start
        assert time.monotonic() - start < READY_SECONDS, node.ask("describe", "pods", "-n", namespace)
        time.sleep(0.1)


def ask(address: str, graph: str, body: Json) -> Json:
    response = httpx.post(f"http://{address}/v2/models/{graph}/infer", json=body, timeout=30)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def assert_started_once(node: Node, namespace: str) -> int:
    """Return how many containers run; none of them has ended before."""
    pods = node.get("pods", "-n", namespace)["items"]
    containers = [it for each in pods for it in each["status"]["containerStatuses"]]
    assert not any(each["restartCount"] for each in containers)
    return len(containers)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_without_seldon_answers_its_cases(
    folder: Path, level: int, node: Node, namespace: str, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump(PROFILE))
    manifest = compile_graph(folder / "graph.yaml", "--profile", str(profile), f"-O{level}")
    node.ask("apply", "-n", namespace, "--server-side", "-f", "-", text=manifest)
    seconds = await_ready(node, namespace)
    services = {each["metadata"]["name"]: each for each in node.get("services", "-n", namespace)["items"]}
    versions = [each.removeprefix(f"{folder.name}-") for each in services]
    cases = read_cases(folder)
    for case in cases:
        version = case.get("predictor") or ("main" if "main" in versions else versions[0])
        address = f"{services[f'{folder.name}-{version}']['spec']['clusterIP']}:8000"
        await_reached(address)
        assert_same(ask(address, folder.name, case["request"]), case["expected"])
    count = assert_started_once(node, namespace)
    print(f"{folder.name} -O{level}: {count} containers ready after {seconds:.1f} s")


def test_an_engine_calls_units_that_scale_apart_by_their_services(
    node: Node, namespace: str, tmp_path: Path
) -> None:
    folder = GRAPHS / "wine-average"
    graph = yaml.safe_load((folder / "graph.yaml").read_text())
    graph["nodes"]["forest"]["replicas"] = 2
    path = tmp_path / "graph.yaml"
    shutil.copytree(folder / "models", tmp_path / "models")
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    manifest = compile_graph(path, "--target", "kubernetes")
    node.ask("apply", "-n", namespace, "--server-side", "-f", "-", text=manifest)
    seconds = await_ready(node, namespace)
    assert len(node.get("deployments", "-n", namespace)["items"]) == 2
    service = node.get("service", "wine-average-main", "-n", namespace)
    address = f"{service['spec']['clusterIP']}:8000"
    await_reached(address)
    for case in read_cases(folder):
        assert_same(ask(address, folder.name, case["request"]), case["expected"])
    print(f"wine-average, a unit apart: {assert_started_once(node, namespace)} containers, {seconds:.1f} s")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_for_seldon_answers_in_the_pods_that_the_operator_makes(
    folder: Path, node: Node, namespace: str
) -> None:
    """No executor runs: versions of one unit are asked at their pods, as the executor would ask them."""
    if "seldondeployments" not in node.ask("api-resources", "-o", "name"):
        if not CRD.exists():
            pytest.skip(f"Seldon's CRD is not part of this repository, and {CRD.name} is absent")
        node.ask("create", "-f", CRD)
        await_served(node.kubectl, "seldondeployments")
    manifest = compile_graph(folder / "graph.yaml")
    (deployment,) = [each for each in yaml.safe_load_all(manifest) if each["kind"] == "SeldonDeployment"]
    predictors: list[Json] = deployment["spec"]["predictors"]
    assert not any(each["graph"]["children"] for each in predictors)
    with operating_on_node(str(node.kubeconfig), namespace):
        node.ask("apply", "-n", namespace, "--server-side", "-f", "-", text=manifest)
        seconds = await_ready(node, namespace, len(predictors))
        words = ("--for=jsonpath={.status.state}=Available", "--timeout=20s", "-n", namespace)
        node.ask("wait", f"seldondeployment/{folder.name}", *words)
        pods = {
            each["metadata"]["labels"]["version"]: each for each in node.get("pods", "-n", namespace)["items"]
        }
        for case in read_cases(folder):
            pod = pods[case.get("predictor") or predictors[0]["name"]]
            (container,) = pod["spec"]["containers"]
            port = next(each["containerPort"] for each in container["ports"] if each["name"] == "http")
            address = f"{pod['status']['podIP']}:{port}"
            assert_same(ask(address, container["name"], case["request"]), case["expected"])
        count = assert_started_once(node, namespace)
        node.ask("delete", "seldondeployment", folder.name, "-n", namespace)
    print(f"{folder.name} for Seldon: {count} containers ready after {seconds:.1f} s")
