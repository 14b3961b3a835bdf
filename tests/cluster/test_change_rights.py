"""The roles in k8s/rbac are enough for the verbs, and none of their rights can be left out."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml
from cluster_callers import QUICK, ROLES, Json, Kubectl, Person, mood_of, rules_of, work_graph
from forked_commands import Forks, forking
from stand_in_operator import operating

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

READING: Final = rules_of("reader.yaml")
CHANGING: Final = rules_of("reader.yaml", "deployer.yaml")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forking(tmp_path_factory.mktemp("rights")) as found:
        yield found


class Worker(Person):
    """A person with a day's work."""

    def graph(self, traffic: int, image: str = "fine") -> str:
        """Write a graph with so much traffic for its canary."""
        predictors = {"main": {"traffic": 100 - traffic}, "canary": {"traffic": traffic, **QUICK}}
        return self.write(work_graph(predictors, runtime={"image": image}))

    def _complain(self) -> None:
        """Write the event that an operator would."""
        about = {"kind": "SeldonDeployment", "name": "work", "namespace": self.namespace}
        event: Json = {"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "InternalError"}
        event |= {"metadata": {"name": "work.1", "namespace": self.namespace}, "involvedObject": about}
        text = json.dumps(event | {"message": "the operator complains"})
        assert not self.kubectl("apply", "-f", "-", text=text).returncode

    def work(self) -> list[tuple[int, str]]:
        """Do everything once, a failure that is explained and taken back included; return how each ended."""
        done = [self.run("plan", self.graph(10)), self.run("apply", "--yes", self.graph(10))]
        self._complain()
        done += [self.run("status", "work"), self.run("status"), self.run("history", "work")]
        done.append(self.run("apply", "--yes", "--timeout", "2s", self.graph(10, "crash")))
        done.append(self.run("promote", "--yes", "--without-gates", "--pause", "0s", "--steps", "50", "work"))
        done.append(self.run("rollback", "--yes", "work"))
        self.run("apply", "--yes", self.graph(30))
        done.append(self.run("delete", "--yes", "work"))
        return done


EXPECTED: Final = [2, 0, 0, 0, 0, 1, 0, 0, 0]


def test_a_deployer_can_do_everything_and_a_reader_can_look(
    kubectl: Kubectl,
    seldon: object,
    kubeconfig: Path,
    new_namespace: Callable[..., str],
    forks: Forks,
    tmp_path: Path,
) -> None:
    person = Worker(kubeconfig, new_namespace(), tmp_path, forks, kubectl)
    with operating(str(kubeconfig), person.namespace, lambda _, images: mood_of(images)):
        person.allow(CHANGING)
        done = person.work()
        assert [code for code, _ in done] == EXPECTED, done
        crash = done[5][1]
        assert "it ended with 1" in crash
        assert "the operator complains" in crash
        assert "revision 1 serves again" in crash
        assert person.run("apply", "--yes", person.graph(10))[0] == 0
        person.allow(READING)
        assert person.run("status", "work")[0] == 0
        assert person.run("history", "work")[0] == 0
        for verb in (["plan", person.graph(20)], ["delete", "--yes", "work"]):
            code, words = person.run(*verb)
            assert code == 1
            assert "cannot" in words
            assert "k8s/rbac has the roles that graphc needs" in words or "forbidden" in words


@pytest.mark.parametrize(
    "missing", range(len(CHANGING)), ids=[f"{each['verbs'][0]}-{each['resources'][0]}" for each in CHANGING]
)
def test_no_right_can_be_left_out(
    missing: int,
    kubectl: Kubectl,
    seldon: object,
    kubeconfig: Path,
    new_namespace: Callable[..., str],
    forks: Forks,
    tmp_path: Path,
) -> None:
    """Without any one right some verb fails, or says less about what is wrong."""
    person = Worker(kubeconfig, new_namespace(), tmp_path, forks, kubectl)
    rule = CHANGING[missing]
    person.allow([each for each in CHANGING if each != rule])
    with operating(str(kubeconfig), person.namespace, lambda _, images: mood_of(images)):
        done = person.work()
    told = {"pods": "it ended with 1", "events": "the operator complains"}
    resource = rule["resources"][0]
    if resource in told:
        assert told[resource] not in done[5][1]
        assert [code for code, _ in done] == EXPECTED
    elif resource == "pods/log":
        # A container's last words only add to what is said, and nothing runs here that could write any.
        assert [code for code, _ in done] == EXPECTED
    else:
        assert [code for code, _ in done] != EXPECTED, done


def test_kustomize_renders_the_roles_and_the_deployer_gathers_them(kubectl: Kubectl) -> None:
    done = kubectl("kustomize", ROLES)
    assert (done.returncode, done.stderr) == (0, "")
    roles: Mapping[str, Json] = {each["metadata"]["name"]: each for each in yaml.safe_load_all(done.stdout)}
    gathered = ("reader", "changes", "routes", "workloads-reader", "workloads", "scaled-objects")
    assert set(roles) == {f"graphc-{name}" for name in (*gathered, "deployer", "surveyor", "room")}
    assert not kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", text=done.stdout
    ).returncode
    (selector,) = roles["graphc-deployer"]["aggregationRule"]["clusterRoleSelectors"]
    for name in gathered:
        assert selector["matchLabels"].items() <= roles[f"graphc-{name}"]["metadata"]["labels"].items()
