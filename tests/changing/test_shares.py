"""Traffic: shares that always sum to 100, moved in every document that says them, and what the file has to say."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from graphc.cluster.bundle import Bundle, is_route, make_bundle
from graphc.cluster.client import ref_of
from graphc.cluster.file_traffic import write_difference
from graphc.cluster.find_serving import annotation_of, read_graph
from graphc.cluster.planning import undone_promotion
from graphc.cluster.problem import ClusterError
from graphc.cluster.promotion import check_routes
from graphc.cluster.records import Promotion, State
from graphc.cluster.traffic import move, shadows_of, share_out, traffic_of
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.rollout.read_rollout import read_rollout
from graphc.rollout.shares import ANNOTATION
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 100))
def test_shares_sum_to_100_and_the_others_keep_their_order(weights: list[int], wanted: int) -> None:
    shares = {f"p{index}": weight for index, weight in enumerate(weights)}
    moved = share_out({**shares, "target": 5}, "target", wanted)
    assert sum(moved.values()) == 100
    assert moved["target"] == wanted
    assert list(moved) == [*shares, "target"]
    assert all(0 <= each <= 100 for each in moved.values())
    for one in shares:
        for other in shares:
            if shares[one] > shares[other]:
                assert moved[one] >= moved[other]


def test_one_alone_has_all() -> None:
    assert share_out({"main": 40}, "main", 10) == {"main": 100}
    assert share_out({"main": 0, "canary": 100}, "canary", 30) == {"main": 70, "canary": 30}


def documents() -> tuple[Json, ...]:
    first = {"name": "main", "traffic": 90}
    deployment: Json = {
        "kind": "SeldonDeployment",
        "apiVersion": "machinelearning.seldon.io/v1",
        "spec": {
            "predictors": [
                first,
                {"name": "dark", "shadow": True},
                {"name": "b", "traffic": 10},
            ]
        },
    }
    http: Json = {
        "kind": "HTTPRoute",
        "apiVersion": "gateway.networking.k8s.io/v1",
        "spec": {
            "rules": [
                {"backendRefs": [{"name": "g-main", "weight": 90}, {"name": "g-b", "weight": 10}]},
                {"backendRefs": [{"name": "g-b", "weight": 1}]},
            ]
        },
    }
    routes = [
        {"destination": {"host": f"g-{name}.ns.svc"}, "weight": share}
        for name, share in (("main", 90), ("b", 10))
    ]
    virtual: Json = {
        "kind": "VirtualService",
        "apiVersion": "networking.istio.io/v1",
        "spec": {"http": [{"route": routes}]},
    }
    return deployment, http, virtual


def test_every_document_that_shares_requests_is_moved() -> None:
    before = documents()
    deployment, http, virtual = move(Bundle("g", "ns", before), {"main": 0, "b": 60, "dark": 40}).documents
    assert traffic_of([deployment]) == {"main": 0, "dark": 40, "b": 60}
    rules: Any = http["spec"]
    assert [each["weight"] for each in rules["rules"][0]["backendRefs"]] == [0, 60]
    assert rules["rules"][1]["backendRefs"] == [{"name": "g-b", "weight": 1}], (
        "a rule for one predictor is no share"
    )
    spec: Any = virtual["spec"]
    assert [each["weight"] for each in spec["http"][0]["route"]] == [0, 60]
    assert before == documents()


@pytest.mark.parametrize(
    ("traffic", "is_undone"),
    [
        ({"main": 90, "canary": 10}, True),
        ({"main": 0, "canary": 100}, False),
        ({"canary": 100}, False),
        ({"main": 0, "canary": 100, "next": 0}, False),
        ({"main": 1, "canary": 99}, True),
    ],
)
def test_a_file_undoes_a_promotion_unless_it_says_the_same(traffic: dict[str, int], is_undone: bool) -> None:
    promotion = Promotion({"main": 90, "canary": 10}, {"main": 0, "canary": 100}, (), "canary", (), True)
    predictors: list[Any] = [{"name": name, "traffic": share} for name, share in traffic.items()]
    deployment: Json = {"kind": "SeldonDeployment", "apiVersion": "machinelearning.seldon.io/v1"}
    deployment["spec"] = {"predictors": predictors}
    found = undone_promotion(Bundle("g", "ns", (deployment,)), State("g", "ns", promotion=promotion))
    assert (found is not None) == is_undone


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  a: {traffic: 90, n: 2}\n  b: {traffic: 10}\n", "  a: {traffic: 0, n: 2}\n  b: {traffic: 100}\n"),
        (
            "  a:\n    traffic: 9  # most\n  b:\n    traffic: 1\n",
            "  a:\n    traffic: 0  # most\n  b:\n    traffic: 100\n",
        ),
        ("  a: {traffic: 100}\n  b: {shadow: true}\n", "  a: {traffic: 0}\n  b: {traffic: 100}\n"),
        ("  a: {traffic: 9}\n  b: {shadow: true, mirror: 5}\n", "  a: {traffic: 0}\n  b: {traffic: 100}\n"),
        ("  a: {traffic: 9}\n  b: {mirror: 5, shadow: true}\n", "  a: {traffic: 0}\n  b: {traffic: 100}\n"),
        (
            "  a:\n    traffic: 9\n  b:\n    shadow: true\n    mirror: 50\n    n: 1\n",
            "  a:\n    traffic: 0\n  b:\n    traffic: 100\n    n: 1\n",
        ),
        (
            "  a:\n    traffic: 9\n  b:\n    mirror: 50  # half\n    shadow: true\n",
            "  a:\n    traffic: 0\n  b:\n    # half\n    traffic: 100\n",
        ),
    ],
)
def test_the_difference_of_the_file_makes_it_true(text: str, wanted: str, tmp_path: Path) -> None:
    head = "kind: InferenceGraph\nmetadata: {name: g}\npredictors:\n"
    path = tmp_path / "graph.yaml"
    path.write_text(head + text)
    found = write_difference(str(path), "g", {"a": 0, "b": 100})
    assert found is not None
    lines = [line for line in found.splitlines(keepends=True)[2:] if not line.startswith("@@")]
    new = "".join(line[1:] for line in lines if not line.startswith("-"))
    assert wanted in new
    assert yaml.safe_load(head + wanted)["predictors"]["b"]["traffic"] == 100
    assert write_difference(str(path), "other", {"a": 0}) is None
    assert write_difference(str(tmp_path / "absent.yaml"), "g", {"a": 0}) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "  a: {traffic: 100}\n  b: {shadow: true}\n",
            "  a: {traffic: 90}\n  b: {traffic: 10, shadow: false}\n",
        ),
        (
            "  a:\n    traffic: 9\n  b:\n    shadow: true\n    mirror: 50\n    n: 1\n",
            "  a:\n    traffic: 90\n  b:\n    traffic: 10\n    shadow: false\n    n: 1\n",
        ),
    ],
)
def test_a_shadow_on_its_way_says_that_it_was_one(text: str, wanted: str, tmp_path: Path) -> None:
    head = "kind: InferenceGraph\nmetadata: {name: g}\npredictors:\n"
    path = tmp_path / "graph.yaml"
    path.write_text(head + text)
    found = write_difference(str(path), "g", {"a": 90, "b": 10})
    assert found is not None
    lines = [line for line in found.splitlines(keepends=True)[2:] if not line.startswith("@@")]
    assert wanted in "".join(line[1:] for line in lines if not line.startswith("-"))
    assert yaml.safe_load(head + wanted)["predictors"]["b"]["shadow"] is False


VERSIONS: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: g, namespace: ns}
inputs: {a: "FP32[batch]", b: "FP32[batch]"}
nodes: {both: {component: mean, in: [a, b]}}
outputs: {y: both}
predictors:
  main: {traffic: 100}
  dark: {shadow: true, mirror: 50}
  ghost: {shadow: true}
  beta: {when: {header: {x-version: beta}}}
"""


def compiled(profile: str, folder: Path, text: str = VERSIONS, target: str = "seldon") -> Bundle:
    path = folder / "graph.yaml"
    path.write_text(text)
    done = compile_files(Request([str(path)], profile=profile, target=target))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    return make_bundle("g", "ns", done.emissions[0].documents, None, "ns")


@pytest.mark.parametrize("target", ["seldon", "kubernetes"])
@pytest.mark.parametrize("profile", ["gateway", "istio"])
def test_a_mirrored_shadow_becomes_a_backend_step_by_step(profile: str, target: str, tmp_path: Path) -> None:
    bundle = compiled(profile, tmp_path, target=target)
    for shares in ({"main": 90, "dark": 10}, {"main": 50, "dark": 50}, {"main": 0, "dark": 100}):
        whole = shares | {"ghost": 0, "beta": 0}
        moved = move(bundle, whole)
        check_routes(bundle, moved, whole)
        # A file that says the same compiles to the same routes.
        text = VERSIONS.replace("main: {traffic: 100}", f"main: {{traffic: {shares['main']}}}")
        text = text.replace("dark: {shadow: true, mirror: 50}", f"dark: {{traffic: {shares['dark']}}}")
        wanted = compiled(profile, tmp_path, text, target)
        routes = [
            [each["spec"] for each in found.documents if is_route(ref_of(each))] for found in (moved, wanted)
        ]
        assert routes[0] == routes[1]
        assert routes[0]
        # So does what the other documents say of it.
        rollouts = [read_rollout(read_graph(found.documents)) for found in (moved, wanted)]
        assert rollouts[0] == rollouts[1]
        assert traffic_of(moved.documents) == traffic_of(wanted.documents)
        assert shadows_of(moved.documents) == shadows_of(wanted.documents)
        assert is_annotated(moved) == is_annotated(wanted)
        bundle = moved


def is_annotated(bundle: Bundle) -> bool:
    return bool(annotation_of(bundle.documents, ANNOTATION))


@pytest.mark.parametrize("profile", ["gateway", "istio"])
def test_a_version_with_a_rule_of_its_own_is_refused_with_the_way_out(profile: str, tmp_path: Path) -> None:
    bundle = compiled(profile, tmp_path)
    shares = {"main": 90, "beta": 10, "dark": 0, "ghost": 0}
    with pytest.raises(
        ClusterError, match=r"sends nothing to `beta`: .*; give it traffic in the file, and apply that"
    ):
        check_routes(bundle, move(bundle, shares), shares)


def test_sticky_requests_are_shared_by_pods_and_not_by_weights(tmp_path: Path) -> None:
    text = VERSIONS.partition("  main:")[0].replace("predictors:", "sticky: {header: X-User}\npredictors:")
    text += "  main: {traffic: 50, replicas: 1}\n  dark: {traffic: 50, replicas: 1}\n"
    bundle = compiled("istio", tmp_path, text)
    shares = {"main": 0, "dark": 100}
    with pytest.raises(ClusterError, match="requests are shared by a key"):
        check_routes(bundle, move(bundle, shares), shares)
