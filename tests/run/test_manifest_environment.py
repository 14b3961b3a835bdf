"""The environment of a unit's process is the one that the real operator gave to its container."""

import json
from pathlib import Path

import pytest
from graphc.run.config_map import ConfigMap
from graphc.run.environment import (
    METRICS_ENDPOINT,
    PORT_VARIABLES,
    Ports,
    Surroundings,
    container_environment,
    expand,
    operator_environment,
)
from graphc.run.manifest import read_manifest
from graphc.run.plan import find_container
from graphc.run.problem import Findings
from graphc.seldon.deployment import Container, Deployment, Predictor
from graphc.seldon.node import node_of
from graphc.unchecked import Data, fields, objects, text

RECORDED = Path(__file__).parents[3] / "shared" / "seldon" / "operator.json"

NOWHERE = Surroundings("models", {}, {})


def read_cases() -> list[Data]:
    if not RECORDED.exists():
        return []
    return list(objects(json.loads(RECORDED.read_text()), "cases"))


def recorded_containers(case: Data) -> dict[tuple[str, str], dict[str, str]]:
    found = dict[tuple[str, str], dict[str, str]]()
    for deployment in objects(case, "deployments"):
        for container in objects(deployment, "spec", "template", "spec", "containers"):
            env = {text(entry, "name"): text(entry, "value") for entry in objects(container, "env")}
            if "PREDICTOR_ID" in env and "PREDICTIVE_UNIT_ID" in env:
                found[env["PREDICTOR_ID"], env["PREDICTIVE_UNIT_ID"]] = env
    return found


def derive(
    deployment: Deployment, predictor: Predictor, name: str, recorded: dict[str, str]
) -> dict[str, str]:
    unit = next(each for each in predictor.graph.walk() if each.name == name)
    found = find_container(predictor, unit)
    assert found is not None
    ports = Ports(
        int(recorded["MLSERVER_HTTP_PORT"]),
        int(recorded["MLSERVER_GRPC_PORT"]),
        int(recorded["MLSERVER_METRICS_PORT"]),
    )
    operator = operator_environment(deployment, predictor, unit, found[1].image, ports)
    findings = Findings()
    env = container_environment(found[1], operator, NOWHERE, findings)
    assert findings == Findings()
    return env


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: text(case, "id"))
def test_environment_is_the_operators(case: Data) -> None:
    document = fields(case, "seldonDeployment")
    findings = Findings()
    metadata = fields(document, "metadata") | {"namespace": "models"}
    manifest = read_manifest([node_of(document | {"metadata": metadata})], findings)
    deployment = manifest.deployments[0]
    recorded = recorded_containers(case)
    units = {(each.name, unit.name) for each in deployment.predictors for unit in each.graph.walk()}
    assert recorded.keys() == units
    for predictor in deployment.predictors:
        for unit in predictor.graph.walk():
            env = recorded[predictor.name, unit.name]
            assert derive(deployment, predictor, unit.name, env) == env


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings of the real operator are not here")
def test_recordings_are_all_there() -> None:
    assert len(read_cases()) == 16
    seen = {name for case in read_cases() for env in recorded_containers(case).values() for name in env}
    assert seen >= PORT_VARIABLES
    assert METRICS_ENDPOINT == "/prometheus"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$", "$"),
        ("$A ${A} $(", "$A ${A} $("),
        ("cost: 5$", "cost: 5$"),
    ],
)
def test_expansion_is_that_of_kubernetes(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def env_of(*entries: Data, around: Surroundings = NOWHERE) -> tuple[dict[str, str], Findings]:
    findings = Findings()
    container = Container("m", env=tuple(map(node_of, entries)))
    return container_environment(container, {}, around, findings), findings


def test_a_variable_sees_only_those_above_it() -> None:
    env, findings = env_of(
        {"name": "EARLY", "value": "$(LATE)"},
        {"name": "LATE", "value": "x"},
        {"name": "THEN", "value": "$(LATE)!"},
    )
    assert env == {"EARLY": "$(LATE)", "LATE": "x", "THEN": "x!"}
    assert findings == Findings()


def test_the_users_value_wins_except_for_ports() -> None:
    operator = {"MLSERVER_HTTP_PORT": "9000", "PREDICTIVE_UNIT_ID": "m"}
    container = Container(
        "m",
        env=(
            node_of({"name": "MLSERVER_HTTP_PORT", "value": "8080"}),
            node_of({"name": "PREDICTIVE_UNIT_ID", "value": "other"}),
        ),
    )
    env = container_environment(container, operator, NOWHERE, Findings())
    assert env == {"MLSERVER_HTTP_PORT": "9000", "PREDICTIVE_UNIT_ID": "other"}


def test_config_maps_give_values_and_whole_environments() -> None:
    around = Surroundings("models", {"c": ConfigMap("c", {"key": b"v", "1bad": b"x"})}, {})
    container = Container(
        "m",
        env=(
            node_of({"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}}),
            node_of({"name": "TWO", "value": "$(P_key)"}),
        ),
        env_from=(
            node_of({"prefix": "P_", "configMapRef": {"name": "c"}}),
            node_of({"configMapRef": {"name": "absent", "optional": True}}),
            node_of({"configMapRef": {"name": "c"}}),
        ),
    )
    findings = Findings()
    env = container_environment(container, {}, around, findings)
    assert env == {"P_key": "v", "P_1bad": "x", "key": "v", "ONE": "v", "TWO": "v"}
    assert findings == Findings()


def test_a_secret_comes_from_the_users_own_environment() -> None:
    entry: Data = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    env, _ = env_of(entry, around=Surroundings("models", {}, {"TOKEN": "mine"}))
    assert env == {"TOKEN": "mine"}
    env, findings = env_of(entry)
    assert env == {}
    assert [str(each) for each in findings.problems] == [
        "`TOKEN` of container `m` comes from `k` of secret `s`, which is not here\n"
        "  = help: export `TOKEN` before the run"
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "A", "value": 1}, "`A` of container `m` is not text"),
        ({"value": "x"}, "container `m` has an environment variable without a usable name"),
        (
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            "`A` of container `m` needs config map `c`, which is not among the documents",
        ),
        (
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            "`A` of container `m` is the pod's `spec.nodeName`; there is no pod here",
        ),
        (
            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            "`A` of container `m` comes from `resourceFieldRef`, which has no value here",
        ),
    ],
)
def test_what_has_no_value_here_is_said(entry: Data, message: str) -> None:
    _, findings = env_of(entry)
    assert [each.message for each in findings.problems] == [message]
