"""The target `kubernetes`: the engine as a profile has it, what refuses it, and what a local run reads of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click import ClickException
from click.testing import CliRunner, Result
from graphc.cli import main
from graphc.cli.bundles import refuse_unknown
from graphc.diagnostics import Sink
from graphc.run.load import load_manifests
from graphc.run.problem import Findings
from graphc.seldon.deployment import read_deployment
from graphc.seldon.documents import KIND
from graphc.seldon.node import node_of
from graphc.targets.find import list_targets

GRAPH: Final = str(Path(__file__).parents[2] / "graphs" / "wine-average" / "graph.yaml")
PROFILE: Final = """\
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
target: kubernetes
runtime: {registry: registry.example.com/team}
"""

Json = dict[str, Any]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def compiled(*options: str) -> list[Json]:
    done = call("compile", "-O0", *options, GRAPH)
    assert done.exit_code == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def engine_of(documents: list[Json]) -> Json:
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    container: Json = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["name"] == deployment["metadata"]["annotations"]["graphc.dev/engine"]
    return container


@pytest.mark.parametrize(
    ("said", "image", "command", "resources"),
    [
        (
            "{}",
            "registry.example.com/team/graphc-engine:0.1.0",
            ["graphc", "engine"],
            {"requests": {"cpu": "500m", "memory": "512Mi"}},
        ),
        (
            "{image: a.example.com/engine, tag: '2', command: [/bin/engine], cpu: 2, memory: 1Gi}",
            "a.example.com/engine:2",
            ["/bin/engine"],
            {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        ),
    ],
)
def test_a_profile_says_which_engine_walks(
    tmp_path: Path, said: str, image: str, command: list[str], resources: Json
) -> None:
    (tmp_path / "cluster.yaml").write_text(f"{PROFILE}engine: {said}\n")
    engine = engine_of(compiled("--profile", str(tmp_path / "cluster.yaml")))
    assert (engine["image"], engine["command"], engine["resources"]) == (image, command, resources)


@pytest.mark.parametrize(("requests", "kept"), [("2000", "2k"), ("1500", "1500"), ("12.5", "12500m")])
def test_a_load_is_written_as_the_api_server_keeps_it(tmp_path: Path, requests: str, kept: str) -> None:
    (tmp_path / "cluster.yaml").write_text(f"{PROFILE}autoscaling: {{kind: hpa, adapter: true}}\n")
    (tmp_path / "graph.yaml").write_text(
        "apiVersion: graphc/v1\nkind: InferenceGraph\nmetadata: {name: g}\ninputs: {x: 'FP32[batch, 3]'}\n"
        f"autoscaling: {{max: 3, requests_per_second: {requests}}}\n"
        "nodes:\n  y: {component: softmax, in: x}\noutputs: {y: y}\n"
    )
    done = call("compile", "--profile", str(tmp_path / "cluster.yaml"), str(tmp_path / "graph.yaml"))
    assert done.exit_code == 0, done.stderr
    documents: list[Json] = list(yaml.safe_load_all(done.stdout))
    (scaler,) = [each for each in documents if each["kind"] == "HorizontalPodAutoscaler"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": kept}


def test_a_wrong_engine_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(f"{PROFILE}engine: {{cpu: much}}\n")
    done = call("check", str(tmp_path / "cluster.yaml"))
    assert done.exit_code == 1
    assert "cluster.yaml:6:" in done.stdout
    assert "Traceback" not in done.output


def test_what_changes_clusters_knows_every_target_and_refuses_others() -> None:
    for target in list_targets():
        refuse_unknown(target)
    with pytest.raises(ClickException, match="for the target `other` to serve"):
        refuse_unknown("other")


def test_check_finds_nothing_wrong_in_what_is_emitted(tmp_path: Path) -> None:
    for level in ("-O0", "-O1"):
        done = call("compile", level, "--target", "kubernetes", GRAPH, "-o", str(tmp_path / "k8s.yaml"))
        assert done.exit_code == 0
        checked = call("check", str(tmp_path / "k8s.yaml"))
        assert checked.exit_code == 0, checked.output


def load(documents: list[Json]) -> tuple[list[Json], list[str]]:
    """Return the SeldonDeployments that a local run makes of documents, and what it refuses."""
    sink, findings = Sink(), Findings()
    text = "\n---\n".join(json.dumps(each) for each in documents)
    loaded = load_manifests({"k8s.yaml": text}, sink, findings)
    assert not len(sink)
    found: Any = [each.plain for each in loaded.documents if each.text("kind") == KIND]
    return found, [each.message for each in findings.problems]


def test_a_run_reads_the_same_units_as_of_a_manifest_of_seldons() -> None:
    (ours,), problems = load(compiled("--target", "kubernetes"))
    (seldons,) = [each for each in compiled() if each["kind"] == KIND]
    assert problems == []
    assert ours["metadata"]["name"] == seldons["metadata"]["name"]

    def units(deployment: Json) -> list[str]:
        return [unit["name"] for unit in tree(deployment["spec"]["predictors"][0]["graph"])]

    assert set(units(seldons)) >= set(units(ours)) > {"average", "forest", "linear", "network"}
    containers = ours["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    assert {each["name"] for each in containers} == set(units(ours))


def tree(unit: Json) -> list[Json]:
    return [unit, *(below for child in unit["children"] for below in tree(child))]


def test_several_versions_are_read_with_their_shares(tmp_path: Path) -> None:
    graph = Path(GRAPH).read_text() + "predictors: {main: {traffic: 90}, canary: {traffic: 10}}\n"
    (tmp_path / "graph.yaml").write_text(graph.replace("models/", f"{Path(GRAPH).parent}/models/"))
    (tmp_path / "cluster.yaml").write_text(f"{PROFILE}ingress: {{kind: gateway, gateway: a/b, path: /g}}\n")
    options = ["--profile", str(tmp_path / "cluster.yaml")]
    done = call("compile", str(tmp_path / "graph.yaml"), *options)
    assert done.exit_code == 0, done.stderr
    (found,), problems = load(list(yaml.safe_load_all(done.stdout)))
    assert problems == []
    predictors = found["spec"]["predictors"]
    assert [each["name"] for each in predictors] == ["main", "canary"]
    assert json.loads(found["metadata"]["annotations"]["graphc.dev/rollout"]) == {
        "ways": [{"shares": {"main": 90, "canary": 10}}]
    }


Spoil = Callable[[list[Json]], object]

SPOILT: Final[list[tuple[Spoil, str]]] = [
    (lambda found: found.pop(), "reads the config map `"),
    (lambda found: found[-1]["data"].clear(), "is not an EngineGraph"),
    (lambda found: found[-1]["data"].update({"graph.json": "[" * 5000}), "is not an EngineGraph"),
    (lambda found: found[-1]["data"].update({"graph.json": '{"kind": "Pod"}'}), "is not an EngineGraph"),
    (lambda found: found.append(found[0]), "has 2 Deployments that clients call"),
    (
        lambda found: found[0]["metadata"]["labels"].update({"app.kubernetes.io/component": "unit"}),
        "has no Deployments that clients call",
    ),
]


def test_versions_have_to_agree_on_their_shares() -> None:
    documents = compiled("-O1", "--target", "kubernetes")
    (main,) = [each for each in documents if each["kind"] == "Deployment"]
    canary: Json = json.loads(json.dumps(main))
    canary["metadata"]["name"] = "wine-average-canary"
    canary["metadata"]["labels"]["graphc.dev/predictor"] = "canary"
    assert load([main, canary])[1] == []
    canary["metadata"]["annotations"]["graphc.dev/rollout"] = "{}"
    (problem,) = load([main, canary])[1]
    assert "do not say the same of who shares its requests" in problem


@pytest.mark.parametrize(("spoil", "problem"), SPOILT, ids=range(len(SPOILT)))
def test_what_a_run_cannot_read_is_one_line(spoil: Spoil, problem: str) -> None:
    documents = compiled("--target", "kubernetes")
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    (graph,) = [each for each in documents if "engine" in each["metadata"]["name"]]
    found = [deployment, graph]
    spoil(found)
    _, problems = load(found)
    assert any(problem in each for each in problems), problems


def test_a_deployment_of_somebody_elses_is_none_of_a_graph() -> None:
    documents = compiled("--target", "kubernetes")
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    del deployment["metadata"]["labels"]["graphc.dev/predictor"]
    found, problems = load([deployment])
    assert (found, problems) == ([], [])


def test_the_engine_goes_before_each_version_alone() -> None:
    """A version of one unit needs none, whatever others need."""
    (found,), _ = load(compiled("-O1", "--target", "kubernetes"))
    assert not read_deployment(node_of(found)).predictors[0].has_engine
