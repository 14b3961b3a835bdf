"""A region that is too large for a variable goes into a config map, and is read back from there."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.documents import write_yaml
from graphc.run.signature import find_signature
from graphc.targets.pods.layout import MAX_VARIABLE
from graphc_runtimes.environment import read_environment
from graphc_runtimes.errors import RegionError
from graphc_runtimes.region import parse_region

Json = dict[str, Any]


def emit(folder: Path, count: int) -> list[Json]:
    """What a chain of so many nodes compiles to."""
    lines = ["apiVersion: graphc/v1", "kind: InferenceGraph", "metadata: {name: long}"]
    lines += ["inputs: {x: 'FP32[batch, 8]'}", "nodes:"]
    for index in range(count):
        reads = f"n{index - 1}" if index else "x"
        lines.append(f"  n{index}: {{component: clip, in: {reads}, parameters: {{low: 0, high: 1}}}}")
    path = folder / "graph.yaml"
    path.write_text("\n".join([*lines, f"outputs: {{y: n{count - 1}}}", ""]))
    done = compile_files(Request([str(path)], {}, {}))
    assert not done.sink.has_errors, list(done.sink)
    return [dict(document) for emission in done.emissions for document in emission.documents]


def container(documents: list[Json]) -> Json:
    (pod,) = documents[-1]["spec"]["predictors"][0]["componentSpecs"]
    return pod["spec"]["containers"][0]


def test_a_small_region_stays_in_its_variable(tmp_path: Path) -> None:
    (deployment,) = emit(tmp_path, 100)
    variables = {each["name"]: each["value"] for each in container([deployment])["env"]}
    assert len(json.loads(variables["GRAPHC_REGION"])["nodes"]) == 100
    assert "GRAPHC_REGION_FILE" not in variables


def test_a_large_region_is_mounted(tmp_path: Path) -> None:
    documents = emit(tmp_path, 1_000)
    config_map, deployment = documents
    variables = {each["name"]: each["value"] for each in container(documents)["env"]}
    assert "GRAPHC_REGION" not in variables
    _, mount = container(documents)["volumeMounts"]
    assert variables["GRAPHC_REGION_FILE"] == f"{mount['mountPath']}/region"
    _, volume = deployment["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["volumes"]
    assert volume["name"] == mount["name"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    assert len(write_yaml(documents)) < MAX_VARIABLE
    (tmp_path / "region").write_bytes(base64.b64decode(config_map["binaryData"]["region"]))
    environment = {"GRAPHC_REGION_FILE": str(tmp_path / "region")}
    assert len(parse_region(read_environment(environment).region).nodes) == 1_000
    signature = find_signature([environment])
    assert signature is not None
    assert signature.name == "long"


REGION = json.dumps({"graph": {"name": "one", "inputs": [], "outputs": []}})


@pytest.mark.parametrize("content", [REGION.encode(), zlib.compress(REGION.encode())])
def test_a_file_is_read_plain_or_compressed(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "region").write_bytes(content)
    assert read_environment({"GRAPHC_REGION_FILE": str(tmp_path / "region")}).region == REGION


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"<html>", "neither JSON nor"), (b"{\xff", "neither JSON")],
)
def test_a_file_that_holds_no_region(content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "region").write_bytes(content)
    with pytest.raises(RegionError, match=reason):
        read_environment({"GRAPHC_REGION_FILE": str(tmp_path / "region")})


def test_a_region_has_to_be_somewhere() -> None:
    with pytest.raises(RegionError, match="GRAPHC_REGION and GRAPHC_REGION_FILE"):
        read_environment({})
