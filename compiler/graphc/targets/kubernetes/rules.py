"""What is decided of pods without an operator."""

from typing import Final

from graphc.targets.kubernetes.names import name_pods
from graphc.targets.kubernetes.routing import needs_engine
from graphc.targets.pods.ending import SETTLE_SECONDS, Ending, flight_seconds
from graphc.targets.pods.rules import PodRules
from graphc.targets.pods.scaling import ENGINE_CALLS


def end_beside_engine(longest_ms: float | None) -> Ending:
    """Return how units end beside the engine: they go on until it has finished, which goes on for a while itself."""
    flight = flight_seconds(longest_ms)
    return Ending(SETTLE_SECONDS + flight, flight)


RULES: Final = PodRules(
    needs_engine, end_beside_engine, name_pods, numbers_ports=True, walker_calls=ENGINE_CALLS
)
