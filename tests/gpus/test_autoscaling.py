"""Replicas by load: what is emitted for Kubernetes' autoscalers and for KEDA, and whose pods it is about."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from click.testing import CliRunner
from graphc.cli import main
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.hardware.assign import Hardware
from graphc.ir.plan import Unit
from graphc.targets.pods.scaling import ADAPTED, UNIT_CALLS, WINDOW, ScaledPod
from graphc.targets.seldon.rules import name_deployment

CASES: Final = Path(__file__).parent / "cases"
RULES: Final = Path(__file__).parents[2] / "k8s" / "autoscaling" / "hpa" / "rules.yaml"

Json = dict[str, Any]


def run(kind: str, *arguments: str) -> str:
    profile = str(CASES / f"{kind}.profile")
    result = CliRunner().invoke(
        main, ["compile", "--profile", profile, *arguments, str(CASES / "scaled.yaml")]
    )
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


def pods(kind: str) -> dict[str, list[Json]]:
    """The pods of each predictor."""
    documents: list[Json] = json.loads(run(kind, "--format", "json"))["items"]
    (deployment,) = (each for each in documents if each["kind"] == "SeldonDeployment")
    return {each["name"]: each["componentSpecs"] for each in deployment["spec"]["predictors"]}


@pytest.mark.parametrize("kind", ["hpa", "keda"])
def test_goldens(kind: str, golden: Callable[[str, str], None]) -> None:
    golden(f"scaled-{kind}.yaml", run(kind))


@pytest.mark.parametrize(("kind", "field"), [("hpa", "hpaSpec"), ("keda", "kedaSpec")])
def test_a_fixed_number_of_a_version_wins_over_the_load_of_the_graph(kind: str, field: str) -> None:
    found = pods(kind)
    assert [field in pod for pod in found["main"]] == [True, True, True]
    assert [field in pod for pod in found["canary"]] == [False, True, True]


def test_a_run_on_this_machine_asks_for_no_metrics() -> None:
    done = compile_files(Request([str(CASES / "scaled.yaml")], purpose="local"))
    assert [each.rule.code for each in done.sink] == []


def test_the_rules_of_the_adapter_are_of_the_metrics_that_are_written() -> None:
    rules = yaml.safe_load(yaml.safe_load(RULES.read_text())["data"]["config.yaml"])["rules"]
    assert {rule["seriesQuery"].partition("{")[0]: rule["name"]["as"] for rule in rules} == dict(ADAPTED)
    rates = [rule["metricsQuery"] for rule in rules if "rate(" in rule["metricsQuery"]]
    assert len(rates) == 4
    assert all(f"[{WINDOW}]" in rate for rate in rates)
    written = {
        metric["pods"]["metricName"]
        for pod in pods("hpa")["main"]
        for metric in pod["hpaSpec"]["metrics"]
        if metric["type"] == "Pods"
    }
    assert written < set(ADAPTED.values())


def scaled(graph: str, predictor: str, *units: str, index: int = 0) -> ScaledPod:
    named = tuple(cast("Unit", type("Named", (), {"name": name})()) for name in units)
    deployment = name_deployment(graph, predictor, index, named)
    return ScaledPod(deployment, "models", named, None, Hardware(), UNIT_CALLS)


def selects(pod: ScaledPod, name: str) -> bool:
    (pattern,) = re.findall(r'pod=~"(.*)"', pod.selector)
    return re.fullmatch(pattern, name) is not None


def test_pods_are_selected_of_one_deployment_alone() -> None:
    pod = scaled("fraud", "main", "a")
    assert pod.deployment == "fraud-main-0-a"
    assert selects(pod, "fraud-main-0-a-7c9d8f6b5-x2k4q")
    assert not selects(pod, "fraud-main-0-a-b-7c9d8f6b5-x2k4q")
    assert not selects(scaled("fraud", "main", "a", index=1), "fraud-main-0-a-7c9d8f6b5-x2k4q")


@pytest.mark.parametrize("length", range(30, 70))
def test_pods_with_names_that_kubernetes_cuts_are_selected(length: int) -> None:
    pod = scaled("g", "main", "u" * (length - len("g-main-0-")))
    assert len(pod.deployment) == (length if length <= 63 else len("seldon-") + 32)
    # A ReplicaSet's name ends with up to ten characters, and a pod's with five, after a base of at most 58.
    name = f"{pod.deployment}-5d4f6b7c89-"[:58] + "x2k4q"
    assert selects(pod, name)
