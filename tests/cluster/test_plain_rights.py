"""The roles in k8s/rbac are enough for graphs without Seldon, and none of their rights can be left out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cluster_callers import QUICK, ROLES, Json, Person, mood_of, rules_of, work_graph
from forked_commands import forking
from stand_in_node import running_gateways, running_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PlainCluster = tuple[Path, Callable[..., Any]]

UNUSED: Final = {"seldondeployments", "grpcroutes", "virtualservices", "destinationrules", "scaledobjects"}
"""What graphs of other targets, ingresses and scalers consist of."""

TELLING: Final = {"events", "pods/log"}
"""What only adds to what is said of pods that do not start."""


CHANGING: Final = rules_of("reader.yaml", "deployer.yaml", "routes.yaml", "workloads.yaml", without=UNUSED)


class Worker(Person):
    """A person with a day's work."""

    def graph(self, *, second: bool = False, image: str = "fine") -> tuple[str, ...]:
        """Write a graph whose second version has no canary, and replicas in the place of an autoscaler."""
        scaled = {"autoscaling": {"min": 2, "max": 3, "cpu": 80}}
        both = {"main": {"traffic": 90, **scaled}, "canary": {"traffic": 10, **QUICK}}
        predictors = {"main": {"traffic": 100, "replicas": 1}} if second else both
        path = self.write(work_graph(predictors, resources={"cpu": "100m"}, runtime={"image": image}))
        return "--profile", str(self.folder / "profile.yaml"), path

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
) -> Iterator[Callable[[], Worker]]:
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

    def make() -> Worker:
        made.append(f"rights-{len(made)}")
        assert not kubectl("create", "namespace", made[-1]).returncode
        return Worker(config, made[-1], folder, forks, kubectl)

    with (
        forking(folder) as forks,
        running_node(str(config), mood_of),
        running_gateways(str(config), ""),
    ):
        yield make


def test_a_deployer_can_do_everything_and_a_reader_can_look(person: Callable[[], Worker]) -> None:
    somebody = person()
    somebody.allow(CHANGING)
    done = list(somebody.work())
    assert [code for _, code, _ in done] == [wanted for wanted, _, _ in done], done
    assert "it ended with 1" in done[4][2]
    assert "revision 1 serves again" in done[4][2]
    assert somebody.run("apply", "--yes", *somebody.graph())[0] == 0
    somebody.allow([*rules_of("reader.yaml", without=UNUSED), *readers_rules()])
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
def test_no_right_can_be_left_out(missing: int, person: Callable[[], Worker]) -> None:
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
