"""The roles in k8s/rbac are enough for graphs without Seldon, and none of their rights can be left out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from forked_commands import Forks, forking
from stand_in_node import running_gateways, running_node
from stand_in_operator import READY, Mood, crashing

ROOT: Final = Path(__file__).parents[2]
MODELS: Final = ROOT / "graphs"
ROLES: Final = ROOT / "k8s" / "rbac"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Json = dict[str, Any]
PlainCluster = tuple[Path, Callable[..., Any]]

UNUSED: Final = {"seldondeployments", "grpcroutes", "virtualservices", "destinationrules", "scaledobjects"}
"""What graphs of other targets, ingresses and scalers consist of."""

TELLING: Final = {"events", "pods/log"}
"""What only adds to what is said of pods that do not start."""


def rules_of(*files: str) -> list[Json]:
    """Return the rules of role files, each for one group, one resource and one verb, but for what is not used."""
    rules: list[dict[str, list[str]]] = []
    for file in files:
        for document in yaml.safe_load_all((ROLES / file).read_text()):
            rules += document.get("rules") or []
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if resource not in UNUSED
    ]


CHANGING: Final = rules_of("reader.yaml", "deployer.yaml", "routes.yaml", "workloads.yaml")


def mood_of(images: tuple[str, ...]) -> Mood:
    return crashing(1) if any(image.startswith("crash:") for image in images) else READY


@dataclass
class Person:
    """Somebody with some rights in a namespace, and a day's work with graphc."""

    kubeconfig: Path
    kubectl: Callable[..., Any]
    forks: Forks
    folder: Path
    namespace: str

    def allow(self, rules: list[Json]) -> None:
        group = "rbac.authorization.k8s.io"
        role: Json = {"apiVersion": f"{group}/v1", "kind": "Role", "rules": rules}
        role["metadata"] = {"name": "person", "namespace": self.namespace}
        binding: Json = {**role, "kind": "RoleBinding"}
        del binding["rules"]
        binding["roleRef"] = {"apiGroup": group, "kind": "Role", "name": "person"}
        binding["subjects"] = [{"apiGroup": group, "kind": "User", "name": f"person-{self.namespace}"}]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
        done = self.kubectl("apply", "-f", "-", text=text)
        assert not done.returncode, done.stderr

    def run(self, verb: str, *more: str) -> tuple[int, str]:
        common = ["--kubeconfig", str(self.kubeconfig), "-n", self.namespace]
        code, words = self.forks.run([verb, *common, "--as", f"person-{self.namespace}", *more])
        assert "Traceback" not in words
        return code, words

    def graph(self, *, second: bool = False, image: str = "fine") -> tuple[str, ...]:
        """Write a graph whose second version has no canary, and replicas in the place of an autoscaler."""
        quick = {"nodes": {"lean": {"model": str(MODELS / "diabetes-tier/models/quick.onnx")}}}
        scaled = {"autoscaling": {"min": 2, "max": 3, "cpu": 80}}
        graph = {
            "apiVersion": "graphc/v1",
            "kind": "InferenceGraph",
            "metadata": {"name": "work"},
            "inputs": {"x": "FP32[batch, 10]"},
            "nodes": {"lean": {"model": str(MODELS / "diabetes-route/models/lean.onnx"), "in": {"X": "x"}}},
            "outputs": {"y": "lean"},
            "resources": {"cpu": "100m"},
            "predictors": {"main": {"traffic": 90, **scaled}, "canary": {"traffic": 10, **quick}},
            "runtime": {"image": image},
        }
        if second:
            graph["predictors"] = {"main": {"traffic": 100, "replicas": 1}}
        path = self.folder / f"{self.namespace}.yaml"
        path.write_text(yaml.safe_dump(graph, sort_keys=False))
        return "--profile", str(self.folder / "profile.yaml"), str(path)

    def work(self) -> Iterator[tuple[int, int, str]]:
        """Do everything once, a failure that is told and taken back included; yield how each should and did end."""
        yield 2, *self.run("plan", *self.graph())
        yield 0, *self.run("apply", "--yes", *self.graph())
        yield 0, *self.run("status", "work")
        yield 0, *self.run("status")
        yield 1, *self.run("apply", "--yes", "--timeout", "2s", *self.graph(image="crash"))
        yield 0, *self.run("promote", "--yes", "--without-gates", "--pause", "0s", "--steps", "50", "work")
        yield 0, *self.run("rollback", "--yes", "work")
        yield 0, *self.run("apply", "--yes", *self.graph(second=True))
        yield 0, *self.run("delete", "--yes", "work")


@pytest.fixture(scope="module")
def person(
    plain_cluster: PlainCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Person]]:
    """Return what makes a person with a namespace of their own."""
    config, kubectl = plain_cluster
    folder = tmp_path_factory.mktemp("rights")
    profile = {
        "apiVersion": "graphc/v1",
        "kind": "ClusterProfile",
        "metadata": {"name": "plain"},
        "target": "kubernetes",
        "ingress": {"kind": "gateway", "gateway": "infra/public", "path": "/{graph}"},
    }
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    made: list[str] = []

    def make() -> Person:
        made.append(f"rights-{len(made)}")
        assert not kubectl("create", "namespace", made[-1]).returncode
        return Person(config, kubectl, forks, folder, made[-1])

    with (
        forking(folder) as forks,
        running_node(str(config), mood_of),
        running_gateways(str(config), ""),
    ):
        yield make


def test_a_deployer_can_do_everything_and_a_reader_can_look(person: Callable[[], Person]) -> None:
    somebody = person()
    somebody.allow(CHANGING)
    done = list(somebody.work())
    assert [code for _, code, _ in done] == [wanted for wanted, _, _ in done], done
    assert "it ended with 1" in done[4][2]
    assert "revision 1 serves again" in done[4][2]
    assert somebody.run("apply", "--yes", *somebody.graph())[0] == 0
    somebody.allow([*rules_of("reader.yaml"), *readers_rules()])
    assert somebody.run("status", "work")[0] == 0
    assert somebody.run("history", "work")[0] == 0
    code, words = somebody.run("plan", *somebody.graph(second=True))
    assert code == 1
    assert "k8s/rbac has the roles that graphc needs" in words or "forbidden" in words


def readers_rules() -> list[Json]:
    documents = yaml.safe_load_all((ROLES / "workloads.yaml").read_text())
    (role,) = [each for each in documents if each["metadata"]["name"] == "graphc-workloads-reader"]
    rules: list[Json] = role["rules"]
    return rules


@pytest.mark.parametrize(
    "missing", range(len(CHANGING)), ids=[f"{each['verbs'][0]}-{each['resources'][0]}" for each in CHANGING]
)
def test_no_right_can_be_left_out(missing: int, person: Callable[[], Person]) -> None:
    """Without any one right some verb fails, or says less about what is wrong."""
    somebody, rule = person(), CHANGING[missing]
    somebody.allow([each for each in CHANGING if each != rule])
    if rule["resources"][0] in TELLING:
        done = list(somebody.work())
        assert [code for _, code, _ in done] == [wanted for wanted, _, _ in done], done
        return
    for wanted, code, words in somebody.work():
        if code != wanted or (
            rule["resources"] == ["pods"] and wanted == 1 and "it ended with 1" not in words
        ):
            return
    pytest.fail(f"nothing needs {rule}")
