"""Units that prefer a GPU and run where there is none: they compute on the CPU, and say so."""

import logging
from pathlib import Path
from typing import Final

from graphc_runtimes.environment import Environment

_LOG: Final = logging.getLogger("mlserver.graphc")

_reasons: dict[Environment, str] = {}


def note_fallback(environment: Environment, reason: str) -> None:
    """Say in the log that a unit does without the GPU that it prefers: once, however many models it has."""
    # Nodes load in several threads.
    if _reasons.setdefault(environment, reason) is reason:
        _LOG.warning("no GPU, so models run on the CPU: %s", reason)


def find_fallback(environment: Environment) -> str | None:
    """Return why a unit does without the GPU that it prefers; None where it does not."""
    return _reasons.get(environment)


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the container was given an NVIDIA device."""
    return any(devices.glob("nvidia[0-9]*"))
