"""Those who call graphc on a cluster in the tests, their rights, and how the pods of an image come out."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from forked_commands import Forks
from stand_in_operator import READY, Mood, crashing, unschedulable, waiting

MODELS: Final = Path(__file__).parents[2] / "graphs"
ROLES: Final = Path(__file__).parents[2] / "k8s" / "rbac"
_GROUP: Final = "rbac.authorization.k8s.io"

Json = dict[str, Any]
Kubectl = Callable[..., Any]

MOODS: Final[Mapping[str, Mood]] = {
    "absent": waiting(
        "ImagePullBackOff", "Back-off pulling image: 401 Unauthorized: Bearer c2VjcmV0LXRva2Vu"
    ),
    "crash": crashing(1),
    "hungry": crashing(137, "OOMKilled"),
    "nogpu": unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
    "silent": Mood(is_ready=False),
}
"""How pods come out, by the name of an image."""


def mood_of(images: Collection[str], more: Mapping[str, Mood] | None = None) -> Mood:
    """Let an image's name decide how its pods come out; `more` adds names to `MOODS`."""
    moods = {**MOODS, **(more or {})}
    return next((moods[name] for name in moods for image in images if image.startswith(f"{name}:")), READY)


def work_graph(predictors: Mapping[str, object], **more: object) -> Json:
    """Return a graph of one model with some predictors."""
    lean = {"model": str(MODELS / "diabetes-route/models/lean.onnx"), "in": {"X": "x"}}
    graph: Json = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "work"}}
    graph |= {"inputs": {"x": "FP32[batch, 10]"}, "nodes": {"lean": lean}, "outputs": {"y": "lean"}}
    return graph | {"predictors": predictors} | more


QUICK: Final[Mapping[str, object]] = {
    "nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}
}
"""What a predictor of that graph changes."""


def rules_of(*files: str, without: Collection[str] = ()) -> list[Json]:
    """Return the rules of role files, each for one group, one resource and one verb, without some resources."""
    rules: list[dict[str, list[str]]] = []
    for file in files:
        for document in yaml.safe_load_all((ROLES / file).read_text()):
            rules += document.get("rules") or []
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if resource not in without
        for verb in rule["verbs"]
    ]


@dataclass
class Caller:
    """Somebody who may do everything in a namespace."""

    kubeconfig: Path
    namespace: str
    folder: Path
    """Where graph files are written."""
    forks: Forks

    def run(self, verb: str, *more: str, config: Path | None = None, code: int | None = 0) -> str:
        """Run a verb that is to end with a code, and return what it says."""
        arguments = [verb, "--kubeconfig", str(config or self.kubeconfig), "-n", self.namespace, *more]
        ended, words = self.forks.run(arguments)
        assert code is None or ended == code, words
        assert "Traceback" not in words
        assert "internal error" not in words
        return words


@dataclass
class Person:
    """Somebody with some rights in a namespace, who has none before they are allowed any."""

    kubeconfig: Path
    namespace: str
    folder: Path
    """Where graph files are written."""
    forks: Forks
    kubectl: Kubectl

    def allow(self, rules: list[Json]) -> None:
        """Give these rights in the place of those before."""
        role: Json = {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "rules": rules}
        role["metadata"] = {"name": "person", "namespace": self.namespace}
        binding: Json = {**role, "kind": "RoleBinding"}
        del binding["rules"]
        binding["roleRef"] = {"apiGroup": _GROUP, "kind": "Role", "name": "person"}
        binding["subjects"] = [{"apiGroup": _GROUP, "kind": "User", "name": f"person-{self.namespace}"}]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
        done = self.kubectl("apply", "-f", "-", text=text)
        assert not done.returncode, done.stderr

    def run(self, verb: str, *more: str) -> tuple[int, str]:
        """Run a verb; return how it ended and what it says."""
        common = ["--kubeconfig", str(self.kubeconfig), "-n", self.namespace]
        code, words = self.forks.run([verb, *common, "--as", f"person-{self.namespace}", *more])
        assert "Traceback" not in words
        return code, words

    def write(self, graph: Json) -> str:
        """Write this person's graph file."""
        path = self.folder / f"{self.namespace}.yaml"
        path.write_text(yaml.safe_dump(graph, sort_keys=False))
        return str(path)
