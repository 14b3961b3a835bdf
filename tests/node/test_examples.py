"""Every example runs in real pods where `restricted` is enforced, and answers its cases at its Service."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from example_cases import FOLDERS, assert_same, read_cases
from real_node import Node

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


def await_ready(node: Node, namespace: str) -> float:
    """Return the seconds until all pods of all Deployments are ready."""
    start = time.monotonic()
    while True:
        deployments = node.get("deployments", "-n", namespace)["items"]
        if deployments and all(
            each["status"].get("readyReplicas") == each["spec"]["replicas"] for each in deployments
        ):
            return time.monotonic() - start
        assert time.monotonic() - start < READY_SECONDS, node.ask("describe", "pods", "-n", namespace)
        time.sleep(0.1)


def await_reached(address: str) -> None:
    """Return once the rules of Services lead to a pod, which was ready before."""
    host, port = address.split(":")
    for _ in range(100):
        with socket.socket() as each:
            if each.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens at {address}")


def ask(address: str, graph: str, body: Json) -> Json:
    response = httpx.post(f"http://{address}/v2/models/{graph}/infer", json=body, timeout=30)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


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
    pods = node.get("pods", "-n", namespace)["items"]
    containers = [it for each in pods for it in each["status"]["containerStatuses"]]
    assert not any(each["restartCount"] for each in containers)
    print(f"{folder.name} -O{level}: {len(containers)} containers ready after {seconds:.1f} s")
