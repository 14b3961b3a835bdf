"""What sessions on a GPU are told and warmed up with; whatever needs the GPU itself skips where there is none."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from fake_cuda import having_cuda
from graphc_runtimes.adapters import load_runner
from graphc_runtimes.adapters.bound import BoundRunner, can_bind
from graphc_runtimes.adapters.onnx import warm_up
from graphc_runtimes.environment import Device, Environment, Gpu, read_environment
from graphc_runtimes.errors import LoadError, RegionError
from graphc_runtimes.providers import (
    CPU,
    CUDA,
    TENSORRT,
    Options,
    fill_shapes,
    find_providers,
    record_graphs,
    rows_to_warm,
)
from graphc_runtimes.region import ModelNode, Read
from onnx import TensorProto, helper

Json = dict[str, object]

MIB: Final = 2**20
X: Final = np.array([[0.0, 1.0], [5.0, 6.0]], dtype=np.float32)
NODE: Final = ModelNode(
    name="n", outputs={"Y": "n.Y"}, inputs={"X": Read("x")}, kind="model", framework="onnx", path="m.onnx"
)


def environment(device: Device = "cpu", region: str = "", folder: Path = Path(), **gpu: Any) -> Environment:
    return Environment(region, None, folder, device, 1, Gpu(**gpu))


# --- What the container says -----------------------------------------------------------------------------


def test_variables_are_read() -> None:
    variables = {
        "GRAPHC_REGION": "{}",
        "GRAPHC_DEVICE": "prefer-tensorrt",
        "GRAPHC_GPUS": "2",
        "GRAPHC_GPU_MEMORY_MIB": "4096",
        "GRAPHC_TENSORRT_FP16": "1",
        "GRAPHC_TENSORRT_CACHE": "/mnt/graphc-engines",
    }
    found = read_environment(variables)
    assert found.gpu == Gpu(2, 4096, Path("/mnt/graphc-engines"), fp16=True)
    assert (found.is_preferred, found.accelerator) == (True, "tensorrt")


@pytest.mark.parametrize("name", ["GRAPHC_GPUS", "GRAPHC_GPU_MEMORY_MIB", "GRAPHC_THREADS"])
def test_what_is_no_number_is_said(name: str) -> None:
    with pytest.raises(RegionError, match=f"{name} is `many`, which is not a positive whole number"):
        read_environment({"GRAPHC_REGION": "{}", name: "many"})


# --- Providers -------------------------------------------------------------------------------------------


def test_the_cpu_has_no_options() -> None:
    assert find_providers(environment()) == [(CPU, {})]


def test_cuda_takes_its_own_device_and_no_more_memory_than_it_may() -> None:
    ((name, options),) = find_providers(environment("cuda", devices=2, memory_mib=1024), worker=3)
    assert name == CUDA
    assert options == {
        "device_id": "1",
        "gpu_mem_limit": str(1024 * MIB),
        "arena_extend_strategy": "kSameAsRequested",
    }


def test_tensorrt_comes_before_cuda_and_keeps_its_engines() -> None:
    kept = environment("tensorrt", engines=Path("/engines"), fp16=True)
    (first, options), (second, others) = find_providers(kept)
    assert (first, second) == (TENSORRT, CUDA)
    assert options["trt_fp16_enable"] == "1"
    assert (options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == ("1", "/engines")
    assert options["device_id"] == others["device_id"] == "0"
    plain = dict(find_providers(environment("tensorrt")))
    assert plain[TENSORRT] == {"device_id": "0"}


@pytest.mark.parametrize("device", ["tensorrt", "prefer-tensorrt"])
def test_tensorrt_that_is_not_there_is_never_replaced_in_silence(
    device: Device, tmp_path: Path, write_double: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    if TENSORRT in cast("list[str]", onnxruntime.get_available_providers()):
        pytest.skip("this onnxruntime has TensorRT, and here is tested what happens without")
    write_double(tmp_path / "m.onnx")
    asked = environment(device, folder=tmp_path)
    reason = f"GRAPHC_DEVICE asks for {TENSORRT}; onnxruntime here has"
    if device == "tensorrt":
        with pytest.raises(LoadError, match=f"node `n`: {reason}"):
            asyncio.run(load_runner(NODE, asked))
        return
    run = asyncio.run(load_runner(NODE, asked))
    assert run({"X": X})["Y"].tolist() == (2 * X).tolist()
    said = [each.getMessage() for each in caplog.records if each.name == "mlserver.graphc"]
    assert len(said) == 1
    assert said[0].startswith(f"no GPU, so models run on the CPU: {reason}")


# --- Warming up ------------------------------------------------------------------------------------------


def test_shapes_are_filled_where_only_the_rows_are_open() -> None:
    assert fill_shapes({"a": ["batch", 4], "b": [None], "c": [2, 3]}, 8) == {
        "a": (8, 4),
        "b": (8,),
        "c": (2, 3),
    }
    assert fill_shapes({"a": ["batch", 4], "b": ["batch", "length"]}, 8) is None


def test_a_unit_is_ready_for_one_row_and_for_its_largest_batch(build: Callable[..., Json]) -> None:
    region = build(takes=["x: FP32[batch, 2]"], answers={"x": "x: FP32[batch, 2]"})
    assert rows_to_warm(environment(region=json.dumps(region))) == (1,)
    region["batch"] = {"max_size": 64, "max_delay_ms": 0}
    assert rows_to_warm(environment(region=json.dumps(region))) == (1, 64)


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=[CPU])


def test_a_model_is_run_with_each_number_of_rows(
    tmp_path: Path, write_double: Callable[[Path], None]
) -> None:
    write_double(tmp_path / "m.onnx")
    assert warm_up(session_of(tmp_path / "m.onnx"), (1, 64)) == 2


@pytest.mark.parametrize(
    ("datatype", "shape"), [(TensorProto.FLOAT, ["batch", "length"]), (TensorProto.STRING, ["batch"])]
)
def test_a_model_whose_inputs_cannot_be_made_up_starts_cold(
    datatype: int, shape: list[str], tmp_path: Path
) -> None:
    infos = [helper.make_tensor_value_info(name, datatype, shape) for name in ("X", "Y")]
    graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "same", infos[:1], infos[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "m.onnx",
    )
    assert warm_up(session_of(tmp_path / "m.onnx"), (1, 64)) == 0


# --- Memory that is bound once ---------------------------------------------------------------------------


def write_fixed(path: Path, shape: Sequence[int | str] = (2, 2)) -> None:
    """Write a model that gives `X` doubled, and its sum, for one shape."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    ins = [helper.make_tensor_value_info("X", TensorProto.FLOAT, shape)]
    outs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, shape)]
    outs += [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 1])]
    nodes = [helper.make_node("Mul", ["X", "two"], ["Y"]), helper.make_node("ReduceSum", ["X"], ["sum"])]
    graph = helper.make_graph(nodes, "fixed", ins, outs, [two])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path / "m.onnx"
    )


def test_bound_memory_answers_as_any(tmp_path: Path) -> None:
    write_fixed(tmp_path)
    session = session_of(tmp_path / "m.onnx")
    assert can_bind(session)
    bound = BoundRunner(session, "cpu")
    bound.try_twice()
    first = bound.run({"X": X}, ["Y", "sum"])
    second = bound.run({"X": X.T[::-1]}, ["sum", "Y"])
    # What was answered before is not what the next request writes to.
    assert first["Y"].tolist() == (2 * X).tolist()
    assert second["Y"].tolist() == (2 * X.T[::-1]).tolist()
    assert first["sum"].tolist() == second["sum"].tolist() == [[12.0]]


def test_bound_memory_is_one_request_at_a_time(tmp_path: Path) -> None:
    write_fixed(tmp_path)
    bound = BoundRunner(session_of(tmp_path / "m.onnx"), "cpu")

    def ask(number: int) -> bool:
        array = np.full((2, 2), number, np.float32)
        return bool((bound.run({"X": array}, ["Y"])["Y"] == 2 * number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(400)))


def test_another_shape_is_refused(tmp_path: Path) -> None:
    write_fixed(tmp_path)
    bound = BoundRunner(session_of(tmp_path / "m.onnx"), "cpu")
    with pytest.raises(ValueError, match=r"takes `X` as \[2, 2\], not \[1, 2\]"):
        bound.run({"X": X[:1]}, ["Y"])


def test_open_shapes_are_not_bound(tmp_path: Path) -> None:
    write_fixed(tmp_path, ["batch", 2])
    assert not can_bind(session_of(tmp_path / "m.onnx"))


def test_the_first_provider_records() -> None:
    assert record_graphs([(CUDA, {"device_id": "1"})]) == [
        (CUDA, {"device_id": "1", "enable_cuda_graph": "1"})
    ]
    assert record_graphs([(TENSORRT, {}), (CUDA, {})]) == [
        (TENSORRT, {"trt_cuda_graph_enable": "1"}),
        (CUDA, {}),
    ]


# --- Several models on one device ------------------------------------------------------------------------


def test_a_model_takes_its_part_of_the_memory(tmp_path: Path, write_double: Callable[[Path], None]) -> None:
    for name in ("m", "n"):
        write_double(tmp_path / f"{name}.onnx")
    asked = environment("cuda", folder=tmp_path, memory_mib=1000)
    with having_cuda() as told:
        asyncio.run(load_runner(replace(NODE, gpu_mib=250), asked))
        asyncio.run(load_runner(replace(NODE, path="n.onnx"), asked))
    limits = {name: [each["gpu_mem_limit"] for each in given] for name, given in told.sessions.items()}
    assert limits == {"m.onnx": [str(250 * MIB)], "n.onnx": [str(1000 * MIB)]}


def test_tensorrt_builds_within_a_models_part(tmp_path: Path, write_double: Callable[[Path], None]) -> None:
    write_double(tmp_path / "m.onnx")
    with having_cuda() as told:
        asyncio.run(load_runner(replace(NODE, gpu_mib=250), environment("tensorrt", folder=tmp_path)))
    (options,) = told.sessions["m.onnx"]
    assert options["trt_max_workspace_size"] == str(125 * MIB)


@pytest.mark.parametrize("records", [True, False])
def test_a_model_is_never_on_a_device_twice(tmp_path: Path, records: bool) -> None:
    write_fixed(tmp_path)

    def refuse(_name: str, options: Options) -> None:
        if not records and "enable_cuda_graph" in options:
            raise RuntimeError("no graphs here")

    with having_cuda(refuse) as told:
        run = asyncio.run(load_runner(NODE, environment("cuda", folder=tmp_path)))
        assert run({"X": X})["Y"].tolist() == (2 * X).tolist()
    opened = ["enable_cuda_graph" in each for each in told.sessions["m.onnx"]]
    assert opened == ([False, True] if records else [False, False])
    assert told.most["m.onnx"] == 1


# --- On a GPU --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [[2, 2], ["batch", 2]])
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_answers_as_the_cpu_does(device: Device, shape: list[int | str], tmp_path: Path) -> None:
    wanted = {"cuda": CUDA, "tensorrt": TENSORRT}[device]
    if wanted not in cast("list[str]", onnxruntime.get_available_providers()):
        pytest.skip(f"this onnxruntime has no {wanted}")
    write_fixed(tmp_path, shape)
    asked = replace(environment(device, folder=tmp_path), gpu=Gpu(memory_mib=1024, engines=tmp_path))
    run = asyncio.run(load_runner(NODE, asked))
    for array in (X, X + 1):
        assert run({"X": array})["Y"] == pytest.approx(2 * array)
