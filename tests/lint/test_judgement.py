"""Single changes to a sound manifest, and what is said of each; reject files state the messages."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.diagnostics import Sink
from graphc.lint.check import check_manifest
from graphc.lint.words import (
    is_label_value,
    is_port_name,
    is_qualified_name,
    is_service_name,
    parse_quantity,
)
from graphc.profiles.profile import Installation
from graphc.seldon.documents import find_deployments, is_manifest
from graphc.source.located import NOWHERE, place
from graphc.source.yaml_reader import read_documents
from hypothesis import given, settings
from hypothesis import strategies as st

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Change = Callable[[dict[str, Json]], None]

SOUND: Final = """
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: fraud, namespace: models}
spec:
  protocol: v2
  predictors:
    - name: main
      traffic: 100
      graph:
        name: scale
        type: TRANSFORMER
        children:
          - {name: score, implementation: SKLEARN_SERVER, modelUri: "s3://models/score"}
      componentSpecs:
        - spec:
            volumes: [{name: code, configMap: {name: code}}]
            containers:
              - name: scale
                image: registry.example/scale:1
                ports: [{containerPort: 9000, name: http}]
                volumeMounts: [{name: code, mountPath: /code}]
                resources: {requests: {cpu: 500m}, limits: {cpu: "1", nvidia.com/gpu: 1}}
"""


def codes(text: str) -> list[str]:
    sink = Sink()
    for document in read_documents(text, "manifest.yaml", sink):
        for deployment in find_deployments(document):
            check_manifest(deployment, sink)
    return [each.rule.code for each in sink]


def changed(*changes: tuple[str, str]) -> list[str]:
    text = SOUND
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return codes(text)


def test_the_sound_manifest_is_sound() -> None:
    assert codes(SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        # The operator gives a server what it lacks, and replaces its ports and its probes' handlers.
        ("- name: scale\n", "- {name: score}\n              - name: scale\n", []),
        (
            "- name: scale\n",
            "- {name: score, readinessProbe: {periodSeconds: 5}}\n              - name: scale\n",
            [],
        ),
        (
            "- name: scale\n",
            "- {name: score, startupProbe: {periodSeconds: 5}}\n              - name: scale\n",
            ["GC634"],
        ),
        (
            "image: registry.example/scale:1",
            "readinessProbe: {periodSeconds: 5}\n                image: x",
            ["GC634"],
        ),
        # Words of Kubernetes' own that are not YAML's null.
        ("namespace: models", "namespace: ~", []),
        ("traffic: 100", "traffic: ~", []),
        ("traffic: 100", "traffic: 100.0", []),
        ("traffic: 100", "traffic: 99.5", ["GC603"]),
        ("protocol: v2", "protocol: kfserving", []),
        ("protocol: v2", "protocol: seldon", []),
        ("protocol: v2", "protocol: tensorflow", ["GC616"]),
        # An empty text is as good as none.
        ("image: registry.example/scale:1", 'image: x\n                imagePullPolicy: ""', []),
        # Names are hashed where they would be too long, and then nothing of them is left to refuse.
        ("name: main", f"name: {'m' * 60}", []),
        ("name: main", f"name: {'M' * 60}", []),
        ("name: main", f"name: {'m' * 64}", ["GC640"]),
        ("name: main", "name: main_1", ["GC630"]),
        ("metadata: {name: fraud", "metadata: {name: 1fraud", ["GC630"]),
        ("metadata: {name: fraud", "metadata: {generateName: fraud-", []),
        ("apiVersion: machinelearning.seldon.io/v1", "apiVersion: machinelearning.seldon.io/v1alpha2", []),
        # A label of the pods' selector is Seldon's own; with its own value it does no harm.
        ("traffic: 100", "labels: {seldon-deployment-id: fraud}", []),
        ("traffic: 100", "labels: {seldon-deployment-id: other}", ["GC640"]),
        # The executor's own resources are a container's resources.
        ("traffic: 100", "svcOrchSpec: {resources: {limits: {gpus: 1}}}", ["GC638"]),
        ("traffic: 100", "engineResources: {limits: {gpus: 1}}", []),
        ("nvidia.com/gpu: 1", "nvidia.com/gpu: 1000m", []),
        ("nvidia.com/gpu: 1", "nvidia.com/mig-3g.20gb: 1", []),
        ("nvidia.com/gpu: 1", "nvidia.com/mig-3g.21gb: 1", ["GC658"]),
        ("cpu: 500m", "cpu: 1001m", ["GC638"]),
        ("mountPath: /code", "mountPath: /etc/podinfo", ["GC635"]),
        ("{name: code, mountPath: /code}", "{name: podinfo, mountPath: /old}", []),
        ("name: http", "name: a-port-with-a-long-name", ["GC633"]),
        ("name: http", "name: http, protocol: UDP", []),
        ("traffic: 100", "replicas: -1", ["GC639"]),
        ("traffic: 100", "progressDeadlineSeconds: 600", []),
        ("traffic: 100", "annotations: {seldon.io/svc-name: fraud-main}", []),
        ("traffic: 100", "explainer: {modelUri: x, type: AnchorTabular}", []),
        ("traffic: 100", "explainer: {modelUri: x, type: Anchor}", ["GC642"]),
        ("traffic: 100", 'explainer: {modelUri: x, type: ""}', ["GC659"]),
        ("type: TRANSFORMER", "type: MODEL", []),
        ("type: TRANSFORMER", "implementation: SIMPLE_MODEL", ["GC653"]),
    ],
)
def test_one_change(old: str, new: str, found: list[str]) -> None:
    assert changed((old, new)) == found


def test_lists_and_other_kinds() -> None:
    item = "\n    ".join(SOUND.replace("protocol: v2", "protocol: v3").strip().splitlines())
    text = f"apiVersion: v1\nkind: List\nitems:\n  - {{apiVersion: v1, kind: ConfigMap}}\n  - {item}\n"
    assert codes(text) == ["GC610"]
    assert codes("apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: many}\n") == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{apiVersion: v1, kind: ConfigMap}", True),
        ("{apiVersion: machinelearning.seldon.io/v1}", True),
        ("{kind: SeldonDeployment}", True),
        ("{apiVersion: graphc/v1, kind: InferenceGraph}", False),
        ("{apiVersion: graphc/v2, kind: Graph}", False),
        ("{apiVersion: v1, kind: InferenceGraph}", False),
        ("{kind: Graph}", False),
        ("[]", False),
    ],
)
def test_graphs_are_told_from_manifests(text: str, is_one: bool) -> None:
    assert [is_manifest(each) for each in read_documents(text, "file", Sink())] == [is_one]


@pytest.mark.parametrize("command", ["check", "lint"])
def test_the_command_judges_manifests(command: str, tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(SOUND)
    done = CliRunner().invoke(main, [command, str(file)])
    assert (done.exit_code, done.stdout) == (0, "1 manifest, no problems found\n")
    bad = SOUND.replace("protocol: v2", "protocol: v3")
    done = CliRunner().invoke(main, [command, "--output-format", "json", "-"], input=bad)
    assert done.exit_code == 1
    assert [(each["code"], each["line"], each["column"]) for each in json.loads(done.stdout)] == [
        ("GC610", 6, 13)
    ]


def test_a_warning_alone_is_no_rejection() -> None:
    odd = SOUND.replace("type: TRANSFORMER", "type: Transformer")
    done = CliRunner().invoke(main, ["check", "-"], input=odd)
    assert done.exit_code == 0
    assert "warning[GC650]" in done.stdout


def test_compiling_a_manifest_is_refused() -> None:
    done = CliRunner().invoke(main, ["compile", "-"], input=SOUND)
    assert done.exit_code == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 1), ("500m", 0.5), ("1e3", 1000), ("2Ki", 2048), ("+.5k", 500), ("-1", -1), ("1E", 10**18)],
)
def test_quantities(text: str, amount: float) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize("text", ["", "1 Gi", "1gi", "Gi", "1e", "0x1", "1ee3", "--1", "1K"])
def test_no_quantities(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("is_one", "good", "bad"),
    [
        (is_service_name, ["a", "a-1", "a" * 63], ["", "1a", "a-", "A", "a.b", "a" * 64, "a\n"]),
        (
            is_qualified_name,
            ["A", "a.b/C_d", "a" * 63],
            ["", "/a", "a/", "a/b/c", "A/b", "-a", "a" * 64, "a\n"],
        ),
        (is_label_value, ["", "a", "A_b.c-1"], ["-a", "a-", "a b", "a" * 64]),
        (is_port_name, ["http", "p1", "a" * 15], ["", "1", "a--b", "-a", "a-", "A", "a" * 16]),
    ],
)
def test_names(is_one: Callable[[str], bool], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not is_one(text)] == []
    assert [text for text in bad if is_one(text)] == []


EMPTY: Final[list[Json]] = [[], {}, [{}]]

simple: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "v2", "grpc", "-1", "MODEL", "COMBINER", "RANDOM_ABTEST", "TRITON_SERVER", "x/y", "s" * 70]
    ),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
    st.sampled_from(EMPTY),
)


def paths_of(value: Json, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = []
    if isinstance(value, dict):
        below = [found for key, each in value.items() for found in paths_of(each, (*path, key))]
    elif isinstance(value, list):
        below = [found for index, each in enumerate(value) for found in paths_of(each, (*path, index))]
    return [path, *below] if path else below


def replaced(value: Json, path: tuple[str | int, ...], new: Json, *, drop: bool) -> Json:
    """The value with one place in it changed, or dropped from its mapping."""
    key, *rest = path
    if isinstance(value, dict) and isinstance(key, str):
        if not rest and drop:
            return {name: each for name, each in value.items() if name != key}
        inner = replaced(value[key], tuple(rest), new, drop=drop) if rest else new
        return {name: inner if name == key else each for name, each in value.items()}
    if isinstance(value, list) and isinstance(key, int):
        inner = replaced(value[key], tuple(rest), new, drop=drop) if rest else new
        return [inner if index == key else each for index, each in enumerate(value)]
    return value


RICH: Final[Json] = {
    "apiVersion": "machinelearning.seldon.io/v1",
    "kind": "SeldonDeployment",
    "metadata": {"name": "fraud", "labels": {"team": "data"}, "annotations": {"seldon.io/rest-timeout": "5"}},
    "spec": {
        "transport": "grpc",
        "replicas": 2,
        "annotations": {"seldon.io/engine-separate-pod": "true"},
        "predictors": [
            {
                "name": "main",
                "traffic": 90,
                "annotations": {"seldon.io/svc-name": "svc"},
                "explainer": {"type": "ALE", "containerSpec": {"name": "e", "image": "x"}, "replicas": 1},
                "svcOrchSpec": {"env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "1"}}},
                "graph": {
                    "name": "choose",
                    "implementation": "RANDOM_ABTEST",
                    "parameters": [{"name": "ratioA", "type": "FLOAT", "value": "0.5"}],
                    "children": [
                        {
                            "name": "a",
                            "endpoint": {"type": "GRPC"},
                            "logger": {"mode": "all"},
                            "children": [],
                        },
                        {"name": "b", "implementation": "SKLEARN_SERVER", "modelUri": "pvc://claim/b"},
                    ],
                },
                "componentSpecs": [
                    {
                        "metadata": {"name": "pod", "labels": {"tier": "gold"}, "creationTimestamp": None},
                        "hpaSpec": {
                            "minReplicas": 1,
                            "maxReplicas": 3,
                            "metrics": [
                                {"type": "Resource", "resource": {"name": "cpu", "targetAverageValue": "1"}}
                            ],
                        },
                        "pdbSpec": {"minAvailable": "50%"},
                        "spec": {
                            "tolerations": [{"key": "gpu", "operator": "Exists"}],
                            "volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 256}}],
                            "initContainers": [{"name": "fetch", "image": "x"}],
                            "containers": [
                                {
                                    "name": "a",
                                    "image": "x",
                                    "env": [
                                        {
                                            "name": "N",
                                            "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
                                        }
                                    ],
                                    "ports": [{"containerPort": 9000, "hostPort": 90, "name": "http"}],
                                    "livenessProbe": {"httpGet": {"port": "http"}, "successThreshold": 1},
                                    "resources": {"requests": {"cpu": 1}, "limits": {"nvidia.com/gpu": "1"}},
                                    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                                }
                            ],
                        },
                    },
                    {"kedaSpec": {"maxReplicaCount": 2, "triggers": []}, "spec": {"containers": []}},
                ],
            },
            {"name": "shadow", "shadow": True, "graph": {"name": "a"}, "componentSpecs": []},
        ],
    },
}
"""A manifest in which most rules have something to look at."""


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_mutation_is_a_bug_in_graphc(data: st.DataObject) -> None:
    document = RICH
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(document) or [("kind",)]))
        document = replaced(document, path, data.draw(simple), drop=data.draw(st.booleans()))
    found = codes(json.dumps(document))
    assert found == codes(json.dumps(document, indent=2)), "the same manifest, laid out otherwise"


LATER: Final = (Path(__file__).parents[1] / "reject" / "manifest_later_field.yaml").read_text()
LATER_SOUND: Final = "".join(
    line.partition("  #")[0].rstrip() + "\n" for line in LATER.splitlines() if "resizePolicies" not in line
)
TWICE: Final = (Path(__file__).parents[1] / "reject" / "manifest_given_twice.yaml").read_text()


def codes_for(installation: Installation, text: str) -> list[str]:
    sink = Sink()
    for document in read_documents(text, "manifest.yaml", sink):
        for deployment in find_deployments(document):
            check_manifest(deployment, sink, installation)
    return [each.rule.code for each in sink]


@pytest.mark.parametrize(("seldon", "unknown"), [(None, 7), ("1.18", 7), ("1.19", 1)])
def test_a_version_knows_the_fields_that_it_knows(seldon: str | None, unknown: int) -> None:
    assert codes_for(Installation(seldon), LATER) == unknown * ["GC602"]


def test_a_container_that_goes_on_beside_others_may_have_probes() -> None:
    probed = LATER_SOUND.replace(
        "restartPolicy: Always}", "restartPolicy: Always, startupProbe: {exec: {command: ['true']}}}"
    )
    assert codes_for(Installation("1.19"), probed) == []
    assert codes_for(Installation("1.19"), probed.replace("restartPolicy: Always, ", "")) == ["GC637"]


@pytest.mark.parametrize(("seldon", "count"), [(None, 4), ("1.18", 0), ("1.19", 4)])
def test_names_given_twice_are_warned_of_unless_the_version_takes_them(
    seldon: str | None, count: int
) -> None:
    assert codes_for(Installation(seldon), TWICE).count("GC662") == count


OWN: Final = """
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: score}
spec:
  protocol: v2
  predictors:
    - name: main
      graph: {name: score, implementation: SERVER, modelUri: "s3://models/score"}
"""


@pytest.mark.parametrize(
    ("server", "help_"),
    [
        (
            "LIGHTGBM_SERVER",
            "where the cluster's Seldon configuration has it, say so in a profile, as in `servers:",
        ),
        (
            "MY_SERVER",
            "where the cluster's Seldon configuration has it, say so in a profile, as in `servers:",
        ),
        ("SKLERN_SERVER", "did you mean `SKLEARN_SERVER`?"),
        ("xgboost_server", "did you mean `XGBOOST_SERVER`?"),
        ("OTTER_SERVER", "did you mean `OTHER_SERVER`?"),
        ("my server", "name a server of the cluster's Seldon configuration"),
    ],
)
def test_a_server_is_suggested_where_it_is_near(server: str, help_: str) -> None:
    sink = Sink()
    (document,) = read_documents(OWN.replace("SERVER", server, 1), "manifest.yaml", sink)
    check_manifest(next(iter(find_deployments(document))), sink, Installation(servers=("OTHER_SERVER",)))
    (problem,) = sink
    assert problem.rule.code == "GC615"
    assert (problem.help or "").startswith(help_)


def test_a_profile_declares_servers_and_the_version(tmp_path: Path) -> None:
    profile, manifest = tmp_path / "profile.yaml", tmp_path / "manifest.yaml"
    manifest.write_text(OWN.replace("SERVER", "LIGHTGBM_SERVER", 1) + "---\n" + LATER_SOUND)
    head = "apiVersion: graphc/v1\nkind: ClusterProfile\nmetadata: {name: own}\n"
    for said, code in (
        ("servers: [LIGHTGBM_SERVER]\nseldon: '1.19'\n", 0),
        ("servers: [LIGHTGBM_SERVER]\nseldon: 1.19\n", 0),
        ("servers: [LIGHTGBM_SERVER]\n", 1),
        ("seldon: '1.19'\n", 1),
        ("servers: [lightgbm server]\nseldon: '1.19'\n", 1),
        ("servers: [LIGHTGBM_SERVER]\nseldon: '2.0'\n", 1),
    ):
        profile.write_text(head + said)
        done = CliRunner().invoke(main, ["check", "--profile", str(profile), str(manifest)])
        assert done.exit_code == code, (said, done.output)


def test_the_time_grows_with_a_manifest_and_no_faster() -> None:
    def check(count: int) -> float:
        names = [f"u{index}" for index in range(count)]
        graph = {"name": "root", "type": "COMBINER", "children": [{"name": each} for each in names]}
        containers = [{"name": each, "image": "registry.example/x:1"} for each in ("root", *names)]
        predictor = {"name": "main", "graph": graph, "componentSpecs": [{"spec": {"containers": containers}}]}
        document = {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "large"},
            "spec": {"predictors": [predictor]},
        }
        (located,) = find_deployments(place(document, NOWHERE))
        started = time.process_time()
        check_manifest(located, Sink())
        return time.process_time() - started

    check(10)
    # A search for each of them makes this sixteen times the first and far more.
    assert check(4000) < 8 * check(1000)
