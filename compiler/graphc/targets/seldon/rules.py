"""What Seldon's operator makes of the pods of a graph."""

import hashlib
from collections.abc import Sequence
from typing import Final

from graphc.ir.plan import Unit
from graphc.targets.interface import Deployable, Version
from graphc.targets.pods.ending import Ending, flight_seconds
from graphc.targets.pods.rules import PodRules
from graphc.targets.pods.scaling import EXECUTOR_CALLS
from graphc.targets.seldon.routing import needs_engine

EXECUTOR_SECONDS: Final = 15
"""How long Seldon's executor, which is told to end at once, finishes what it has begun; nothing makes it longer."""

# Kubernetes lets no label be longer.
_LONGEST_NAME: Final = 63


def find_rules(deployable: Deployable) -> PodRules:
    """Return what Seldon decides: admission refuses predictors with the executor beside others without."""
    has_engine = needs_engine(deployable)
    return PodRules(
        lambda _: has_engine, end_beside_executor, _name_of, numbers_ports=False, walker_calls=EXECUTOR_CALLS
    )


def end_beside_executor(longest_ms: float | None) -> Ending:
    """Return how units end beside the executor: they only serve what that still finishes."""
    flight = flight_seconds(longest_ms)
    return Ending(min(flight, EXECUTOR_SECONDS), flight)


def name_deployment(graph: str, predictor: str, index: int, units: Sequence[Unit]) -> str:
    """Return the name that the operator gives to the Deployment: a hash where it would be too long."""
    name = f"{graph}-{predictor}-{index}-{'-'.join(unit.name for unit in units)}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def _name_of(version: Version, index: int, units: Sequence[Unit]) -> str:
    return name_deployment(version.settings.name, version.name, index, units)
