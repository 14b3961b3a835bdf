"""What the container's environment tells the runtime."""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from graphc_runtimes.errors import RegionError

Device = Literal["cpu", "cuda", "prefer-cuda", "tensorrt", "prefer-tensorrt"]
Accelerator = Literal["cpu", "cuda", "tensorrt"]

_DEVICES: Final[Mapping[str, Device]] = {device: device for device in get_args(Device)}


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a container was given of GPUs, and how models are made ready for them."""

    devices: int = 1
    """How many it has; processes take them in turn."""
    memory_mib: int | None = None
    """What one process may take of a device, or one of its models; None where that is all of it."""
    engines: Path | None = None
    """Where TensorRT keeps the engines that it builds; None builds them anew with every start."""
    fp16: bool = False
    """Whether TensorRT may compute in half precision."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a unit's region and artefacts are, and what it may run them on."""

    region: str
    unit: str | None
    """The name the operator gave the unit; the region's own where there is no operator."""
    artifacts: Path
    device: Device
    threads: int | None
    """How many threads a framework may use; None leaves it to the framework."""
    gpu: Gpu = field(default_factory=Gpu)
    version: str | None = None
    """The version of the graph that the unit's answers bear."""

    @property
    def is_preferred(self) -> bool:
        """Whether the CPU will do where the device cannot be had."""
        return self.device.startswith("prefer-")

    @property
    def accelerator(self) -> Accelerator:
        """What models run on, but for those that go without."""
        match self.device:
            case "cuda" | "prefer-cuda":
                return "cuda"
            case "tensorrt" | "prefer-tensorrt":
                return "tensorrt"
            case "cpu":
                return "cpu"


def read_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """Read the environment variables; raises RegionError."""
    return Environment(
        region=_read_region(variables),
        unit=variables.get("MLSERVER_MODEL_NAME") or None,
        artifacts=Path(variables.get("GRAPHC_ARTIFACTS") or "/mnt/graphc"),
        device=_read_device(variables.get("GRAPHC_DEVICE") or "cpu"),
        threads=_read_number("GRAPHC_THREADS", variables),
        gpu=_read_gpu(variables),
        version=next(iter(read_versions(variables)), None),
    )


def read_versions(variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the versions of the graph that this unit answers for, by their names."""
    # Seldon's operator tells each container the name of its predictor, which is its version.
    listed = variables.get("GRAPHC_VERSIONS") or variables.get("PREDICTOR_ID") or ""
    return tuple(dict.fromkeys(name for each in listed.split(",") if (name := each.strip())))


def _read_gpu(variables: Mapping[str, str]) -> Gpu:
    engines = variables.get("GRAPHC_TENSORRT_CACHE")
    return Gpu(
        devices=_read_number("GRAPHC_GPUS", variables) or 1,
        memory_mib=_read_number("GRAPHC_GPU_MEMORY_MIB", variables),
        engines=Path(engines) if engines else None,
        fp16=variables.get("GRAPHC_TENSORRT_FP16") == "1",
    )


def _read_region(variables: Mapping[str, str]) -> str:
    """Return the region's text: the variable's own, or that of a file, which may be compressed by zlib."""
    region, file = variables.get("GRAPHC_REGION"), variables.get("GRAPHC_REGION_FILE")
    if region:
        return region
    if not file:
        raise RegionError("neither of the environment variables GRAPHC_REGION and GRAPHC_REGION_FILE is set")
    try:
        content = Path(file).read_bytes()
        return (content if content.startswith(b"{") else zlib.decompress(content)).decode()
    except OSError as error:
        raise RegionError(f"the region's file cannot be read: {error.strerror}") from None
    except (zlib.error, UnicodeDecodeError):
        raise RegionError("the region's file is neither JSON nor compressed by zlib") from None


def _read_device(text: str) -> Device:
    found = _DEVICES.get(text)
    if found is None:
        listed = ", ".join(f"`{device}`" for device in _DEVICES)
        raise RegionError(f"GRAPHC_DEVICE is `{text}`, which is none of {listed}")
    return found


def _read_number(name: str, variables: Mapping[str, str]) -> int | None:
    text = variables.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise RegionError(f"{name} is `{text}`, which is not a positive whole number")
    return int(text)


_GRACE_S: Final = 30


def read_grace(variables: Mapping[str, str] = os.environ) -> float:
    """Return for how many seconds what has begun may go on once the unit is told to end; raises RegionError.

    Where nothing is said, a request has the time that the graph's deadline gives it.
    """
    asked = _read_number("GRAPHC_GRACE_S", variables)
    if asked is not None:
        return asked
    try:
        region: Any = json.loads(_read_region(variables))
        return float(region["graph"]["deadline_ms"]) / 1000
    # Whoever reads the region says what is wrong with it.
    except (RegionError, ValueError, TypeError, KeyError):
        return _GRACE_S
