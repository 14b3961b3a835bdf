"""Several models in one container part the memory that it may take of a GPU."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.gpus.share_memory import Need, share_memory
from graphc.hardware.assign import CONTEXT
from graphc.hardware.memory import ASSUMED
from hypothesis import given
from hypothesis import strategies as st

MODELS: Final = Path(__file__).parents[2] / "graphs"
NEEDS: Final = st.dictionaries(
    st.text(min_size=1), st.builds(Need, st.integers(1, 5000), st.booleans()), min_size=1, max_size=8
)


def test_what_is_left_is_parted_in_proportion() -> None:
    assert share_memory(1000, {"a": Need(100), "b": Need(300)}) == {"a": 250, "b": 750}


def test_what_is_left_goes_to_those_of_whom_less_is_known() -> None:
    needs = {"a": Need(100), "b": Need(300, is_whole=False), "c": Need(0, is_whole=False)}
    assert share_memory(1000, needs) == {"a": 100, "b": 600, "c": 300}


def test_where_there_is_too_little_nobody_is_left_with_nothing() -> None:
    assert share_memory(1000, {"a": Need(1500), "b": Need(500)}) == {"a": 750, "b": 250}
    assert share_memory(1000, {"a": Need(1500), "b": Need(0, is_whole=False)}) == {"a": 750, "b": 250}


@given(limit=st.integers(100, 100_000), needs=NEEDS)
def test_parts_are_never_more_than_the_whole(limit: int, needs: dict[str, Need]) -> None:
    parts = share_memory(limit, needs)
    assert parts.keys() == needs.keys()
    assert all(part >= 1 for part in parts.values())
    assert sum(parts.values()) <= limit + len(needs)
    if sum(need.mib for need in needs.values()) <= limit:
        assert all(parts[name] >= need.mib for name, need in needs.items())


def test_an_estimate_counts_the_context_as_the_limit_does() -> None:
    assert ASSUMED.context_mib == CONTEXT


GRAPH: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: both, namespace: models}
inputs: {x: "FP32[batch, 10]"}
nodes:
  lean: {model: %s/diabetes-route/models/lean.onnx, in: {X: x}, unit: one, gpu_memory: 3000Mi, resources: {gpu: 0.25}}
  quick: {model: %s/diabetes-tier/models/quick.onnx, in: {X: x}, unit: one%s}
  mean: {component: mean, in: [lean, quick]}
outputs: {y: mean}
workers: %d
"""


@pytest.mark.parametrize(("profile", "workers"), [("gpu-mps", 1), ("gpu-time-slicing", 2), ("gpu-whole", 1)])
@pytest.mark.parametrize("measured", ["", ", gpu_memory: 1000Mi"])
def test_models_of_one_unit_are_told_their_parts(
    profile: str, workers: int, measured: str, tmp_path: Path
) -> None:
    path = tmp_path / "graph.yaml"
    text = GRAPH % (MODELS, MODELS, measured, workers)
    path.write_text(text.replace("0.25", "1") if profile == "gpu-whole" else text)
    done = CliRunner().invoke(main, ["compile", "--profile", profile, "--format", "json", str(path)])
    assert done.exit_code == 0, done.stderr
    told = variables_of(json.loads(done.stdout), "both")
    parts: dict[str, Any] = {
        each["name"]: each.get("gpu_mib") for each in json.loads(told["GRAPHC_REGION"])["nodes"]
    }
    if profile == "gpu-whole":
        # Nobody else is there: what one model does not take, another may.
        assert ("GRAPHC_GPU_MEMORY_MIB" in told, parts["lean"], parts["quick"]) == (False, None, None)
        return
    limit = int(told["GRAPHC_GPU_MEMORY_MIB"])
    assert limit == 81920 // 4 // workers - CONTEXT
    assert limit - 2 <= parts["lean"] + parts["quick"] <= limit
    if measured:
        assert parts["lean"] == pytest.approx(limit * 3 / 4, abs=1)


def variables_of(manifest: Any, container: str) -> dict[str, str]:
    """The environment of a container of a manifest in JSON."""
    (deployment,) = (each for each in manifest["items"] if each["kind"] == "SeldonDeployment")
    pods = [pod for each in deployment["spec"]["predictors"] for pod in each["componentSpecs"]]
    (found,) = (each for pod in pods for each in pod["spec"]["containers"] if each["name"] == container)
    return {each["name"]: each["value"] for each in found["env"]}
