"""Changes of a graph in real pods: what cannot start is told and taken back, and clients lose no request."""

import re
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml
from example_cases import GRAPHS
from real_node import Node, await_reached
from steady_load import Load, loading, single_rows

GRAPHC: Final = [sys.executable, "-c", "from graphc.cli import start; start()"]
EXAMPLE: Final = GRAPHS / "diabetes-route"
LEAN: Final = {"model": str(EXAMPLE / "models/lean.onnx"), "in": {"X": "x"}}
HEAVY: Final = {"lean": {"model": str(EXAMPLE / "models/heavy.onnx"), "in": {"X": "x"}}}
BROKEN: Final = "raise RuntimeError('no table of rates')\n\n\ndef go(x):\n    return x\n"

Json = dict[str, Any]

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Place:
    """A namespace, and a folder for the files of graphs."""

    node: Node
    namespace: str
    folder: Path

    def run(self, verb: str, *more: str | Path, code: int = 0) -> str:
        at = ["--kubeconfig", self.node.kubeconfig, "-n", self.namespace]
        done = subprocess.run(
            [*GRAPHC, verb, *at, *more], capture_output=True, text=True, timeout=300, cwd=self.folder
        )
        words = done.stdout + done.stderr
        assert done.returncode == code, words
        assert "Traceback" not in words
        return words

    def apply(self, name: str, seconds: int = 120, code: int = 0, **changes: object) -> str:
        graph: Json = {
            "apiVersion": "graphc/v1",
            "kind": "InferenceGraph",
            "metadata": {"name": name},
            "inputs": {"x": "FP32[batch, 10]"},
            "nodes": {"lean": LEAN},
            "outputs": {"y": "lean"},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(graph | changes, sort_keys=False))
        return self.run(
            "apply", "--target", "kubernetes", "--yes", "--timeout", f"{seconds}s", path, code=code
        )

    def address(self, name: str) -> str:
        service = self.node.get("service", f"{name}-main", "-n", self.namespace)
        return f"http://{service['spec']['clusterIP']}:8000/v2/models/{name}/infer"

    def pods(self, name: str) -> list[Json]:
        found = self.node.get("pods", "-n", self.namespace, "-l", f"app.kubernetes.io/part-of={name}")
        pods: list[Json] = found["items"]
        return pods


@pytest.fixture(scope="module")
def place(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Place:
    node.make_namespace("changes")
    folder = tmp_path_factory.mktemp("changes")
    (folder / "broken.py").write_text(BROKEN)
    return Place(node, "changes", folder)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("absent", {"runtime": {"image": "127.0.0.1:9/absent"}}, r"cannot be pulled: .*127\.0\.0\.1:9"),
        (
            "crash",
            {"nodes": {"lean": {"python": "broken:go", "in": {"x": "x"}, "out": "FP32[batch, 10]"}}},
            r"(?s)ended with 1 .*no table of rates",
        ),
        (
            "hungry",
            {"nodes": {"lean": LEAN | {"resources": {"memory": "24Mi"}}}},
            "needed more memory than it may have",
        ),
        ("huge", {"nodes": {"lean": LEAN | {"resources": {"cpu": 64}}}}, "Insufficient cpu"),
    ],
)
def test_a_version_that_cannot_start_is_told_and_taken_back(
    name: str, changes: Json, words: str, place: Place
) -> None:
    place.apply(name)
    (before,) = place.pods(name)
    told = place.apply(name, 40, code=1, **changes)
    print(told)
    assert re.search(words, told), told
    assert "revision 1 serves again" in told
    with _load(place, name) as load:
        load.await_answers(20)
    assert not load.failures
    now = [each["metadata"]["uid"] for each in place.pods(name) if _lasts(each)]
    assert now == [before["metadata"]["uid"]]
    place.run("delete", "--yes", name)


def _lasts(pod: Json) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


@contextmanager
def _load(place: Place, name: str, *, keeps: bool = True) -> Generator[Load]:
    address = place.address(name)
    # Ready is a pod before the rules of its new Service are there.
    await_reached(urlsplit(address).netloc)
    with loading(address, single_rows(EXAMPLE), frozenset({"y"}), keeps=keeps) as load:
        yield load


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "fresh"])
def test_no_request_is_lost_while_a_model_changes(keeps: bool, replicas: int, place: Place) -> None:
    name = f"rolling-{replicas}-{'kept' if keeps else 'fresh'}"
    predictors = {"main": {"traffic": 100, "replicas": replicas}}
    place.apply(name, predictors=predictors)
    with _load(place, name, keeps=keeps) as load:
        load.await_answers(50)
        place.apply(name, predictors=predictors, nodes=HEAVY)
        _await_gone(place, name, replicas)
        load.await_answers(50)
    print(f"{name}: {load.answered} answered, {len(load.failures)} failed", load.failures[:3])
    assert not load.failures
    place.run("delete", "--yes", name)


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "fresh"])
def test_no_request_is_lost_when_a_pod_is_deleted(keeps: bool, place: Place) -> None:
    name = f"deleted-{'kept' if keeps else 'fresh'}"
    place.apply(name, predictors={"main": {"traffic": 100, "replicas": 2}})
    with _load(place, name, keeps=keeps) as load:
        load.await_answers(50)
        for pod in place.pods(name):
            place.node.ask("delete", "pod", pod["metadata"]["name"], "-n", place.namespace)
            _await_gone(place, name, 2)
        load.await_answers(50)
    print(f"{name}: {load.answered} answered, {len(load.failures)} failed", load.failures[:3])
    assert not load.failures
    place.run("delete", "--yes", name)


def _await_gone(place: Place, name: str, count: int) -> None:
    """Return once only the pods that are to stay are there, all ready."""
    for _ in range(600):
        pods = place.pods(name)
        states = [each["status"].get("containerStatuses", []) for each in pods]
        if len(pods) == count and all(it["ready"] for state in states for it in state):
            return
        time.sleep(0.2)
    pytest.fail("pods that were deleted are still there")
