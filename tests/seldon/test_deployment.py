"""A SeldonDeployment is the same, whether it came as a file or as JSON; only a file gives places."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from graphc.diagnostics import Sink
from graphc.seldon.deployment import Deployment, deployment_of, made_name, read_deployment
from graphc.seldon.documents import find_deployments
from graphc.seldon.node import ManifestNode
from graphc.source.located import NOWHERE, Plain
from graphc.source.yaml_reader import read_manifests

GOLDENS: Final = sorted(Path(__file__).parents[1].glob("golden/test_compiled_graphs/*.O1.yaml"))
FILE: Final = """\
kind: SeldonDeployment
metadata: {generateName: fraud-, annotations: {a: one}}
spec:
  protocol: kfserving
  replicas: 2
  annotations: {seldon.io/engine-separate-pod: "True"}
  predictors:
    - name: main
      annotations: {seldon.io/no-engine: "TRUE"}
      labels: {team: risk}
      graph:
        name: choose
        implementation: RANDOM_ABTEST
        parameters: [{name: ratioA, value: "0.25", type: FLOAT}]
        children:
          - {name: left, implementation: SKLEARN_SERVER, modelUri: "s3://left"}
          - {name: right, methods: [TRANSFORM_INPUT], endpoint: {service_host: right, httpPort: 9000}}
      componentSpecs:
        - spec:
            containers: [{name: right, image: "right:1", command: [serve, 1], env: [{name: A, value: b}]}]
            initContainers: [{name: load}]
            volumes: [{name: code, emptyDir: {}}]
        - {replicas: 5, spec: {containers: [{name: other}]}}
    - {name: ghost, shadow: true, traffic: 20, replicas: 3, graph: {name: left, type: null}}
"""
STRANGE: Final[list[Plain]] = [
    None,
    [],
    "text",
    {"spec": 1},
    {"spec": {"predictors": [None, 1, {"graph": [], "componentSpecs": {}}]}},
]


def read(text: str) -> Iterator[Deployment]:
    for document in read_manifests(text, "m.yaml", Sink()):
        yield from (read_deployment(ManifestNode(each)) for each in find_deployments(document))


def test_what_a_file_says() -> None:
    (found,) = read(FILE)
    assert (found.name, found.namespace, found.protocol, found.transport) == (
        "fraud-xxxxx",
        "default",
        "kfserving",
        "rest",
    )
    assert (found.speaks_v2, found.has_separate_engine, found.annotations) == (True, True, {"a": "one"})
    main, ghost = found.predictors
    assert (main.share, main.is_shadow, main.has_engine, main.labels) == (
        None,
        False,
        False,
        {"team": "risk"},
    )
    assert (ghost.share, ghost.is_shadow, ghost.has_engine, ghost.labels) == (20, True, True, {})
    choose, left, right = main.units
    assert (choose.ratio, choose.chooses, choose.routes, choose.is_called, choose.is_idle) == (
        0.25,
        True,
        False,
        False,
        False,
    )
    assert (left.type, left.is_server, left.model_uri) == ("MODEL", True, "s3://left")
    assert (right.type, right.transforms_input, right.needs_container) == (None, True, True)
    assert right.endpoint is not None
    assert right.endpoint.authority == "right:9000"
    assert ghost.graph.type == "MODEL"
    first, second = main.pods
    (container,) = first.containers
    assert (container.image, container.command) == ("right:1", ("serve",))
    assert [each.text("value") for each in container.env] == ["b"]
    assert ([each.name for each in first.init_containers], [*first.volumes]) == (["load"], ["code"])
    assert [found.replicas_of(main, each) for each in (first, second)] == [2, 5]
    assert found.replicas_of(ghost, first) == 3
    assert (main.pod_of(right), main.pod_of(left), main.pod_of(choose)) == (first, first, None)


def test_a_file_gives_places_and_json_none() -> None:
    (found,) = read(FILE)
    assert [unit.node.span.line for unit in found.predictors[0].units] == [12, 16, 17]
    same = deployment_of(found.node.plain)
    assert {unit.node.span for each in same.predictors for unit in each.units} == {NOWHERE}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_a_file_and_its_json_are_one(path: Path) -> None:
    for found in read(path.read_text()):
        same = deployment_of(json.loads(json.dumps(found.node.plain)))
        assert same.node.plain == found.node.plain
        assert [each.graph for each in same.predictors] == [each.graph for each in found.predictors]
        pods = [
            [(each.name, each.image, each.command, each.args) for _, each in predictor.containers()]
            for deployment in (found, same)
            for predictor in deployment.predictors
        ]
        assert pods[: len(pods) // 2] == pods[len(pods) // 2 :]


@pytest.mark.parametrize("document", STRANGE)
def test_what_is_of_another_kind_is_absent(document: object) -> None:
    found = deployment_of(document)
    assert found.name == ""
    assert {each.graph.name for each in found.predictors} <= {""}
    assert not [each for predictor in found.predictors for each in predictor.containers()]


def test_long_names_are_hashed_as_the_operator_does() -> None:
    assert made_name("a", "b") == "a-b"
    assert made_name("a" * 63) == "a" * 63
    assert made_name("a" * 64) == "seldon-014842d480b571495a4a0363793f7367"


def test_the_first_of_a_name_is_found() -> None:
    pods = [{"spec": {"containers": [{"name": "a", "image": str(at)}, {"name": "b"}]}} for at in range(2)]
    graph = {"name": "a", "type": "ROUTER", "children": [{"name": "a", "type": "MODEL"}]}
    document = {"spec": {"predictors": [{"name": "main", "graph": graph, "componentSpecs": pods}]}}
    (predictor,) = deployment_of(document).predictors
    unit, container = predictor.unit("a"), predictor.container("a")
    assert unit is predictor.graph
    assert unit is not None
    assert container is not None
    assert container.image == "0"
    assert predictor.pod_of(unit) is predictor.pods[0]
    assert predictor.unit("b") is predictor.container("c") is None
