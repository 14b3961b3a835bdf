"""What runs on the CPU of units that ask for a GPU: all of one that goes without, or some operators. It is said."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from graphc_runtimes.environment import Environment

_LOG: Final = logging.getLogger("mlserver.graphc")

_reasons: dict[Environment, str] = {}
_variants: dict[Environment, dict[str, str]] = {}
_operators: dict[Environment, dict[str, Mapping[str, int]]] = {}
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


def note_operators(environment: Environment, node: str, on_cpu: Mapping[str, int], operators: int) -> None:
    """Say in the log that some of a node's operators run on the CPU, beside a GPU: how many, by name."""
    _operators.setdefault(environment, {})[node] = on_cpu
    count = sum(on_cpu.values())
    _LOG.warning(
        "node `%s` runs %d of its %d operators on the CPU: %s", node, count, operators, write(on_cpu)
    )
    _tell(environment)


def listen(environment: Environment, listener: Callable[[], None]) -> None:
    """Call when a unit goes without its GPU from then on, runs another model, or operators on the CPU."""
    _listeners.setdefault(environment, []).append(listener)


def _tell(environment: Environment) -> None:
    for listener in _listeners.get(environment, ()):
        listener()


def find_variants(environment: Environment) -> Mapping[str, str]:
    """Return the models for the CPU that run in place of others, by node."""
    # Nodes load in several threads, which add to it.
    return dict(sorted(_variants.get(environment, {}).copy().items()))


def find_operators(environment: Environment) -> Mapping[str, Mapping[str, int]]:
    """Return the operators that run on the CPU beside a GPU, counted by name, for each node that has some."""
    return dict(sorted(_operators.get(environment, {}).copy().items()))


def write(operators: Mapping[str, int]) -> str:
    """Return counted operators as text."""
    return ", ".join(f"{count} {name}" for name, count in sorted(operators.items()))


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the container was given an NVIDIA device."""
    return any(devices.glob("nvidia[0-9]*"))
