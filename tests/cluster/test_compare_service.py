"""The service that compares versions: a real API server takes it, in a namespace that enforces `restricted`."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from graphc.compare.trust import ApiServer, Origin, PodsOfGraph
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request

ROOT: Final = Path(__file__).parents[2]
BASE: Final = ROOT / "k8s" / "compare"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def api_server(kubeconfig: Path, tmp_path: Path) -> ApiServer:
    """Return the API server as a pod would find it."""
    config: Json = json.loads(kubeconfig.read_text())
    cluster: dict[str, str] = config["clusters"][0]["cluster"]
    token = tmp_path / "token"
    token.write_text(config["users"][0]["user"]["token"])
    return ApiServer(cluster["server"], token, Path(cluster["certificate-authority"]))


@pytest.fixture
def rendered(kubectl: Kubectl) -> list[Json]:
    done = kubectl("kustomize", BASE)
    assert (done.returncode, done.stderr) == (0, "")
    # Nothing is deleted: a namespace would stay in its ending, as no controller runs here that ends it.
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_the_server_takes_it_and_its_pod(kubectl: Kubectl, rendered: list[Json]) -> None:
    done = kubectl("apply", "--validate=strict", "-k", BASE)
    assert (done.returncode, done.stderr) == (0, "")
    (deployment,) = (each for each in rendered if each["kind"] == "Deployment")
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    asked = ("create", "--dry-run=server", "-n", "graphc-system", "-o", "json", "-f", "-")
    accepted = kubectl(*asked, text=json.dumps(pod))
    assert (accepted.returncode, accepted.stderr) == (0, "")
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith("graphc-compare:")
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    container["securityContext"]["privileged"] = True
    container["securityContext"]["allowPrivilegeEscalation"] = True
    assert "violates PodSecurity" in kubectl(*asked, text=json.dumps(pod)).stderr


def test_it_learns_from_the_server_whose_pod_posts(
    kubectl: Kubectl, new_namespace: Callable[..., str], api_server: ApiServer
) -> None:
    namespace = new_namespace()
    labels = {"seldon-deployment-id": "fraud", "version": "main"}
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "engine", "labels": labels},
        "spec": {
            "nodeName": "somewhere",
            "containers": [{"name": "engine", "image": "example.test/engine:1"}],
        },
    }
    created = kubectl("create", "-n", namespace, "-f", "-", text=json.dumps(pod))
    assert (created.returncode, created.stderr) == (0, "")
    status = json.dumps({"status": {"podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}]}})
    patched = kubectl(
        "patch", "pod", "engine", "-n", namespace, "--subresource=status", "--type=merge", "-p", status
    )
    assert (patched.returncode, patched.stderr) == (0, "")

    async def ask(address: str, origin: Origin) -> bool:
        trust = PodsOfGraph(api_server)
        try:
            return await trust.admits(address, origin)
        finally:
            await trust.close()

    mine = Origin(namespace, "fraud", "main")
    assert asyncio.run(ask("10.9.8.7", mine))
    assert not asyncio.run(ask("10.9.8.6", mine))
    assert not asyncio.run(ask("10.9.8.7", Origin("default", "fraud", "main")))
    assert not asyncio.run(ask("10.9.8.7", Origin(namespace, "fraud", "canary")))


def test_its_address_is_the_one_that_graphs_are_shown(rendered: list[Json]) -> None:
    (service,) = (each for each in rendered if each["kind"] == "Service")
    (port,) = service["spec"]["ports"]
    assert (service["metadata"]["name"], service["metadata"]["namespace"], port["port"]) == (
        "graphc-compare",
        "graphc-system",
        80,
    )


def test_a_graph_with_loggers_is_accepted(
    seldon: Kubectl, new_namespace: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text(
        """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score}
inputs: {left: "FP32[batch, 3]", right: "FP32[batch, 3]"}
nodes:
  both: {component: mean, in: [left, right]}
outputs: {answer: both}
promote_when: {agreement: ">= 0.99"}
compare: {segment: tier, url: "http://graphc-compare.graphc-system"}
predictors:
  main: {traffic: 100}
  ghost: {shadow: true}
"""
    )
    (emission,) = compile_files(Request([str(path)], {}, {})).emissions
    namespace = new_namespace()
    for document in emission.documents:
        asked = ("apply", "--server-side", "--validate=strict", "-n", namespace, "-o", "json", "-f", "-")
        done = seldon(*asked, text=json.dumps(document))
        assert (done.returncode, done.stderr) == (0, "")
        made = json.loads(done.stdout)
        if made["kind"] == "SeldonDeployment":
            assert [each["graph"]["logger"]["mode"] for each in made["spec"]["predictors"]] == ["all", "all"]
