"""Pods of what graphc emits run where PodSecurity `restricted` is enforced; the executor's with a policy."""

import copy
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.lower.options import Options

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
GRAPHS: Final = sorted([*HERE.glob("graphs/*.yaml"), *ROOT.glob("graphs/*/graph.yaml")])
PLAIN: Final = [each for each in GRAPHS if each.stem == "graph" and "predictors:" not in each.read_text()]
"""The examples of one version, which need no gateway."""
POLICY: Final = ROOT / "k8s" / "executor-security"
OPERATOR: Final = ROOT.parent / "shared" / "seldon" / "operator.json"
EXECUTOR: Final = "seldon-container-engine"
VIOLATION: Final = 'violates PodSecurity "restricted:latest"'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
NewNamespace = Callable[..., str]


def pods_of(path: Path, level: int, target: str = "seldon") -> list[Json]:
    done = compile_files(Request([str(path)], {}, {}, Options(level), target=target))
    documents: list[Json] = [dict(each) for emission in done.emissions for each in emission.documents]
    deployments = [each for each in documents if each["kind"] == "SeldonDeployment"]
    predictors = [each for deployment in deployments for each in deployment["spec"]["predictors"]]
    specs = [pod["spec"] for predictor in predictors for pod in predictor["componentSpecs"]]
    specs += [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
        for number, spec in enumerate(specs)
    ]


@pytest.fixture(scope="module")
def restricted(new_namespace: NewNamespace, kubectl: Kubectl) -> str:
    namespace = new_namespace(level="restricted")
    # Named by graphs/everything.yaml; a pod whose account does not exist is refused for that.
    assert not kubectl("create", "serviceaccount", "reader", "-n", namespace).returncode
    return namespace


def try_pod(kubectl: Kubectl, pod: Json, namespace: str) -> subprocess.CompletedProcess[str]:
    return kubectl(
        "create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-", text=json.dumps(pod)
    )


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_pod_is_accepted_and_a_privileged_one_is_not(
    path: Path, level: int, kubectl: Kubectl, restricted: str
) -> None:
    pods = pods_of(path, level)
    assert pods
    for pod in pods:
        done = try_pod(kubectl, pod, restricted)
        # The operator looks for ports of these names in every unit's container, and writes them where they lack.
        warnings = [line for line in done.stderr.splitlines() if "duplicate port name" not in line]
        assert (done.returncode, warnings) == (0, [])
        privileged = copy.deepcopy(pod)
        privileged["spec"]["containers"][0]["securityContext"] |= {
            "privileged": True,
            "allowPrivilegeEscalation": True,
        }
        refused = try_pod(kubectl, privileged, restricted)
        assert refused.returncode
        assert VIOLATION in refused.stderr


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.parent.name)
def test_every_pod_without_seldon_is_accepted(
    path: Path, level: int, kubectl: Kubectl, restricted: str
) -> None:
    """Its engine's container too; ports have names of their own."""
    pods = pods_of(path, level, "kubernetes")
    assert pods
    for pod in pods:
        done = try_pod(kubectl, pod, restricted)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def policy(kubectl: Kubectl) -> Iterator[Callable[[], None]]:
    """Return what applies the policy; it is deleted afterwards."""

    def apply() -> None:
        done = kubectl("apply", "--validate=strict", "-k", POLICY)
        assert (done.returncode, done.stderr) == (0, "")

    yield apply
    kubectl("delete", "--ignore-not-found", "-k", POLICY)


@pytest.fixture(scope="module")
def engine_pod() -> Json:
    """A pod of ours as the operator completes it: with the executor's container, volume and labels."""
    if not OPERATOR.exists():
        pytest.skip(
            f"the operator's recordings are not part of this repository, and {OPERATOR.name} is absent"
        )
    templates = [
        deployment["spec"]["template"]
        for case in json.loads(OPERATOR.read_text())["cases"]
        for deployment in case["deployments"]
    ]
    template = next(each for each in templates if executor_of(each) and len(each["spec"]["containers"]) == 2)
    (pod,) = pods_of(ROOT / "graphs" / "cancer-vote" / "graph.yaml", 0)
    pod = copy.deepcopy(pod)
    pod["metadata"]["labels"] = template["metadata"]["labels"]
    pod["spec"]["containers"].append(executor_of(template))
    pod["spec"].setdefault("volumes", []).extend(template["spec"]["volumes"])
    pod["spec"]["securityContext"] = template["spec"]["securityContext"]
    return pod


def executor_of(pod: Json) -> Json | None:
    return next((each for each in pod["spec"]["containers"] if each["name"] == EXECUTOR), None)


def await_accepted(kubectl: Kubectl, pod: Json, namespace: str) -> Json:
    """Return the pod that the server makes of it, once the policy has reached its admission."""
    done = try_pod(kubectl, pod, namespace)
    for _ in range(60):
        if not done.returncode:
            break
        time.sleep(0.5)
        done = try_pod(kubectl, pod, namespace)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_the_policy_makes_the_executor_comply_and_nothing_else(
    kubectl: Kubectl,
    restricted: str,
    new_namespace: NewNamespace,
    engine_pod: Json,
    policy: Callable[[], None],
) -> None:
    refused = try_pod(kubectl, engine_pod, restricted)
    assert VIOLATION in refused.stderr
    assert EXECUTOR in refused.stderr
    ours = [each["name"] for each in engine_pod["spec"]["containers"] if each["name"] != EXECUTOR]
    assert ours
    assert not [name for name in ours if f'"{name}"' in refused.stderr]

    policy()
    made = await_accepted(kubectl, engine_pod, restricted)
    executor = executor_of(made)
    assert executor is not None
    assert executor["securityContext"] == {
        "runAsUser": 8888,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    before = {each["name"]: each["securityContext"] for each in engine_pod["spec"]["containers"]}
    after = {each["name"]: each["securityContext"] for each in made["spec"]["containers"]}
    assert {name: after[name] for name in ours} == {name: before[name] for name in ours}

    bare = copy.deepcopy(engine_pod)
    del next(each for each in bare["spec"]["containers"] if each["name"] == EXECUTOR)["securityContext"]
    assert try_pod(kubectl, bare, restricted).returncode == 0

    loose = copy.deepcopy(engine_pod)
    del next(each for each in loose["spec"]["containers"] if each["name"] != EXECUTOR)["securityContext"]
    assert VIOLATION in try_pod(kubectl, loose, restricted).stderr

    foreign = copy.deepcopy(engine_pod)
    del foreign["metadata"]["labels"]
    untouched = executor_of(json.loads(try_pod(kubectl, foreign, new_namespace()).stdout))
    assert untouched is not None
    assert "capabilities" not in untouched["securityContext"]


def test_kustomize_renders_the_policy(kubectl: Kubectl) -> None:
    done = kubectl("kustomize", POLICY)
    assert (done.returncode, done.stderr) == (0, "")
    kinds = [line for line in done.stdout.splitlines() if line.startswith("kind: ")]
    assert kinds == ["kind: MutatingAdmissionPolicy", "kind: MutatingAdmissionPolicyBinding"]
