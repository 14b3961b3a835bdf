"""TensorRT and shared memory, as they reach the containers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from graphc.cli import main
from graphc.hardware.assign import CONTEXT
from graphc.hardware.memory import ASSUMED

CASE: Final = Path(__file__).parent / "cases" / "engines.yaml"

Json = dict[str, Any]


def run(*arguments: str, path: Path = CASE) -> str:
    result = CliRunner().invoke(main, ["compile", *arguments, str(path)])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


def pods(profile: str) -> dict[str, Json]:
    documents: list[Json] = json.loads(run("--profile", profile, "--format", "json"))["items"]
    (deployment,) = (each for each in documents if each["kind"] == "SeldonDeployment")
    specs = [each["spec"] for each in deployment["spec"]["predictors"][0]["componentSpecs"]]
    return {each["containers"][0]["name"]: each for each in specs}


def variables(pod: Json) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("engines-gpu-mps.yaml", run("--profile", "gpu-mps"))


def test_engines_are_kept_on_the_claim_that_is_named() -> None:
    pod = pods("gpu-mps")["kept"]
    told = variables(pod)
    assert (told["GRAPHC_DEVICE"], told["GRAPHC_TENSORRT_FP16"]) == ("tensorrt", "1")
    (mount,) = (
        each
        for each in pod["containers"][0]["volumeMounts"]
        if each["mountPath"] == told["GRAPHC_TENSORRT_CACHE"]
    )
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["persistentVolumeClaim"] == {"claimName": "engines"}
    assert (mount["subPath"], mount.get("readOnly")) == ("diabetes/lean", None)


def test_engines_that_are_not_kept_outlive_a_container_alone() -> None:
    pod = pods("gpu-mps")["built"]
    assert variables(pod)["GRAPHC_DEVICE"] == "prefer-tensorrt"
    assert "GRAPHC_TENSORRT_FP16" not in variables(pod)
    (volume,) = (each for each in pod["volumes"] if each["name"].startswith("engines-"))
    assert volume["emptyDir"] == {}


def test_a_unit_that_builds_engines_is_given_time() -> None:
    found = pods("gpu-mps")
    seconds = {
        name: probe["periodSeconds"] * probe["failureThreshold"]
        for name in ("kept", "shared")
        for probe in (found[name]["containers"][0]["startupProbe"],)
    }
    assert seconds == {"kept": 900, "shared": 120}


@pytest.mark.parametrize(("profile", "part"), [("gpu-mps", 20480), ("gpu-time-slicing", 20480)])
def test_each_process_keeps_to_its_part_of_a_device(profile: str, part: int) -> None:
    found = pods(profile)
    limits = {name: int(variables(found[name])["GRAPHC_GPU_MEMORY_MIB"]) for name in ("kept", "shared")}
    assert limits == {"kept": part - CONTEXT, "shared": part // 2 - CONTEXT}


@pytest.mark.parametrize("profile", ["gpu-mig-mixed", "gpu-mig-single", "gpu-whole"])
def test_who_has_a_device_or_slice_alone_may_take_all_of_it(profile: str) -> None:
    text = run("--profile", profile, path=CASE.with_name("anywhere.yaml"))
    assert "GRAPHC_DEVICE" in text
    assert "GRAPHC_GPU_MEMORY_MIB" not in text


def test_processes_are_told_of_several_devices(tmp_path: Path) -> None:
    text = CASE.with_name("anywhere.yaml").read_text().replace("../../../", f"{CASE.parents[3].as_posix()}/")
    text = text.replace("{amount: 8Gi, device: prefer-gpu}", "2").replace(
        "    resources: {cpu: 2", "    workers: 2\n    resources: {cpu: 2"
    )
    (tmp_path / "graph.yaml").write_text(text)
    found = run("--profile", "gpu-whole", path=tmp_path / "graph.yaml")
    assert "- name: GRAPHC_GPUS\n            value: '2'" in found


def test_what_cuda_takes_is_what_is_estimated() -> None:
    assert ASSUMED.context_mib == CONTEXT
