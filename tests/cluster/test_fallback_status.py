"""`graphc status` asks the real API server for logs, which a stand-in for a node's kubelet gives."""

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml
from forked_commands import forking
from graphc.cluster.client import Access, Cluster, connect
from graphc.cluster.problem import RefusedError
from stand_in_operator import Mood, operating
from tls_server import Answering, serving_tls

MODELS: Final = Path(__file__).parents[2] / "graphs"
SAID: Final = """2026-01-01 [mlserver.graphc] WARNING - node `score` runs its model for the CPU, `score/cpu/quick.onnx`
2026-01-01 [mlserver.graphc] WARNING - no GPU, so models run on the CPU: the container has no NVIDIA device
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Json = dict[str, Any]
RUNNING: Final[Json] = {
    "phase": "Running",
    "containerStatuses": [
        {
            "name": "",
            "image": "x",
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T10:00:00Z"}},
        }
    ],
}


@contextmanager
def kubelet(kubeconfig: Path, asked: list[str]) -> Generator[int]:
    """Serve the logs of containers as a kubelet does, with the API server's own certificate; return the port."""

    class Handler(Answering):
        def do_GET(self) -> None:  # noqa: N802 (the server's name)
            asked.append(self.path)
            self.answer("text/plain", SAID.encode())

    with serving_tls(kubeconfig, Handler) as port:
        yield port


def write_graph(folder: Path) -> Path:
    node: Json = {
        "model": str(MODELS / "diabetes-route/models/lean.onnx"),
        "cpu_model": str(MODELS / "diabetes-tier/models/quick.onnx"),
        "in": {"X": "x"},
        "resources": {"gpu": {"amount": 1, "device": "prefer-gpu"}},
    }
    graph: Json = {
        "apiVersion": "graphc/v1",
        "kind": "InferenceGraph",
        "metadata": {"name": "preferring"},
        "inputs": {"x": "FP32[batch, 10]"},
        "nodes": {"score": node},
        "outputs": {"y": "score"},
    }
    path = folder / "preferring.yaml"
    path.write_text(yaml.safe_dump(graph, sort_keys=False))
    return path


def put_on_node(cluster: Cluster, port: int) -> None:
    """Make a node of the stand-in, and bind the graph's pods to it as a scheduler would."""
    node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpus"}}
    cluster.request("POST", "/api/v1/nodes", {}, node)
    status: Json = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    content = "application/merge-patch+json"
    cluster.request("PATCH", "/api/v1/nodes/gpus/status", {}, {"status": status}, content)
    pods = f"/api/v1/namespaces/{cluster.namespace}/pods"
    for _ in range(100):
        names = [each["metadata"]["name"] for each in json_items(cluster, pods)]
        if names:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the stand-in for the operator made no pod")
    for name in names:
        target: Json = {"apiVersion": "v1", "kind": "Node", "name": "gpus"}
        binding: Json = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        cluster.request("POST", f"{pods}/{name}/binding", {}, binding)


def json_items(cluster: Cluster, path: str) -> list[Json]:
    found: Json = cluster.request("GET", path)
    items: list[Json] = found["items"]
    return items


def test_units_that_went_without_their_gpu_are_told_of(
    kubeconfig: Path, seldon: object, new_namespace: Callable[..., str], tmp_path: Path
) -> None:
    namespace, asked = new_namespace(), list[str]()
    cluster = connect(Access(kubeconfig=str(kubeconfig), namespace=namespace, retry_seconds=0))
    mood = Mood(pod_status=RUNNING)
    options = ["--kubeconfig", str(kubeconfig), "-n", namespace]
    with (
        forking(tmp_path) as forks,
        operating(str(kubeconfig), namespace, lambda _name, _images: mood),
        kubelet(kubeconfig, asked) as port,
    ):
        code, words = forks.run(["apply", *options, "--yes", "--timeout", "20s", str(write_graph(tmp_path))])
        assert code == 0, words
        code, words = forks.run(["status", *options, "preferring"])
        assert code == 0, words
        assert "prefers a GPU" not in words  # the server has no words of a pod that is on no node
        put_on_node(cluster, port)
        code, words = forks.run(["status", *options, "preferring"])
        assert code == 0, words
        reason = "the container has no NVIDIA device"
        assert f"`preferring` of `main` prefers a GPU and runs on the CPU in 1 of 1 pods: {reason}" in words
        assert "score: score/cpu/quick.onnx" in words
        code, words = forks.run(["status", *options, "--json", "preferring"])
        (fallback,) = json.loads(words)[0]["fallbacks"]
        assert (fallback["on_cpu"], fallback["reason"]) == (1, reason)
    paths = {urlsplit(path).path.rsplit("/", 1)[0] for path in asked}
    assert paths == {f"/containerLogs/{namespace}/preferring-main-0-preferring-x"}
    assert asked
    with pytest.raises(RefusedError):
        cluster.read_first_words(namespace, "absent", "preferring")
