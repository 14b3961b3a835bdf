"""Estimates the memory of a GPU that the models of a region need."""

from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError

from graphc.gpus.memory import Estimate, ModelMemory, estimate_unit, read_memory
from graphc.graph import ModelWork
from graphc.plan import Region

_UNKNOWN = ModelMemory(0, 0, is_complete=False)


def estimate_region(region: Region, batch: int, workers: int = 1) -> Estimate:
    """Return what the region's ONNX models need for a batch; a measured model counts as what was measured."""
    models: list[ModelMemory] = []
    measured: list[int] = []
    for node in region.nodes:
        if not isinstance(node.work, ModelWork) or node.work.framework != "onnx":
            continue
        if node.work.gpu_mib is not None:
            measured.append(node.work.gpu_mib)
        else:
            models.append(_UNKNOWN if node.work.local is None else _read(node.work.local, batch))
    return estimate_unit(models, measured, workers)


@cache
def _read(path: Path, batch: int) -> ModelMemory:
    try:
        return read_memory(path, batch)
    except (OSError, DecodeError):
        return _UNKNOWN
