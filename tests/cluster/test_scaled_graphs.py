"""The API server takes the autoscalers that come of what graphc writes, and what they need of a cluster."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
AUTOSCALING: Final = ROOT / "k8s" / "autoscaling"
GOLDENS: Final = ROOT / "tests" / "golden" / "test_autoscaling"

MANAGER: Final = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "seldon-controller-manager", "namespace": "seldon-system"},
    "spec": {
        "selector": {"matchLabels": {"app": "seldon"}},
        "template": {
            "metadata": {"labels": {"app": "seldon"}},
            "spec": {
                "containers": [
                    {
                        "name": "manager",
                        "image": "example.test/operator:1",
                        "env": [
                            {"name": "KEDA_ENABLED", "value": "false"},
                            {"name": "ISTIO_ENABLED", "value": "true"},
                        ],
                    }
                ]
            },
        },
    },
}
"""Seldon's operator as its chart installs it, with the one setting that matters here."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
HOW: Final = ("apply", "--server-side", "--validate=strict", "-f", "-")


def built(kustomize: Path, folder: Path) -> str:
    done = subprocess.run([kustomize, "build", folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(kubectl: Kubectl, text: str, *arguments: str) -> None:
    done = kubectl(*HOW, *arguments, text=text)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def specs(golden: str, field: str) -> list[Json]:
    """The fields of that name of a manifest's pods."""
    documents = yaml.safe_load_all((GOLDENS / golden).read_text())
    (deployment,) = (each for each in documents if each["kind"] == "SeldonDeployment")
    pods = [pod for each in deployment["spec"]["predictors"] for pod in each["componentSpecs"]]
    return [pod[field] for pod in pods if field in pod]


def metric_of(old: Json) -> Json:
    """A metric as Seldon's operator turns it into one of autoscaling/v2."""
    if old["type"] == "Resource":
        use = old["resource"]["targetAverageUtilization"]
        target: Json = {"type": "Utilization", "averageUtilization": use}
        return {"type": "Resource", "resource": {"name": old["resource"]["name"], "target": target}}
    target = {"type": "AverageValue", "averageValue": old["pods"]["targetAverageValue"]}
    return {"type": "Pods", "pods": {"metric": {"name": old["pods"]["metricName"]}, "target": target}}


def target_of(name: str) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def test_kubernetes_takes_the_autoscalers(kubectl: Kubectl, new_namespace: Callable[..., str]) -> None:
    namespace, found = new_namespace(), specs("scaled-hpa.yaml", "hpaSpec")
    assert len(found) == 5
    for number, each in enumerate(found):
        spec = {name: each[name] for name in ("minReplicas", "maxReplicas")}
        spec |= {"metrics": [metric_of(metric) for metric in each["metrics"]]}
        spec |= {"scaleTargetRef": target_of(f"made-{number}")}
        metadata = {"name": f"made-{number}", "namespace": namespace}
        made = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        apply(kubectl, json.dumps(made | {"metadata": metadata, "spec": spec}))
        # What was written in another way than the server has it would be changed with every reconciliation.
        done = kubectl("get", "hpa", metadata["name"], "-n", namespace, "-o", "json")
        assert json.loads(done.stdout)["spec"]["metrics"] == spec["metrics"]


def test_keda_takes_the_autoscalers(scalers: Kubectl, new_namespace: Callable[..., str]) -> None:
    namespace, found = new_namespace(), specs("scaled-keda.yaml", "kedaSpec")
    assert len(found) == 5
    # The operator passes on no more than these.
    passed = {
        "minReplicaCount",
        "maxReplicaCount",
        "triggers",
        "pollingInterval",
        "cooldownPeriod",
        "advanced",
    }
    for number, each in enumerate(found):
        assert each.keys() <= passed
        metadata = {"name": f"made-{number}", "namespace": namespace}
        made = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata}
        apply(scalers, json.dumps(made | {"spec": each | {"scaleTargetRef": target_of(f"made-{number}")}}))


def test_what_metrics_and_the_adapter_need_is_taken(
    kustomize: Path, scalers: Kubectl, new_namespace: Callable[..., str]
) -> None:
    new_namespace("monitoring")
    for name in ("metrics", "hpa"):
        text = built(kustomize, AUTOSCALING / name)
        apply(scalers, text)
        apply(scalers, text)


def test_keda_is_turned_on_in_the_operator_that_is_there(
    kustomize: Path, scalers: Kubectl, new_namespace: Callable[..., str]
) -> None:
    new_namespace("seldon-system")
    created = scalers("create", "-f", "-", "--field-manager=helm", text=json.dumps(MANAGER))
    assert not created.returncode, created.stderr
    apply(scalers, built(kustomize, AUTOSCALING / "keda"), "--force-conflicts")
    done = scalers("get", "deployment", "seldon-controller-manager", "-n", "seldon-system", "-o", "json")
    (manager,) = json.loads(done.stdout)["spec"]["template"]["spec"]["containers"]
    assert manager["image"] == "example.test/operator:1"
    assert {each["name"]: each["value"] for each in manager["env"]} == {
        "KEDA_ENABLED": "true",
        "ISTIO_ENABLED": "true",
    }
    allowed = scalers(
        *("auth", "can-i", "create", "scaledobjects.keda.sh", "-n", "seldon-system"),
        "--as=system:serviceaccount:seldon-system:seldon-manager",
    )
    assert allowed.stdout.strip() == "yes", allowed.stderr
