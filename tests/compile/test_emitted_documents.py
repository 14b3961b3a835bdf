"""What every emitted manifest must be, whatever graph it comes from."""

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from compile_cases import Case, find_cases
from graphc.run.environment import expand
from graphc_runtimes.region import Region, ServerNode, parse_region
from jsonschema import Draft7Validator, ValidationError

CRD: Final = Path(__file__).parents[3] / "shared" / "seldon" / "seldondeployment-crd.json"
GOLDEN: Final = Path(__file__).parents[1] / "golden" / "test_compiled_graphs"
LEVELS: Final = (0, 1)

# Kubernetes' limit for the name of a volume, and for what follows a label's prefix.
LABEL: Final = 63

Json = dict[str, Any]


@cache
def documents_of(case: Case, level: int) -> list[Json]:
    return [each for each in yaml.load_all(case.compile(level).text, yaml.CSafeLoader) if each]


# What a level refuses has the refusal for its golden.
REFUSED: Final = {path.stem for path in GOLDEN.glob("*.txt")}
SOUND: Final = [
    (case, level) for case in find_cases() for level in LEVELS if f"{case}.O{level}" not in REFUSED
]

each_manifest = pytest.mark.parametrize(
    ("case", "level"), SOUND, ids=[f"{case}-O{level}" for case, level in SOUND]
)


def deployments_of(case: Case, level: int) -> list[Json]:
    return [each for each in documents_of(case, level) if each["kind"] == "SeldonDeployment"]


def predictors_of(case: Case, level: int) -> list[Json]:
    return [each for deployment in deployments_of(case, level) for each in deployment["spec"]["predictors"]]


def pods_of(predictor: Json) -> list[Json]:
    return [pod["spec"] for pod in predictor["componentSpecs"]]


def unit_containers(pod: Json) -> list[Json]:
    return [each for each in pod["containers"] if not each["name"].startswith("server-")]


def units_of(graph: Json) -> Iterator[Json]:
    yield graph
    for child in graph["children"]:
        yield from units_of(child)


def region_of(container: Json) -> Region:
    """What the runtime reads once Kubernetes has expanded the variable."""
    (text,) = [each["value"] for each in container["env"] if each["name"] == "GRAPHC_REGION"]
    return parse_region(expand(text, {}))


@each_manifest
def test_the_runtime_understands_every_region(case: Case, level: int) -> None:
    for predictor in predictors_of(case, level):
        regions = {
            container["name"]: region_of(container)
            for pod in pods_of(predictor)
            for container in unit_containers(pod)
        }
        assert {region.unit for region in regions.values()} == set(regions)
        assert len({region.graph for region in regions.values()}) == 1


@each_manifest
def test_units_and_containers_are_the_same(case: Case, level: int) -> None:
    for predictor in predictors_of(case, level):
        units = [unit["name"] for unit in units_of(predictor["graph"])]
        containers = [each["name"] for pod in pods_of(predictor) for each in unit_containers(pod)]
        assert sorted(units) == sorted(containers)
        assert len(units) == len(set(units))
        assert all(len(f"seldon-app-svc-{name}") <= LABEL for name in units)


@each_manifest
def test_a_unit_answers_what_the_next_one_takes(case: Case, level: int) -> None:
    for predictor in predictors_of(case, level):
        containers = {each["name"]: each for pod in pods_of(predictor) for each in unit_containers(pod)}
        last = _follow(predictor["graph"], {name: region_of(each) for name, each in containers.items()}, None)
        region = region_of(next(iter(containers.values())))
        assert last >= {each.name for each in region.graph.outputs}


def _follow(unit: Json, regions: dict[str, Region], message: set[str] | None) -> set[str]:
    """Return the tensors that a subtree answers to a message; None stands for the client's."""
    region = regions[unit["name"]]
    given = {each.name for each in region.graph.inputs} if message is None else message
    kind = unit["type"]
    if kind in {"MODEL", "ROUTER"}:
        assert {each.name for each in region.takes if not each.optional} <= given
    passed = {each.name for each in region.answers} if kind == "MODEL" else given
    answers = [_follow(child, regions, passed) for child in unit["children"]]
    if kind == "MODEL":
        return answers[0] if answers else passed
    if kind == "ROUTER":
        # Where no child is called, the message itself is the answer.
        return answers[0].intersection(*answers[1:], passed if len(answers) == 1 else answers[0])
    joined = set[str]().union(*answers)
    assert {each.name for each in region.takes if not each.optional} <= joined
    return {each.name for each in region.answers}


@each_manifest
def test_mounts_volumes_and_config_maps_belong_together(case: Case, level: int) -> None:
    maps = {
        each["metadata"]["name"]: each for each in documents_of(case, level) if each["kind"] == "ConfigMap"
    }
    named: set[str] = set()
    for pod in (pod for predictor in predictors_of(case, level) for pod in pods_of(predictor)):
        volumes = {each["name"]: each for each in pod.get("volumes", [])}
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        mounted = {mount["name"] for each in containers for mount in each.get("volumeMounts", [])}
        assert mounted == set(volumes)
        assert all(len(name) <= LABEL for name in volumes)
        for volume in volumes.values():
            if source := volume.get("configMap"):
                content = maps[source["name"]]
                named.add(source["name"])
                keys = {item["key"] for item in source["items"]}
                assert keys == {*content.get("data", {}), *content.get("binaryData", {})}
                assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in keys)
    assert named == set(maps)


@each_manifest
def test_names_of_environment_variables_are_unique(case: Case, level: int) -> None:
    for pod in (pod for predictor in predictors_of(case, level) for pod in pods_of(predictor)):
        for container in unit_containers(pod):
            names = [each["name"] for each in container["env"]]
            assert len(names) == len(set(names))


@each_manifest
def test_pods_comply_with_restricted_pod_security(case: Case, level: int) -> None:
    """The fields that the standard names; tests/cluster asks a real API server."""
    for pod in (pod for predictor in predictors_of(case, level) for pod in pods_of(predictor)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim"}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["runAsNonRoot"] is True
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"privileged", "procMount", "runAsUser", "seLinuxOptions"} & set(security)
            assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    if not CRD.exists():
        pytest.skip("the SeldonDeployment's CRD is not here")
    versions = json.loads(CRD.read_text())["spec"]["versions"]
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
    return Draft7Validator(cast("Json", close(schema)))


def close(schema: object) -> object:
    """The schema with unknown fields refused, as strict validation does, and with null where it is allowed."""
    if isinstance(schema, list):
        return [close(each) for each in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    closed: Json = {key: close(value) for key, value in cast("Json", schema).items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    if closed.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    return closed


def problems_of(validator: Draft7Validator, deployment: Json) -> list[str]:
    errors = cast("Iterator[ValidationError]", validator.iter_errors(deployment))  # pyright: ignore[reportUnknownMemberType]
    return [f"{list(each.absolute_path)}: {each.message}" for each in errors]


@each_manifest
def test_the_crd_takes_every_deployment(case: Case, level: int, validator: Draft7Validator) -> None:
    for deployment in deployments_of(case, level):
        assert problems_of(validator, deployment) == []


def test_the_crd_takes_no_unknown_field(validator: Draft7Validator) -> None:
    (deployment,) = deployments_of(*SOUND[0])
    changed: Json = json.loads(json.dumps(deployment))
    changed["spec"]["predictors"][0]["graph"]["tpye"] = "MODEL"
    (problem,) = problems_of(validator, changed)
    assert "'tpye' was unexpected" in problem


LATIN: Final = b"# coding: latin-1\ndef total(x):\n    return '\xe9'\n"


def test_a_module_that_is_not_utf8_travels_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "post.py").write_bytes(LATIN)
    node = {"python": "post:total", "in": {"x": "x"}, "out": "BYTES[batch]"}
    graph = {"apiVersion": "graphc/v1", "kind": "InferenceGraph", "metadata": {"name": "latin"}}
    graph |= {"inputs": {"x": "FP32[batch]"}, "nodes": {"total": node}, "outputs": {"y": "total"}}
    (tmp_path / "graph.yaml").write_text(json.dumps(graph))
    content, _ = documents_of(Case(tmp_path / "graph.yaml"), 1)
    assert base64.b64decode(content["binaryData"]["post.py"]) == LATIN


@each_manifest
def test_containers_write_to_a_folder_of_their_own_alone(case: Case, level: int) -> None:
    for pod in (pod for predictor in predictors_of(case, level) for pod in pods_of(predictor)):
        volumes = {each["name"]: each for each in pod["volumes"]}
        scratch: list[str] = []
        for container in (*pod.get("initContainers", []), *unit_containers(pod)):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
            env = {each["name"]: each.get("value") for each in container["env"]}
            assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
            assert env["HOME"] == "/tmp"
            assert env.get("MLSERVER_METRICS_DIR", "/tmp") == "/tmp"
            writable = [each for each in mounts.values() if not each.get("readOnly")]
            assert all({"emptyDir", "persistentVolumeClaim"} & set(volumes[it["name"]]) for it in writable)
            if container in unit_containers(pod):
                scratch.append(mounts["/tmp"]["name"])
        assert len(scratch) == len(set(scratch)), "two units would add up each other's metrics"


@each_manifest
def test_pods_get_no_token_that_nothing_asks_for(case: Case, level: int) -> None:
    for pod in (pod for predictor in predictors_of(case, level) for pod in pods_of(predictor)):
        assert ("serviceAccountName" in pod) != (pod.get("automountServiceAccountToken") is False)


@each_manifest
def test_a_pod_ends_after_what_its_units_have_begun(case: Case, level: int) -> None:
    for predictor in predictors_of(case, level):
        has_executor = "seldon.io/no-engine" not in predictor.get("annotations", {})
        for index, pod in enumerate(pods_of(predictor)):
            for container in unit_containers(pod):
                (grace,) = [
                    int(each["value"]) for each in container["env"] if each["name"] == "GRAPHC_GRACE_S"
                ]
                name, linger = container["lifecycle"]["preStop"]["exec"]["command"]
                assert name == "sleep"
                # The executor finishes what it began within 15 s; others find a unit until Services forget it.
                assert int(linger) == (min(15, grace) if has_executor and not index else 10)
                assert pod["terminationGracePeriodSeconds"] > int(linger) + grace
                deadline = region_of(container).graph.deadline_ms
                assert grace * 1000 >= (deadline or 0) + 500


@each_manifest
def test_units_of_a_pod_listen_on_ports_that_nobody_else_there_has(case: Case, level: int) -> None:
    for predictor in predictors_of(case, level):
        has_executor = "seldon.io/no-engine" not in predictor.get("annotations", {})
        for pod in pods_of(predictor):
            listens = [each["ports"] for each in unit_containers(pod)]
            assert all([port["name"] for port in each] == ["http", "grpc", "metrics"] for each in listens)
            numbers = [port["containerPort"] for each in listens for port in each]
            assert len(numbers) == len(set(numbers))
            entry = [8000, 5001]
            assert (numbers[:2] == entry) is not has_executor
            # Those of Istio's proxy, and those that Linux gives to connections out of the pod.
            assert not any(15_000 <= each <= 15_090 or each >= 32_768 for each in numbers)


@pytest.mark.parametrize("level", LEVELS)
def test_servers_stand_beside_the_units_that_ask_them(level: int) -> None:
    (case,) = [each for each in find_cases() if str(each) == "servers"]
    (predictor,) = predictors_of(case, level)
    (pod,) = pods_of(predictor)
    servers = {each["name"].removeprefix("server-"): each for each in pod["containers"]}
    listens = {name: servers[name]["ports"][0]["containerPort"] for name in ("own", "triton", "plain")}
    ports = [port["containerPort"] for each in pod["containers"] for port in each["ports"]]
    assert len(ports) == len(set(ports))
    asked = {
        node.url
        for each in unit_containers(pod)
        for node in region_of(each).nodes
        if isinstance(node, ServerNode) and node.at in listens
    }
    assert asked == {f"http://127.0.0.1:{port}" for port in listens.values()}
    assert servers["own"]["command"] == ["mlserver", "start", "/mnt/graphc/server-own"]
    assert servers["plain"]["args"] == ["--port=8090"]
    assert "command" not in servers["plain"]
    assert servers["triton"]["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert servers["triton"]["startupProbe"]["failureThreshold"] == 60
    for name, port in listens.items():
        assert servers[name]["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": port}
        assert servers[name]["lifecycle"] == unit_containers(pod)[0]["lifecycle"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["graphc-server-triton"]["persistentVolumeClaim"]["claimName"] == "models"
    items = volumes["graphc-server-own"]["configMap"]["items"]
    # The volume of a config map also holds `..data`, which Triton takes for a model: it mounts a folder below.
    assert [each["path"] for each in items] == [
        "models/doubler/doubling.py",
        "models/doubler/model-settings.json",
    ]
    (mount,) = servers["own"]["volumeMounts"]
    assert mount["subPath"] == "models"
