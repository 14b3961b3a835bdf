"""What graphs that ask for GPUs compile to on clusters of each kind, byte for byte, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.profiles.read_profile import shipped_profiles

CASES: Final = Path(__file__).parent / "cases"
ANYWHERE: Final = CASES / "anywhere.yaml"
POOLED: Final = CASES / "pooled.yaml"
CHOICES: Final = ("--profile", str(CASES / "choices.profile"), str(CASES / "choices.yaml"))

RESOURCES: Final = {
    "gpu-mig-mixed": "nvidia.com/mig-1g.10gb",
    "gpu-mig-single": "nvidia.com/gpu",
    "gpu-mps": "nvidia.com/gpu.shared",
    "gpu-time-slicing": "nvidia.com/gpu.shared",
    "gpu-whole": "nvidia.com/gpu",
    "no-gpu": None,
}
"""What 8 GiB of a GPU are on each cluster that graphc comes with."""


def run(command: str, *arguments: str) -> str:
    result = CliRunner().invoke(main, [command, *arguments])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


def containers(text: str) -> dict[str, dict[str, Any]]:
    """The containers of a manifest in JSON, by name."""
    (deployment,) = (each for each in json.loads(text)["items"] if each["kind"] == "SeldonDeployment")
    pods = [pod for each in deployment["spec"]["predictors"] for pod in each["componentSpecs"]]
    return {each["name"]: each for pod in pods for each in pod["spec"]["containers"]}


def test_every_profile_with_nodes_is_compiled_for() -> None:
    assert set(RESOURCES) == {name for name in shipped_profiles() if "gpu" in name}


@pytest.mark.parametrize("profile", RESOURCES)
def test_one_graph_for_every_cluster(profile: str, golden: Callable[[str, str], None]) -> None:
    golden(f"anywhere-{profile}.yaml", run("compile", "--profile", profile, str(ANYWHERE)))


@pytest.mark.parametrize(("profile", "resource"), RESOURCES.items())
def test_the_resource_is_what_the_cluster_calls_it(profile: str, resource: str | None) -> None:
    heavy = containers(run("compile", "--profile", profile, "--format", "json", str(ANYWHERE)))["heavy"]
    resources = heavy["resources"]
    wanted = {} if resource is None else {resource: 1}
    for kind in ("requests", "limits"):
        assert {name: count for name, count in resources[kind].items() if "/" in name} == wanted
    assert {"name": "GRAPHC_DEVICE", "value": "prefer-cuda"} in heavy["env"]


def test_sharing_and_models_are_chosen_among_pools(golden: Callable[[str, str], None]) -> None:
    golden("choices.yaml", run("compile", *CHOICES))


@pytest.mark.parametrize("profile", RESOURCES)
def test_explained(profile: str, golden: Callable[[str, str], None]) -> None:
    golden(f"explain-{profile}.txt", run("explain", "--profile", profile, str(ANYWHERE)))


@pytest.mark.parametrize("profile", RESOURCES)
def test_models_of_one_device_on_every_cluster(profile: str, golden: Callable[[str, str], None]) -> None:
    arguments = ("--profile", profile, str(POOLED))
    golden(f"pooled-{profile}.yaml", run("compile", *arguments))
    golden(f"explain-pooled-{profile}.txt", run("explain", *arguments))


def test_explained_choices(golden: Callable[[str, str], None]) -> None:
    text = run("explain", *CHOICES)
    assert max(len(line) for line in text.splitlines()) <= 100
    golden("explain-choices.txt", text)


def test_explained_as_json() -> None:
    (plan,) = json.loads(run("explain", "--profile", "gpu-mps", "--output-format", "json", str(ANYWHERE)))
    landings: dict[str, Any] = {each["unit"]: each for each in plan["landings"]}
    assert set(landings) == {unit["name"] for unit in plan["units"]}
    heavy = landings["heavy"]
    assert (heavy["resource"], heavy["count"], heavy["pools"]) == ("nvidia.com/gpu.shared", 1, ["gpus"])
    assert heavy["memory_mib"] == 81920 // 4
    # The first unit, which runs `lean`, has the graph's name.
    assert landings["anywhere"]["resource"] is None
    assert landings["anywhere"]["pools"] == ["processors"]


def test_nothing_is_said_of_a_cluster_that_is_not_known() -> None:
    text = run("explain", "--output-format", "json", str(CASES.parents[2] / "graphs/wine-average/graph.yaml"))
    assert json.loads(text)[0]["landings"] == []


@pytest.mark.parametrize("workers", [2, 3])
def test_each_process_has_its_own_memory(tmp_path: Path, workers: int) -> None:
    # Messages say GiB with four digits.
    assert estimate(tmp_path, workers, 1) == pytest.approx(workers * estimate(tmp_path, 1, 1), abs=1)


def test_the_largest_batch_counts(tmp_path: Path) -> None:
    assert estimate(tmp_path, 1, 1_000_000) > estimate(tmp_path, 1, 1)


def estimate(folder: Path, workers: int, batch: int) -> int:
    """The MiB that a model is said to need, of a part that is too small in any case."""
    (folder / "ours.profile").write_text(TINY)
    model = Path(__file__).parents[2] / "graphs/diabetes-route/models/lean.onnx"
    path = folder / "graph.yaml"
    path.write_text(GRAPH % (model.as_posix(), workers, batch))
    done = CliRunner().invoke(
        main, ["check", "--output-format", "json", "--profile", str(folder / "ours.profile"), str(path)]
    )
    (found,) = (each["message"] for each in json.loads(done.stdout) if each["code"] == "GC493")
    assert isinstance(found, str)
    amount, unit = found.partition("need ")[2].split()[:2]
    return round(float(amount) * {"MiB": 1, "GiB": 1024}[unit])


TINY: Final = """\
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: tiny}
pools:
  - {name: gpus, nodes: 4, cpu: 8, memory: 8Gi, gpus: {product: Tiny, memory: 256Mi}}
"""

GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: score, namespace: models}
inputs: {x: "FP32[batch, 10]"}
nodes:
  lean:
    model: %s
    in: {X: x}
    resources: {gpu: 1}
    workers: %d
    batch: {max_size: %d, max_delay_ms: 1}
outputs: {y: lean}
"""
