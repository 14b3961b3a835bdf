"""At -O2 what can be one ONNX model is one, and what cannot says why."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from graphc.compile.compile_files import compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.diagnostics import Diagnostic
from graphc.gpus.ask import Count, GpuAsk
from graphc.ir.graph import ModelWork, Node, Resources
from graphc.ir.plan import Merge, Plan
from graphc.lower.onnx.cache import cache_folder, keep_model
from graphc.lower.options import Options
from graphc.targets.shipping import (
    CONFIG_MAP_LIMIT,
    ConfigMapShipment,
    DownloadShipment,
    Purpose,
    Store,
    ship_node,
)
from onnx import ModelProto, TensorProto, external_data_helper, numpy_helper
from onnx.parser import parse_model

GRAPHS: Final = Path(__file__).parents[2] / "graphs"
HALVE: Final = "h = Constant <value = float {0.5}> () y = Mul(x, h)"
MATRIX: Final = "FP32[batch, 3]"
MERGED: Final = "one ONNX model answers as they do"

Json = dict[str, Any]
Compile = Callable[..., tuple[CheckedGraph, list[Diagnostic]]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "graphc" / "merged"


def write_model(path: Path, body: str = HALVE) -> None:
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[batch, 3] x) => (float[batch, 3] y) {{ {body} }}'
    )
    path.write_bytes(parse_model(text).SerializeToString())


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compile nodes that end in `last`; the models `a.onnx` and `b.onnx` halve."""

    def run(nodes: Json, level: int = 2, purpose: Purpose = "cluster", **fields: Any) -> Any:
        for name in ("a", "b"):
            if not (tmp_path / f"{name}.onnx").exists():
                write_model(tmp_path / f"{name}.onnx")
        document = {
            "apiVersion": "graphc/v1",
            "kind": "InferenceGraph",
            "metadata": {"name": "graph"},
            "inputs": {"x": MATRIX},
            "nodes": nodes,
            "outputs": {"answer": "last"},
        }
        (tmp_path / "graph.yaml").write_text(yaml.safe_dump(document | fields, sort_keys=False))
        (tmp_path / "step.py").write_text("def same(x):\n    return x\n")
        path = str(tmp_path / "graph.yaml")
        done = compile_files(Request([path], {}, {}, Options(level), purpose))
        (graph,) = done.graphs
        return graph, list(done.sink)

    return run


def plan_of(found: tuple[CheckedGraph, list[Diagnostic]]) -> Plan:
    (plan,) = found[0].plans.values()
    return plan


def names_of(plan: Plan) -> list[str]:
    return [node.name for unit in plan.root.walk() for node in unit.region.nodes]


CHAIN: Final[Json] = {
    "first": {"model": "a.onnx", "in": {"x": "x"}},
    "scaled": {"component": "scale", "in": "first", "parameters": {"mean": 1}},
    "last": {"model": "b.onnx", "in": {"x": "scaled"}},
}


def test_models_and_what_lies_between_are_one(compiled: Compile, cache: Path) -> None:
    plan = plan_of(compiled(CHAIN))
    assert plan.merges == (Merge("merged", ("first", "scaled", "last"), MERGED),)
    (node,) = plan.root.region.nodes
    assert isinstance(node.work, ModelWork)
    assert node.work.merged == ("first", "scaled", "last")
    assert [each.name for each in cache.iterdir()] == [Path(node.work.location).name]
    assert plan_of(compiled(CHAIN, level=1)).merges == ()


def test_a_second_run_gives_the_same_documents(compiled: Compile) -> None:
    first, second = (compiled(nodes)[0].emission for nodes in (CHAIN, dict(reversed(CHAIN.items()))))
    assert first
    assert second
    assert first.documents == second.documents


def test_what_leads_out_and_back_is_not_joined(compiled: Compile) -> None:
    python = {"python": "step:same", "in": {"x": "first"}, "out": {"y": MATRIX}}
    plan = plan_of(
        compiled(CHAIN | {"scaled": python, "last": {"component": "mean", "in": ["first", "scaled"]}})
    )
    assert names_of(plan) == ["first", "scaled", "last"]
    assert plan.merges == ()


def test_only_nodes_under_the_same_conditions_are_joined(compiled: Compile) -> None:
    router = {
        "router": "parameter",
        "name": "tier",
        "branches": [{"equals": "gold", "take": "gold"}, {"take": "first"}],
    }
    nodes = {
        "first": CHAIN["first"],
        "inner": {"component": "clip", "in": "first", "parameters": {"low": 0}},
        "gold": {"model": "b.onnx", "in": {"x": "inner"}},
        "last": router,
    }
    plan = plan_of(compiled(nodes))
    assert plan.merges == (Merge("merged", ("inner", "gold"), MERGED),)


def test_components_alone_stay_as_they_are(compiled: Compile) -> None:
    nodes = {
        "scaled": {"component": "scale", "in": "x", "parameters": {"mean": 1}},
        "last": {"component": "clip", "in": "scaled", "parameters": {"low": 0}},
    }
    assert names_of(plan_of(compiled(nodes))) == ["scaled", "last"]


def test_a_model_that_answers_by_chance_stays_apart(compiled: Compile, tmp_path: Path) -> None:
    # onnxruntime seeds such an operator by its place in the model.
    write_model(tmp_path / "b.onnx", "r = RandomNormalLike(x) y = Add(x, r)")
    plan = plan_of(compiled(CHAIN))
    reason = "`last.y` differs for a generated batch of 1"
    assert plan.merges == (Merge("apart", ("first", "scaled", "last"), reason),)
    assert names_of(plan) == ["first", "scaled", "last"]


def write_with_weights(path: Path, content: bytes, name: str = "w.bin") -> None:
    """Write a model that multiplies by numbers which lie in a file of their own."""
    model = parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[batch, 3] x) => (float[batch, 3] y)
        { head = Slice(w, begin, end) y = Mul(x, head) }"""
    )
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array([each], np.int64), key) for key, each in (("begin", 0), ("end", 3))]
    )
    weights = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[len(content) // 4])
    weights.raw_data = b""
    external_data_helper.set_external_data(weights, name)
    weights.ClearField("raw_data")
    (path.parent / name).parent.mkdir(exist_ok=True)
    (path.parent / name).write_bytes(content)
    path.write_bytes(model.SerializeToString())


def test_weights_in_other_files_are_put_together(compiled: Compile, tmp_path: Path) -> None:
    write_with_weights(tmp_path / "a.onnx", np.arange(1, 1001, dtype=np.float32).tobytes(), "a/w.bin")
    write_with_weights(tmp_path / "b.onnx", np.full(1000, 0.5, np.float32).tobytes())
    plan = plan_of(compiled(CHAIN))
    assert plan.merges == (Merge("merged", ("first", "scaled", "last"), MERGED),)
    work = merged_node(plan).work
    assert isinstance(work, ModelWork)
    assert work.local
    assert work.files == ("weights.bin",)
    assert (work.local.parent / "weights.bin").stat().st_size >= 8000
    assert plan_of(compiled(CHAIN)).root == plan.root
    assert [each.name for each in work.local.parent.parent.iterdir()] == [work.local.parent.name]


def test_a_broken_one_is_written_again(compiled: Compile, tmp_path: Path) -> None:
    write_with_weights(tmp_path / "a.onnx", np.ones(1000, np.float32).tobytes())
    write_model(tmp_path / "b.onnx")
    work = merged_node(plan_of(compiled(CHAIN))).work
    assert isinstance(work, ModelWork)
    assert work.local
    weights = work.local.parent / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(b"something else")
    plan_of(compiled(CHAIN))
    assert weights.read_bytes() == content


def test_weights_that_end_early_are_refused_before_anything_is_merged(
    compiled: Compile, tmp_path: Path
) -> None:
    write_with_weights(tmp_path / "a.onnx", np.ones(1000, np.float32).tobytes())
    write_model(tmp_path / "b.onnx")
    (tmp_path / "w.bin").write_bytes(bytes(12))
    graph, problems = compiled(CHAIN)
    assert not graph.plans
    assert any("w.bin" in each.message for each in problems), problems


def test_a_model_with_weights_is_fetched_with_them(compiled: Compile, tmp_path: Path) -> None:
    write_with_weights(tmp_path / "a.onnx", np.ones(1000, np.float32).tobytes(), "more weights/w.bin")
    write_model(tmp_path / "b.onnx")
    graph = {"first": CHAIN["first"], "last": {"model": "b.onnx", "in": {"x": "first"}}}
    plan = plan_of(compiled(graph, 1, artifacts="s3://bucket/models"))
    node = next(node for node in plan.root.region.nodes if node.name == "first")
    shipment = ship_node("graph", node, Store("s3://bucket/models"), "cluster")
    assert isinstance(shipment, DownloadShipment)
    model, weights = shipment.uploads
    assert (shipment.uri, shipment.beside) == (model.uri, ("more weights/w.bin",))
    assert weights.uri == model.uri.removesuffix("a.onnx") + "more%20weights/w.bin"
    assert shipment.digests == (model.sha256, weights.sha256)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_weights_of_more_than_two_gib_are_merged(compiled: Compile, tmp_path: Path) -> None:
    for name in ("a", "b"):
        path = tmp_path / f"{name}.onnx"
        write_with_weights(path, np.ones(3, np.float32).tobytes(), f"{name}.bin")
        model = ModelProto.FromString(path.read_bytes())
        model.graph.initializer[-1].dims[0] = 9 * 2**25
        path.write_bytes(model.SerializeToString())
        # A hole in the file: 1.125 GiB of zeros that take no room.
        os.truncate(tmp_path / f"{name}.bin", 4 * 9 * 2**25)
    plan = plan_of(compiled(CHAIN))
    assert plan.merges == (Merge("merged", ("first", "scaled", "last"), MERGED),)


def test_a_gpu_does_not_look_labels_up(compiled: Compile) -> None:
    nodes = {
        "first": CHAIN["first"] | {"unit": "one"},
        "index": {"component": "argmax", "in": "first", "unit": "one"},
        "last": {
            "component": "label-map",
            "in": "index",
            "parameters": {"labels": ["a", "b", "c"]},
            "unit": "one",
        },
    }
    on_cpu = plan_of(compiled(nodes))
    assert on_cpu.merges[0].nodes == ("first", "index", "last")
    gpu = nodes | {"first": nodes["first"] | {"resources": {"gpu": 1}}}
    on_gpu = plan_of(compiled(gpu))
    assert on_gpu.root.region.placement.resources == Resources(gpu=GpuAsk(Count(1)))
    assert on_gpu.merges[0].nodes == ("first", "index")


def test_without_onnxruntime_it_is_refused(compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def find_no_onnxruntime(name: str) -> object:
        return None if name == "onnxruntime" else find(name)

    monkeypatch.setattr("graphc.lower.check_merging.find_spec", find_no_onnxruntime)
    (problem,) = compiled(CHAIN)[1]
    assert problem.rule.code == "GC520"
    assert problem.help == "install `graphc-compiler[merge]`, or compile with -O1"
    assert not compiled(CHAIN, level=1)[1]


def merged_node(plan: Plan) -> Node:
    (node,) = plan.root.region.nodes
    return node


def test_a_small_merged_model_travels_in_a_config_map(compiled: Compile) -> None:
    graph, problems = compiled(CHAIN, artifacts="s3://bucket/models")
    node = merged_node(plan_of((graph, problems)))
    shipment = ship_node("graph", node, Store("s3://bucket/models"), "cluster")
    assert isinstance(shipment, ConfigMapShipment)
    assert not problems


def test_a_large_one_is_pushed_into_the_store(compiled: Compile, tmp_path: Path) -> None:
    weights = ", ".join(["0.5"] * 3)
    write_model(tmp_path / "a.onnx", f"h = Constant <value = float[3] {{{weights}}}> () y = Mul(x, h)")
    node = merged_node(plan_of(compiled(CHAIN)))
    assert isinstance(node.work, ModelWork)
    assert node.work.local
    with node.work.local.open("ab") as file:
        file.truncate(CONFIG_MAP_LIMIT + 1)
    shipment = ship_node("graph", node, Store("s3://bucket/models/"), "cluster")
    assert isinstance(shipment, DownloadShipment)
    (upload,) = shipment.uploads
    assert upload.files == ((node.work.local.name, node.work.local),)
    assert upload.uri == f"s3://bucket/models/sha256/{upload.sha256}/{node.work.local.name}" == shipment.uri


def test_models_that_only_fit_config_maps_apart_stay_apart(compiled: Compile, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model = parse_model(
            """<ir_version: 8, opset_import: ["" : 17]> g (float[batch, 3] x) => (float[batch, 3] y)
            { total = ReduceSum <keepdims = 0> (w) y = Add(x, total) }"""
        )
        weights = np.zeros(CONFIG_MAP_LIMIT // 6, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
        (tmp_path / f"{name}.onnx").write_bytes(model.SerializeToString())
    reason = "merged they are 1.3 MiB, more than a config map holds"
    assert plan_of(compiled(CHAIN)).merges == (Merge("apart", ("first", "scaled", "last"), reason),)
    assert plan_of(compiled(CHAIN, artifacts="s3://bucket")).merges[0].kind == "merged"


def test_the_cache_is_by_content_and_mends_itself(tmp_path: Path) -> None:
    path = keep_model(tmp_path / "merged", b"content")
    path.write_bytes(b"something else")
    assert keep_model(tmp_path / "merged", b"content") == path
    assert path.read_bytes() == b"content"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_cache_is_where_the_desktop_says() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/graphc/merged")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/graphc/merged"


def test_an_example_of_six_nodes_is_one_model() -> None:
    done = compile_files(Request([str(GRAPHS / "wine-average" / "graph.yaml")], {}, {}, Options(2)))
    (graph,) = done.graphs
    (plan,) = graph.plans.values()
    assert len(merged_node(plan).outputs) == 2
