"""What the container's environment tells the runtime."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from graphc_runtimes.errors import RegionError

Device = Literal["cpu", "cuda"]

_DEVICES: Final = ("cpu", "cuda")


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


def read_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """Read the environment variables; raises RegionError."""
    region = variables.get("GRAPHC_REGION")
    if not region:
        raise RegionError("the environment variable GRAPHC_REGION is not set")
    return Environment(
        region=region,
        unit=variables.get("MLSERVER_MODEL_NAME") or None,
        artifacts=Path(variables.get("GRAPHC_ARTIFACTS") or "/mnt/graphc"),
        device=_read_device(variables.get("GRAPHC_DEVICE") or "cpu"),
        threads=_read_threads(variables.get("GRAPHC_THREADS")),
    )


def _read_device(text: str) -> Device:
    if text not in _DEVICES:
        raise RegionError(f"GRAPHC_DEVICE is `{text}`, which is neither `cpu` nor `cuda`")
    return text


def _read_threads(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise RegionError(f"GRAPHC_THREADS is `{text}`, which is not a positive whole number")
    return int(text)
