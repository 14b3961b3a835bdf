"""What onnxruntime is told of the device that a session runs on: its providers in order, with their options."""

from collections.abc import Mapping, Sequence
from typing import Final

from graphc_runtimes.environment import Environment, Gpu
from graphc_runtimes.errors import RegionError
from graphc_runtimes.region import parse_region

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"

Options = dict[str, str]
Provider = tuple[str, Options]

_MIB: Final = 2**20


def find_providers(environment: Environment, worker: int = 0) -> list[Provider]:
    """Return the providers of a session; the first is the device that was asked for.

    What TensorRT has no kernel for, CUDA runs; the processes of a unit take its devices in turn.
    """
    device = worker % environment.gpu.devices
    match environment.accelerator:
        case "cpu":
            return [(CPU, {})]
        case "cuda":
            return [(CUDA, _cuda(environment.gpu, device))]
        case "tensorrt":
            return [(TENSORRT, _tensorrt(environment.gpu, device)), (CUDA, _cuda(environment.gpu, device))]


def _cuda(gpu: Gpu, device: int) -> Options:
    options = {"device_id": str(device)}
    if gpu.memory_mib is not None:
        options["gpu_mem_limit"] = str(gpu.memory_mib * _MIB)
        # The default doubles what it takes, and would meet the limit long before the memory is used.
        options["arena_extend_strategy"] = "kSameAsRequested"
    return options


def _tensorrt(gpu: Gpu, device: int) -> Options:
    options = {"device_id": str(device)}
    if gpu.fp16:
        options["trt_fp16_enable"] = "1"
    if gpu.memory_mib is not None:
        options["trt_max_workspace_size"] = str(gpu.memory_mib * _MIB // 2)
    if gpu.engines is not None:
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(gpu.engines)}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(gpu.engines)}
    return options


def record_graphs(providers: Sequence[Provider]) -> list[Provider]:
    """Return the providers told to record what the first run launches, and to replay that from then on."""
    keys = {CUDA: "enable_cuda_graph", TENSORRT: "trt_cuda_graph_enable"}
    # Of several, the first runs the whole model, or there is nothing to record.
    first, options = providers[0]
    return [(first, options | {keys[first]: "1"}), *providers[1:]]


def rows_to_warm(environment: Environment) -> tuple[int, ...]:
    """Return the sizes of the batches that a unit has to be ready for: one row, and as many as run together."""
    try:
        batch = parse_region(environment.region).batch
    except RegionError:
        return (1,)
    # The larger one last: TensorRT then has an engine for all sizes between.
    return (1,) if batch is None or batch.max_size == 1 else (1, batch.max_size)


def fill_shape(shape: Sequence[object], rows: int) -> tuple[int, ...] | None:
    """Return a model's shape with that many rows; None where more is left open than the rows."""
    sizes = [rows if index == 0 and not isinstance(dim, int) else dim for index, dim in enumerate(shape)]
    whole = tuple(size for size in sizes if isinstance(size, int))
    return whole if len(whole) == len(sizes) else None


def fill_shapes(shapes: Mapping[str, Sequence[object]], rows: int) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of all inputs with that many rows; None where one of them cannot be known."""
    filled = {name: fill_shape(shape, rows) for name, shape in shapes.items()}
    known = {name: shape for name, shape in filled.items() if shape is not None}
    return known if len(known) == len(filled) else None
