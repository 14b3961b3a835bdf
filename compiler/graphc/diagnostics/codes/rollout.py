"""GC4xx: predictors, traffic and resources."""

from typing import Final

from graphc.diagnostics.model import error, warning

TRAFFIC_SUM: Final = error("GC401", "traffic-sum", "The live predictors' traffic does not sum to 100.")
SHADOW_ALONE: Final = error("GC402", "shadow-alone", "Every predictor is a shadow, so nothing answers.")
SECOND_SHADOW: Final = error("GC403", "second-shadow", "There is more than one shadow; the engine takes one.")
SHADOW_TRAFFIC: Final = error("GC404", "shadow-traffic", "A shadow asks for a share of the traffic.")
OVERRIDES_UNKNOWN: Final = error(
    "GC405", "overrides-unknown", "A predictor changes a node that the graph has not."
)
REPLICAS_TWICE: Final = error("GC406", "replicas-twice", "Replicas are set and autoscaled at once.")
OTHER_OUTPUTS: Final = error(
    "GC407", "other-outputs", "A predictor answers with other outputs than the first."
)
UNKNOWN_COST: Final = warning(
    "GC420", "unknown-cost", "Measured costs name a graph or node that is not compiled."
)
