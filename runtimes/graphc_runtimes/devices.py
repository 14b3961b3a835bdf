"""Units that prefer a GPU and run where there is none: they compute on the CPU, and say so."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from graphc_runtimes.environment import Environment

_LOG: Final = logging.getLogger("mlserver.graphc")

_reasons: dict[Environment, str] = {}
_variants: dict[Environment, dict[str, str]] = {}
_listeners: dict[Environment, list[Callable[[], None]]] = {}


def note_fallback(environment: Environment, reason: str) -> None:
    """Say in the log that a unit does without the GPU that it prefers: once, however many models it has."""
    # Nodes load in several threads.
    if _reasons.setdefault(environment, reason) is reason:
        _LOG.warning("no GPU, so models run on the CPU: %s", reason)
        _tell(environment)


def find_fallback(environment: Environment) -> str | None:
    """Return why a unit does without the GPU that it prefers; None where it does not."""
    return _reasons.get(environment)


def note_variant(environment: Environment, node: str, path: str) -> None:
    """Say in the log that a node runs the model that is named for the CPU."""
    noted = _variants.setdefault(environment, {})
    if noted.setdefault(node, path) is path:
        _LOG.warning("node `%s` runs its model for the CPU, `%s`", node, path)
        _tell(environment)


def listen(environment: Environment, listener: Callable[[], None]) -> None:
    """Call when a unit goes without its GPU from then on, or runs another model."""
    _listeners.setdefault(environment, []).append(listener)


def _tell(environment: Environment) -> None:
    for listener in _listeners.get(environment, ()):
        listener()


def find_variants(environment: Environment) -> Mapping[str, str]:
    """Return the models for the CPU that run in place of others, by node."""
    return dict(sorted(_variants.get(environment, {}).items()))


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the container was given an NVIDIA device."""
    return any(devices.glob("nvidia[0-9]*"))
