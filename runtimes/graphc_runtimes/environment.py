"""What the container's environment tells the runtime."""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from graphc_runtimes.errors import RegionError

Device = Literal["cpu", "cuda", "prefer-cuda"]

_DEVICES: Final = ("cpu", "cuda", "prefer-cuda")


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
    return Environment(
        region=_read_region(variables),
        unit=variables.get("MLSERVER_MODEL_NAME") or None,
        artifacts=Path(variables.get("GRAPHC_ARTIFACTS") or "/mnt/graphc"),
        device=_read_device(variables.get("GRAPHC_DEVICE") or "cpu"),
        threads=_read_threads(variables.get("GRAPHC_THREADS")),
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
    if text not in _DEVICES:
        raise RegionError(f"GRAPHC_DEVICE is `{text}`, which is none of `cpu`, `cuda` and `prefer-cuda`")
    return text


def _read_threads(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise RegionError(f"GRAPHC_THREADS is `{text}`, which is not a positive whole number")
    return int(text)
