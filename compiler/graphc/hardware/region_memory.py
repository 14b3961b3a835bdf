"""Estimates the memory of a GPU that the models of a region need."""

from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError

from graphc.gpus.share_memory import Need
from graphc.hardware.memory import Estimate, ModelMemory, estimate_unit, read_memory
from graphc.ir.graph import ModelWork, PythonWork
from graphc.ir.plan import Region

_UNKNOWN = ModelMemory(0, 0, is_complete=False)


def estimate_region(region: Region, batch: int, workers: int = 1) -> Estimate:
    """Return what the region's nodes need for a batch: what was measured, or what an ONNX model's file tells."""
    models: list[ModelMemory] = []
    measured: list[int] = []
    for node in region.nodes:
        work = node.work
        if isinstance(work, ModelWork | PythonWork) and work.gpu_mib is not None:
            measured.append(work.gpu_mib)
        elif isinstance(work, ModelWork) and work.framework == "onnx":
            models.append(_UNKNOWN if work.local is None else _read(work.local, batch))
    return estimate_unit(models, measured, workers)


def estimate_models(region: Region, batch: int) -> dict[str, Need]:
    """Return what each node that runs on a GPU needs of it in one process, beside what CUDA itself takes."""
    found: dict[str, Need] = {}
    for node in region.nodes:
        work = node.work
        if isinstance(work, ModelWork | PythonWork) and work.gpu_mib is not None:
            found[node.name] = Need(work.gpu_mib)
        elif isinstance(work, ModelWork) and work.framework == "onnx":
            memory = _UNKNOWN if work.local is None else _read(work.local, batch)
            estimate = estimate_unit([memory])
            found[node.name] = Need(estimate.total - estimate.context, memory.is_complete)
    return found


@cache
def _read(path: Path, batch: int) -> ModelMemory:
    try:
        return read_memory(path, batch)
    except (OSError, DecodeError):
        return _UNKNOWN
