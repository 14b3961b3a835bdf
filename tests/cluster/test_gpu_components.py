"""The real kustomize builds each way of sharing GPUs, and the API server takes it over what is there."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

GPU: Final = Path(__file__).parents[2] / "k8s" / "gpu"
COMPONENTS: Final = sorted(path.parent.name for path in GPU.glob("*/README.md"))
PAIRS: Final = [("mps", "time-slicing"), ("mig-mixed", "mps"), ("mig-single", "time-slicing")]

# NVIDIA's CRD is in no Go module: this one knows the kind, and keeps whatever fields it is given.
CRD: Final = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "clusterpolicies.nvidia.com"},
    "spec": {
        "group": "nvidia.com",
        "names": {"kind": "ClusterPolicy", "plural": "clusterpolicies", "singular": "clusterpolicy"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}
INSTALLED: Final = {
    "apiVersion": "nvidia.com/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "cluster-policy"},
    "spec": {
        "driver": {"enabled": True},
        "devicePlugin": {"enabled": True, "version": "v0.20.0"},
        "mig": {"strategy": "single"},
        "migManager": {"enabled": True},
    },
}
"""Such a policy as the operator's chart makes."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def overlay(folder: Path, base: str, components: Sequence[str]) -> Path:
    shutil.copytree(GPU, folder / "gpu")
    (folder / "ours").mkdir()
    written = {"resources": [f"../gpu/{base}"], "components": [f"../gpu/{each}" for each in components]}
    (folder / "ours" / "kustomization.yaml").write_text(json.dumps(written))
    return folder / "ours"


def build(kustomize: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kustomize, "build", folder], capture_output=True, text=True, timeout=120)


def built(kustomize: Path, folder: Path) -> str:
    done = build(kustomize, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_name(text: str) -> dict[str, Json]:
    return {each["metadata"]["name"]: each for each in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, new_namespace: Callable[..., str]) -> Kubectl:
    """Return kubectl for a server on which the operator's chart has been installed."""
    new_namespace("gpu-operator")
    created = kubectl("create", "-f", "-", text=json.dumps(CRD))
    assert not created.returncode, created.stderr
    established = kubectl("wait", "--for=condition=Established", "crd/clusterpolicies.nvidia.com")
    assert not established.returncode, established.stderr
    return kubectl


def read_policy(kubectl: Kubectl) -> Json:
    done = kubectl("get", "clusterpolicies.nvidia.com", "cluster-policy", "-o", "json")
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)["spec"]


@pytest.mark.parametrize("components", [*((each,) for each in COMPONENTS), *PAIRS], ids="+".join)
def test_components_are_added_to_what_the_operator_was_installed_with(
    components: tuple[str, ...], kustomize: Path, operator: Kubectl, tmp_path: Path
) -> None:
    text = built(kustomize, overlay(tmp_path, "operator", components))
    operator("delete", "clusterpolicies.nvidia.com", "cluster-policy", "--ignore-not-found")
    installed = operator("create", "-f", "-", "--field-manager=helm", text=json.dumps(INSTALLED))
    assert not installed.returncode, installed.stderr
    how = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-")
    applied = operator(*how, text=text)
    assert applied.returncode == 0, applied.stderr
    policy = read_policy(operator)
    assert policy["driver"] == {"enabled": True}
    assert policy["devicePlugin"]["version"] == "v0.20.0"
    assert policy["devicePlugin"]["config"] == {"name": "graphc-device-plugin", "default": "whole"}
    mig = [each for each in components if each.startswith("mig-")]
    assert policy["mig"]["strategy"] == (mig[0].removeprefix("mig-") if mig else "single")
    plugin = by_name(text)["graphc-device-plugin"]["data"]
    wanted = {"mig" if each.startswith("mig-") else each for each in components}
    assert plugin.keys() == {"whole"} | wanted
    # What a policy names is there, under the key that it names.
    for setting in (policy["devicePlugin"]["config"], policy["migManager"].get("config")):
        assert setting is None or setting["name"] in by_name(text)
    again = operator(*how, text=text)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_go_with_the_device_plugin_alone(
    component: str, kustomize: Path, operator: Kubectl, tmp_path: Path
) -> None:
    text = built(kustomize, overlay(tmp_path, "plugin", [component]))
    assert {each["kind"] for each in by_name(text).values()} == {"ConfigMap"}
    applied = operator(
        "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", text=text
    )
    assert applied.returncode == 0, applied.stderr


def test_the_exporter_is_scraped_with_the_names_of_the_pods_that_have_the_gpus(
    kustomize: Path, tmp_path: Path
) -> None:
    folder = overlay(tmp_path, "operator", ["mps"])
    shutil.copytree(GPU.parent / "autoscaling" / "gpu-metrics", tmp_path / "gpu" / "metrics")
    written = json.loads((folder / "kustomization.yaml").read_text())
    written["components"].append("../gpu/metrics")
    (folder / "kustomization.yaml").write_text(json.dumps(written))
    policy = by_name(built(kustomize, folder))["cluster-policy"]["spec"]
    assert policy["dcgmExporter"]["serviceMonitor"]["honorLabels"] is True
    assert policy["devicePlugin"]["config"]["default"] == "whole"


def test_both_strategies_of_mig_at_once_are_refused(kustomize: Path, tmp_path: Path) -> None:
    done = build(kustomize, overlay(tmp_path, "operator", ["mig-mixed", "mig-single"]))
    assert done.returncode
    assert "graphc-mig-parted" in done.stderr
