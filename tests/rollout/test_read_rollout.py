"""A rollout is read from what Seldon itself has, or from the annotation that graphc writes."""

import json
from pathlib import Path

import pytest
import yaml
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.profiles.profile import Ingress, Place, Profile
from graphc.rollout.describe import describe_rollout
from graphc.rollout.read_rollout import read_rollout
from graphc.rollout.shares import ANNOTATION, Match, Mirror, Rollout, Share, Way
from graphc.seldon.deployment import deployment_of

CASES = sorted(Path(__file__).parents[1].glob("golden/test_compiled_graphs/*.O1.yaml"))
GRAPH = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score, namespace: models}
inputs: {x: "FP32[batch, 3]"}
nodes: {a: {component: clip, in: x, parameters: {low: 0, high: 1}}}
outputs: {y: a}
"""
EVERYTHING = """
sticky: {header: X-User}
predictors:
  main: {traffic: 90}
  canary: {traffic: 10}
  beta: {when: {header: {X-Version: beta, X-Team: risk}}}
  v2: {when: {path: v2}}
  ghost: {shadow: true, mirror: 20}
  other: {shadow: true}
"""
WANTED = Rollout(
    (
        Way(Match("v2"), (Share("v2", 100),)),
        Way(Match(headers=(("x-team", "risk"), ("x-version", "beta"))), (Share("beta", 100),)),
        Way(Match(), (Share("main", 90), Share("canary", 10))),
    ),
    (Mirror("ghost", 20), Mirror("other", 100)),
    "x-user",
)


def _read(document: object) -> Rollout:
    return read_rollout(deployment_of(document))


def deployment(**predictors: dict[str, object]) -> dict[str, object]:
    return {"spec": {"predictors": [{"name": name} | fields for name, fields in predictors.items()]}}


def test_seldons_own_fields() -> None:
    found = _read(
        deployment(main={"traffic": 90}, canary={"traffic": 10}, ghost={"shadow": True, "traffic": 20})
    )
    assert found == Rollout((Way(Match(), (Share("main", 90), Share("canary", 10))),), (Mirror("ghost", 20),))


@pytest.mark.parametrize("traffic", [{}, {"traffic": 0}, {"traffic": 100}])
def test_a_predictor_that_is_alone_gets_all(traffic: dict[str, object]) -> None:
    found = _read(deployment(main=traffic, ghost={"shadow": True}))
    assert found == Rollout((Way(Match(), (Share("main", 100),)),), (Mirror("ghost", 100),))


def test_no_traffic_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no live predictor gets any traffic"):
        _read(deployment(main={}, canary={}))


def compiled(text: str, tmp_path: Path, *, local: bool) -> list[dict[str, object]]:
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    purpose = "local" if local else "cluster"
    cluster = Profile(ingress=Ingress("gateway", Place("a", "b")))
    done = compile_files(Request([str(path)], purpose=purpose, cluster=cluster))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    return [dict(each) for emission in done.emissions for each in emission.documents]


def test_what_is_compiled_for_a_run_is_what_the_file_says(tmp_path: Path) -> None:
    (document,) = compiled(GRAPH + EVERYTHING, tmp_path, local=True)
    assert _read(document) == WANTED


def test_the_same_is_read_from_what_goes_to_a_cluster(tmp_path: Path) -> None:
    text = GRAPH + EVERYTHING.replace("sticky: {header: X-User}", "")
    documents = compiled(text, tmp_path, local=False)
    (document,) = [each for each in documents if each["kind"] == "SeldonDeployment"]
    assert _read(document) == Rollout(WANTED.ways, WANTED.mirrors)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_golden_has_a_rollout_of_its_predictors(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document and document["kind"] == "SeldonDeployment":
            rollout = _read(document)
            named = {share.predictor for way in rollout.ways for share in way.shares}
            named |= {each.predictor for each in rollout.mirrors}
            assert named == {each["name"] for each in document["spec"]["predictors"]}


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("{", "is not JSON"),
        ('{"ways": [{"shares": {"other": 100}}]}', "names `other`, which is not a predictor"),
        ('{"ways": [{"shares": {"main": 0}}]}', "leads nowhere"),
        (
            '{"ways": [{"shares": {"main": "all"}}]}',
            "the share of `main` in `.*` is `all`, which is not",
        ),
    ],
)
def test_an_annotation_that_is_wrong_is_refused(annotation: str, message: str) -> None:
    document = deployment(main={"traffic": 100}) | {"metadata": {"annotations": {ANNOTATION: annotation}}}
    with pytest.raises(ValueError, match=message):
        _read(document)


def test_the_annotation_is_read_as_it_was_written() -> None:
    names = {"main", "canary", "beta", "v2", "ghost", "other"}
    document = deployment(**{name: dict[str, object]() for name in names})
    document["metadata"] = {"annotations": {ANNOTATION: json.dumps(WANTED.to_json())}}
    assert _read(document) == WANTED


def test_a_rollout_in_words() -> None:
    assert describe_rollout(WANTED).splitlines() == [
        "/v2/v2/...: v2",
        "x-team: risk with x-version: beta: beta",
        "requests: main 90 %, canary 10 %, by `x-user`",
        "shadow ghost: a copy of 20 % of the requests",
        "shadow other: a copy of each request",
    ]


def test_who_says_no_traffic_beside_others_gets_none(tmp_path: Path) -> None:
    text = GRAPH + "predictors: {main: {traffic: 90}, canary: {traffic: 10}, spare: {}}\n"
    (document,) = compiled(text, tmp_path, local=True)
    (way,) = _read(document).ways
    assert {share.predictor: share.weight for share in way.shares} == {"main": 90, "canary": 10, "spare": 0}


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("[" * 100_000, "is not JSON"),
        ('{"ways": [{"shares": {"main": ' + "9" * 5000 + "}}]}", "is not JSON"),
        ('{"ways": [{"shares": {"main": ' + "9" * 400 + "}}]}", "is not a whole number up to 2147483647"),
        ('{"mirrors": {"main": 2147483648}}', "is not a whole number up to 2147483647"),
    ],
)
def test_an_annotation_too_large_for_any_reader_is_refused(annotation: str, message: str) -> None:
    document = deployment(main={"traffic": 100}) | {"metadata": {"annotations": {ANNOTATION: annotation}}}
    with pytest.raises(ValueError, match=message):
        _read(document)
