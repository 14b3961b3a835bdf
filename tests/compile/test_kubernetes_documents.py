"""What the target `kubernetes` emits: byte for byte for the examples, and sound for every graph."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml
from click.testing import CliRunner
from compile_cases import CASES, Case, Compiled, find_cases
from graphc.cli import main
from graphc.engine.graph_file import EngineGraph, read_engine_graph
from graphc.quantities import canonical_quantity
from graphc.run.environment import expand
from graphc.seldon.node import node_of
from graphc_runtimes.region import parse_region
from kubernetes import client

LEVELS: Final = (0, 1)
GPUS: Final = Path(__file__).parents[1] / "gpus" / "cases"
GATEWAY: Final = str(CASES / "gateway-root.profile")
LABEL: Final = 63
ENGINE: Final = "graphc.dev/engine"

GOLDEN: Final = {
    *(str(each) for each in find_cases() if each.path.name == "graph.yaml"),
    *("gateway-all", "istio-sticky", "placements", "routed-units", "servers", "two-graphs"),
}
"""The examples, and the small graphs with what no example has."""

MODELS: Final[dict[str, str]] = {
    "ConfigMap": "V1ConfigMap",
    "Deployment": "V1Deployment",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "Service": "V1Service",
}
"""By kind, the model of Kubernetes' own client, which knows every field."""

CUSTOM: Final = {"HTTPRoute", "GRPCRoute", "VirtualService", "DestinationRule", "ScaledObject"}

Json = dict[str, Any]


@cache
def compiled(case: Case, level: int) -> Compiled:
    """Compile for a cluster with a gateway where the file's comments name no profile, and versions need one."""
    return case.compile(level, more=["--target", "kubernetes", *gateway_of(case, level)])


@cache
def gateway_of(case: Case, level: int) -> tuple[str, ...]:
    if "--profile" in case.options:
        return ()
    done = case.compile(level, more=["--target", "kubernetes"])
    return ("--profile", GATEWAY) if "GC426" in done.problems else ()


@cache
def documents_of(case: Case, level: int) -> list[Json]:
    return [each for each in yaml.load_all(compiled(case, level).text, yaml.CSafeLoader) if each]


EVERY: Final = [(case, level) for case in find_cases() for level in LEVELS]
REFUSED: Final = {"ambassador-canary": "GC426"}
"""Graphs that this target refuses, with the rule."""

each_manifest = pytest.mark.parametrize(
    ("case", "level"),
    [each for each in EVERY if str(each[0]) not in REFUSED],
    ids=[f"{case}-O{level}" for case, level in EVERY if str(case) not in REFUSED],
)


def of_kind(documents: list[Json], kind: str) -> list[Json]:
    return [each for each in documents if each["kind"] == kind]


def deployments(case: Case, level: int) -> list[Json]:
    return of_kind(documents_of(case, level), "Deployment")


def pods_of(case: Case, level: int) -> Iterator[Json]:
    yield from (each["spec"]["template"]["spec"] for each in deployments(case, level))


def name_of(document: Json) -> str:
    return str(document["metadata"]["name"])


def engine_of(deployment: Json) -> str | None:
    return deployment["metadata"]["annotations"].get(ENGINE)


def units_of(deployment: Json) -> list[Json]:
    pod = deployment["spec"]["template"]["spec"]
    return [
        each
        for each in pod["containers"]
        if not each["name"].startswith("server-") and each["name"] != engine_of(deployment)
    ]


@pytest.mark.parametrize("level", LEVELS, ids=["O0", "O1"])
@pytest.mark.parametrize("case", [case for case in find_cases() if str(case) in GOLDEN], ids=str)
def test_golden(case: Case, level: int, golden: Callable[[str, str], None]) -> None:
    done = compiled(case, level)
    golden(f"{case}.O{level}.{'txt' if done.problems else 'yaml'}", done.problems or done.text)


@pytest.mark.parametrize("kind", ["hpa", "keda"])
def test_golden_of_replicas_by_load(kind: str, golden: Callable[[str, str], None], tmp_path: Path) -> None:
    golden(f"scaled-{kind}.yaml", scaled(kind, tmp_path))


def scaled(kind: str, folder: Path) -> str:
    """Compile the graph whose replicas follow loads; its two versions stand behind a gateway."""
    profile = (GPUS / f"{kind}.profile").read_text() + "ingress: {kind: gateway, gateway: ingress/public}\n"
    (folder / "cluster.profile").write_text(profile)
    options = ["--target", "kubernetes", "--profile", str(folder / "cluster.profile")]
    done = CliRunner().invoke(main, ["compile", *options, str(GPUS / "scaled.yaml")])
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", REFUSED)
def test_what_plain_kubernetes_lacks_is_refused(name: str) -> None:
    (case,) = [each for each in find_cases() if str(each) == name]
    done = compiled(case, 1)
    assert (done.status, done.text) == (1, "")
    assert f"error[{REFUSED[name]}]" in done.problems


@each_manifest
def test_every_graph_compiles_to_plain_objects(case: Case, level: int) -> None:
    assert compiled(case, level).problems == ""
    documents = documents_of(case, level)
    assert {each["kind"] for each in documents} <= {*MODELS, *CUSTOM}
    named = [(each["kind"], name_of(each)) for each in documents]
    assert len(named) == len(set(named))
    assert all(len(name) <= LABEL for kind, name in named if kind in {"Deployment", "Service"})
    assert "machinelearning.seldon.io" not in compiled(case, level).text


@each_manifest
def test_kubernetes_knows_every_field(case: Case, level: int) -> None:
    for document in documents_of(case, level):
        if document["kind"] in MODELS:
            assert list(faults_of(document, MODELS[document["kind"]], document["kind"])) == []


def test_kubernetes_knows_every_field_of_autoscalers(tmp_path: Path) -> None:
    found = [each for each in yaml.load_all(scaled("hpa", tmp_path), yaml.CSafeLoader) if each]
    assert {each["kind"] for each in found} > {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    for each in found:
        if each["kind"] in MODELS:
            assert list(faults_of(each, MODELS[each["kind"]], each["kind"])) == []


def test_unknown_fields_and_wrong_kinds_are_found() -> None:
    pod: Json = {"containers": [{"name": "a", "imag": "b", "args": ["x", 1], "tty": "yes"}]}
    assert list(faults_of(pod, "V1PodSpec", "pod")) == [
        "pod.containers[0].imag is unknown",
        "pod.containers[0].args[1] is not str",
        "pod.containers[0].tty is not bool",
    ]


def faults_of(value: object, kind: str, place: str) -> Iterator[str]:
    """Yield what Kubernetes would not take: fields by its client's models, values by their kinds."""
    if found := re.fullmatch(r"[lL]ist\[(.*)\]", kind):
        assert isinstance(value, list), place
        for index, each in enumerate(cast("list[object]", value)):
            yield from faults_of(each, found[1], f"{place}[{index}]")
    elif found := re.fullmatch(r"[dD]ict[(\[]str, (.*)[)\]]", kind):
        assert isinstance(value, dict), place
        for name, each in cast("Json", value).items():
            yield from faults_of(each, found[1], f"{place}.{name}")
    elif kind in {"str", "bytes", "bool", "int", "float"}:
        wanted = {"str": str, "bytes": str, "bool": bool, "int": int, "float": (int, float)}[kind]
        # The client calls `str` what may be a number too: quantities, ports and counts.
        may_count = isinstance(value, int) and re.search(
            r"(requests|limits)\.|[pP]ort$|maxUnavailable$", place
        )
        if not isinstance(value, wanted) and not (kind == "str" and may_count):
            yield f"{place} is not {kind}"
    elif kind != "object":
        yield from _faults_of_fields(value, kind, place)


def _faults_of_fields(value: object, kind: str, place: str) -> Iterator[str]:
    # The client carries no types.
    model: Any = getattr(client, kind)
    fields = {json_name: model.openapi_types[name] for name, json_name in model.attribute_map.items()}
    assert isinstance(value, dict), place
    for name, each in cast("Json", value).items():
        if name in fields:
            yield from faults_of(each, fields[name], f"{place}.{name}")
        else:
            yield f"{place}.{name} is unknown"


@each_manifest
def test_selectors_find_the_pods_of_one_deployment_alone(case: Case, level: int) -> None:
    found = deployments(case, level)
    for deployment in found:
        wanted = deployment["spec"]["selector"]["matchLabels"]
        matching = [
            name_of(each)
            for each in found
            if wanted.items() <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert matching == [name_of(deployment)]
    documents = documents_of(case, level)
    services = {name_of(each): each["spec"] for each in of_kind(documents, "Service")}
    for deployment in found:
        service = services[name_of(deployment)]
        assert service["selector"] == deployment["spec"]["selector"]["matchLabels"]
        pod = deployment["spec"]["template"]["spec"]
        listened = {port["containerPort"] for each in pod["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= listened
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert budget["spec"]["selector"]["matchLabels"] == services[name_of(budget)]["selector"]


@each_manifest
def test_pods_comply_with_restricted_pod_security(case: Case, level: int) -> None:
    """The fields that the standard names; tests/cluster asks a real API server."""
    for pod in pods_of(case, level):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert ("serviceAccountName" in pod) != (pod.get("automountServiceAccountToken") is False)
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim"}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["runAsNonRoot"] is True
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"privileged", "procMount", "runAsUser", "seLinuxOptions"} & set(security)
            if not container["name"].startswith("server-"):
                assert security["readOnlyRootFilesystem"] is True
            for variable in container.get("env", []):
                referred = set(variable.get("valueFrom", {}))
                assert referred <= {"secretKeyRef", "fieldRef"}
                assert ("value" in variable) != bool(referred)


@each_manifest
def test_mounts_volumes_and_config_maps_belong_together(case: Case, level: int) -> None:
    maps = {name_of(each): each for each in of_kind(documents_of(case, level), "ConfigMap")}
    named: set[str] = set()
    for pod in pods_of(case, level):
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert len(volumes) == len(pod["volumes"])
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        assert len({each["name"] for each in containers}) == len(containers)
        ports = [port["name"] for each in pod["containers"] for port in each["ports"]]
        assert len(set(ports)) == len(ports)
        assert all(len(port) <= 15 for port in ports)
        assert {mount["name"] for each in containers for mount in each.get("volumeMounts", [])} == set(
            volumes
        )
        assert all(len(name) <= LABEL for name in volumes)
        for source in (each["configMap"] for each in volumes.values() if "configMap" in each):
            content = maps[source["name"]]
            assert content["immutable"] is True
            named.add(source["name"])
            keys = {item["key"] for item in source["items"]}
            assert keys == {*content.get("data", {}), *content.get("binaryData", {})}
    assert named == set(maps)


@each_manifest
def test_units_are_told_what_no_operator_tells_them(case: Case, level: int) -> None:
    for deployment in deployments(case, level):
        for container in units_of(deployment):
            env = {each["name"]: each.get("value") for each in container["env"]}
            assert len(env) == len(container["env"])
            ports = {
                each["name"].partition("-")[0]: str(each["containerPort"]) for each in container["ports"]
            }
            told = {name: env[f"MLSERVER_{name.upper()}_PORT"] for name in ("http", "grpc", "metrics")}
            assert told == ports
            assert env["MLSERVER_MODEL_NAME"] == container["name"]
            region = parse_region(expand(env["GRAPHC_REGION"] or "", {}))
            assert region.unit == container["name"]
            version = deployment["metadata"]["labels"]["graphc.dev/predictor"]
            assert version in (env["GRAPHC_VERSIONS"] or "").split(",")


@each_manifest
def test_the_engine_calls_every_unit_where_it_listens(case: Case, level: int) -> None:
    documents = documents_of(case, level)
    found = deployments(case, level)
    versions = {each["metadata"]["labels"]["app.kubernetes.io/part-of"] for each in found}
    assert versions
    for entry in found:
        if entry["metadata"]["labels"]["app.kubernetes.io/component"] != "entry":
            assert engine_of(entry) is None
            continue
        own = [each for each in found if _version(each) == _version(entry)]
        containers = {unit["name"]: (each, unit) for each in own for unit in units_of(each)}
        graph = graph_of(entry, documents)
        if graph is None:
            # Nothing stands before the only unit, which has the ports that clients know.
            (_, unit) = containers.popitem()[1]
            assert not containers
            assert [each["containerPort"] for each in unit["ports"]][:2] == [8000, 5001]
            continue
        assert {unit.name for unit in graph.root.walk()} == set(containers)
        assert graph.graph.name == entry["metadata"]["labels"]["app.kubernetes.io/part-of"]
        for unit in graph.root.walk():
            deployment, container = containers[unit.name]
            assert unit.endpoint is not None
            host = "127.0.0.1" if deployment is entry else name_of(deployment)
            assert unit.endpoint.host == host
            assert [unit.endpoint.port, unit.endpoint.grpc] == [
                each["containerPort"] for each in container["ports"]
            ][:2]


def _version(deployment: Json) -> tuple[str, str]:
    labels = deployment["metadata"]["labels"]
    return labels["app.kubernetes.io/part-of"], labels["graphc.dev/predictor"]


def graph_of(entry: Json, documents: list[Json]) -> EngineGraph | None:
    """Return what the engine of a pod reads, as the engine reads it."""
    name = engine_of(entry)
    if name is None:
        return None
    pod = entry["spec"]["template"]["spec"]
    (engine,) = [each for each in pod["containers"] if each["name"] == name]
    assert engine["command"] == ["graphc", "engine"]
    assert engine["args"][0] == "/etc/graphc/graph.json"
    assert [each["containerPort"] for each in engine["ports"]] == [8000, 5001]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "engine-graph"]
    (told,) = [each for each in documents if name_of(each) == volume["configMap"]["name"]]
    found = read_engine_graph(node_of(json.loads(told["data"]["graph.json"])))
    assert isinstance(found, EngineGraph), found
    return found


@each_manifest
def test_a_pod_ends_after_what_it_has_begun(case: Case, level: int) -> None:
    for deployment in deployments(case, level):
        pod, name = deployment["spec"]["template"]["spec"], engine_of(deployment)
        lingers: dict[str, int] = {}
        for container in (each for each in pod["containers"] if not each["name"].startswith("server-")):
            (grace,) = [int(each["value"]) for each in container["env"] if each["name"] == "GRAPHC_GRACE_S"]
            lingers[container["name"]] = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
            assert pod["terminationGracePeriodSeconds"] > lingers[container["name"]] + grace
            if name is not None and container["name"] != name:
                # Its units are there until the engine has answered the last request.
                assert lingers[container["name"]] >= lingers[name] + grace


@each_manifest
def test_nothing_is_lost_on_plain_kubernetes(case: Case, level: int) -> None:
    options = [*case.options, *gateway_of(case, level), "--target", "kubernetes", f"-O{level}"]
    plans: list[Json] = json.loads(_explain(case, [*options, "--output-format", "json"]))
    assert plans
    assert not [loss for plan in plans for loss in plan.get("losses", [])]


def _explain(case: Case, options: list[str]) -> str:
    place = [
        each if not (case.path.parent / each).is_file() else str(case.path.parent / each) for each in options
    ]
    done = CliRunner(env=case.environ).invoke(main, ["explain", str(case.path), *place])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return done.stdout


def _write_asks(resources: Json | None) -> Json | None:
    """Return what a container asks for as an API server keeps it, which is how one without Seldon says it."""
    return resources and {
        kind: {name: canonical_quantity(each) for name, each in asked.items()}
        for kind, asked in resources.items()
    }


@each_manifest
def test_both_targets_give_a_unit_the_same_container(case: Case, level: int) -> None:
    """Where both plan the same units, only what the operator would add differs, and how units end."""
    done = case.compile(level, more=gateway_of(case, level))
    if done.status:
        return
    seldon: dict[tuple[str, str, str], Json] = {}
    for document in yaml.load_all(done.text, yaml.CSafeLoader):
        if document and document["kind"] == "SeldonDeployment":
            for predictor in document["spec"]["predictors"]:
                for pod in predictor["componentSpecs"]:
                    seldon |= {
                        (document["metadata"]["name"], predictor["name"], each["name"]): each
                        for each in pod["spec"]["containers"]
                    }
    plain = {
        (*_version(each), unit["name"]): unit for each in deployments(case, level) for unit in units_of(each)
    }
    for key in plain.keys() & seldon.keys():
        one, other = plain[key], seldon[key]
        if _region(one) != _region(other):
            # Without the executor's limits the plan may be another.
            continue
        for field in ("image", "securityContext", "volumeMounts"):
            assert one.get(field) == other.get(field), field
        assert one.get("resources") == _write_asks(other.get("resources"))
        for field in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert _probe(one, field) == _probe(other, field)
        added = {"GRAPHC_VERSIONS", "MLSERVER_METRICS_ENDPOINT", "MLSERVER_MODEL_NAME"}
        added |= {f"MLSERVER_{name}_PORT" for name in ("HTTP", "GRPC", "METRICS")}
        assert [each for each in one["env"] if each["name"] not in added] == [
            each for each in other["env"] if each["name"] not in added
        ]


def _probe(container: Json, field: str) -> Json:
    """Return a probe of the HTTP port, whatever that is called."""
    numbers = {each["name"]: each["containerPort"] for each in container["ports"]}
    get = container[field]["httpGet"]
    assert numbers[get["port"]] == container["ports"][0]["containerPort"]
    return container[field] | {"httpGet": get | {"port": "http"}}


def _region(container: Json) -> str:
    return next(each["value"] for each in container["env"] if each["name"] == "GRAPHC_REGION")
