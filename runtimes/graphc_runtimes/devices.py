"""Units that prefer a GPU and run where there is none: they compute on the CPU, and say so."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphc_runtimes.environment import Environment

_LOG: Final = logging.getLogger("mlserver.graphc")

_reasons: dict[Environment, str] = {}
_variants: dict[Environment, dict[str, str]] = {}


def note_fallback(environment: Environment, reason: str) -> None:
    """Say in the log that a unit does without the GPU that it prefers: once, however many models it has."""
    # Nodes load in several threads.
    if _reasons.setdefault(environment, reason) is reason:
        _LOG.warning("no GPU, so models run on the CPU: %s", reason)


def find_fallback(environment: Environment) -> str | None:
    """Return why a unit does without the GPU that it prefers; None where it does not."""
    return _reasons.get(environment)


def note_variant(environment: Environment, node: str, path: str) -> None:
    """Say in the log that a node runs the model that is named for the CPU."""
    noted = _variants.setdefault(environment, {})
    if noted.setdefault(node, path) is path:
        _LOG.warning("node `%s` runs its model for the CPU, `%s`", node, path)


def find_variants(environment: Environment) -> Mapping[str, str]:
    """Return the models for the CPU that run in place of others, by node."""
    return dict(sorted(_variants.get(environment, {}).items()))


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the container was given an NVIDIA device."""
    return any(devices.glob("nvidia[0-9]*"))
