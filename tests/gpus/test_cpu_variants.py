"""Models for processors travel with those that they stand for, and a unit finds them."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner
from graphc.cli import main
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.targets.shipping import LocalShipment

ROOT: Final = Path(__file__).parents[2]
CASE: Final = Path(__file__).parent / "cases" / "variants.yaml"
QUICK: Final = ROOT / "graphs" / "diabetes-tier" / "models" / "quick.onnx"

Json = dict[str, Any]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["compile", *arguments])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


def compiled(path: Path) -> list[Json]:
    found = json.loads(run("--format", "json", str(path)))
    return found.get("items", [found])


def predictors(documents: list[Json]) -> dict[str, Json]:
    (deployment,) = (each for each in documents if each["kind"] == "SeldonDeployment")
    return {each["name"]: each for each in deployment["spec"]["predictors"]}


def models(predictor: Json) -> dict[str, Json]:
    """The models of a predictor's regions, by node."""
    containers = [each for pod in predictor["componentSpecs"] for each in pod["spec"]["containers"]]
    texts = [env["value"] for each in containers for env in each["env"] if env["name"] == "GRAPHC_REGION"]
    nodes = [node for text in texts for node in json.loads(text)["nodes"]]
    return {node["name"]: node for node in nodes if node["kind"] == "model"}


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("variants.yaml", run(str(CASE)))


def test_a_file_comes_in_the_config_map_of_its_model() -> None:
    maps = [each for each in compiled(CASE) if each["kind"] == "ConfigMap" and len(each["binaryData"]) == 2]
    (found,) = maps
    assert base64.b64decode(found["binaryData"]["cpu_quick.onnx"]) == QUICK.read_bytes()
    node = models(predictors(compiled(CASE))["main"])["score"]
    assert (node["path"], node["cpu_path"]) == ("score/lean.onnx", "score/cpu/quick.onnx")


def test_a_uri_is_fetched_beside_its_model_with_the_same_credentials() -> None:
    main_predictor = predictors(compiled(CASE))["main"]
    loaders = [
        each for pod in main_predictor["componentSpecs"] for each in pod["spec"].get("initContainers", [])
    ]
    assert [each["command"][-2:] for each in loaders] == [
        ["s3://bucket/large/model.onnx", "/mnt/graphc/fetched"],
        ["gs://elsewhere/small.onnx", "/mnt/graphc/fetched/cpu"],
    ]
    assert loaders[0]["envFrom"] == loaders[1]["envFrom"]
    assert loaders[0]["volumeMounts"] == loaders[1]["volumeMounts"]
    assert models(main_predictor)["fetched"]["cpu_path"] == "fetched/cpu/small.onnx"


def test_of_a_claim_the_folder_has_both() -> None:
    node = models(predictors(compiled(CASE))["main"])["claimed"]
    assert (node["path"], node["cpu_path"]) == ("claimed/model.onnx", "claimed/model.int8.onnx")


def test_a_version_with_another_model_has_not_the_variant_of_the_first() -> None:
    assert "cpu_path" not in models(predictors(compiled(CASE))["canary"])["score"]


def test_a_store_has_both_where_the_files_are_beside_the_graph(tmp_path: Path) -> None:
    for name in ("lean.onnx", "quick.onnx"):
        (tmp_path / name).write_bytes(QUICK.read_bytes())
    text = re.sub(r"(model: ).*/(\w+\.onnx)", r"\1\2", CASE.read_text())
    head, _, _ = text.partition("  fetched:")
    graph = tmp_path / "graph.yaml"
    graph.write_text(f"{head}artifacts: s3://bucket/models\noutputs: {{y: score}}\n")
    (pod,) = predictors(compiled(graph))["main"]["componentSpecs"]
    content = hashlib.sha256(QUICK.read_bytes()).hexdigest()
    loads = [each["command"][-4:] for each in pod["spec"]["initContainers"]]
    assert [load[1:] for load in loads] == [
        ["/mnt/graphc/score", "--sha256", content],
        ["/mnt/graphc/score/cpu", "--sha256", content],
    ]
    for load, name in zip(loads, ("lean.onnx", "quick.onnx"), strict=True):
        assert re.fullmatch(rf"s3://bucket/models/sha256/[0-9a-f]{{64}}/(cpu/)?{name}", load[0])


def test_a_run_on_this_machine_has_both() -> None:
    (emission,) = compile_files(Request([str(CASE)], purpose="local")).emissions
    files = {(name, each.node): dict(each.files) for name, each in emission.local}
    assert all(isinstance(each, LocalShipment) for _, each in emission.local)
    assert files["main", "score"]["cpu/quick.onnx"].read_bytes() == QUICK.read_bytes()
