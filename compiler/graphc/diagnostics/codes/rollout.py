"""GC4xx: predictors, traffic and resources."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

TRAFFIC_SUM: Final = error("GC401", "traffic-sum", "The live predictors' traffic does not sum to 100.")
SHADOW_ALONE: Final = error("GC402", "shadow-alone", "Every predictor is a shadow, so nothing answers.")
SECOND_SHADOW: Final = error(
    "GC403", "second-shadow", "There is more than one shadow; the ingress takes one."
)
SHADOW_TRAFFIC: Final = error("GC404", "shadow-traffic", "A shadow asks for a share of the traffic.")
OVERRIDES_UNKNOWN: Final = error(
    "GC405", "overrides-unknown", "A predictor changes a node that the graph has not."
)
REPLICAS_TWICE: Final = error("GC406", "replicas-twice", "Replicas are set and autoscaled at once.")
OTHER_OUTPUTS: Final = error(
    "GC407", "other-outputs", "A predictor answers with other outputs than the main one."
)
UNKNOWN_COST: Final = warning(
    "GC420", "unknown-cost", "Measured costs name a graph or node that is not compiled."
)
NOT_EVERY_REQUEST: Final = error(
    "GC421", "not-every-request", "Some requests match no predictor's `when`, and nothing else answers them."
)
SHADOW_CONDITION: Final = error("GC422", "shadow-condition", "A shadow says which requests it answers.")
MIRROR_ALONE: Final = error("GC423", "mirror-alone", "A predictor that is no shadow has a mirrored share.")
UNKNOWN_PARAMETER: Final = error(
    "GC424", "unknown-version-parameter", "A predictor sets a parameter that the graph does not declare."
)
SERVICE_CLASH: Final = error("GC425", "service-clash", "Two Services would have the same name.")
INGRESS_CANNOT: Final = error(
    "GC426", "ingress-cannot", "The cluster's ingress cannot share the requests as the predictors say."
)
ROUTE_NAMESPACE: Final = error(
    "GC427", "route-namespace", "A route needs the namespace, and the graph names none."
)
STICKY_REPLICAS: Final = error(
    "GC428", "sticky-replicas", "Replicas do not stand as the traffic does, by which a sticky choice goes."
)
VERSION_TWICE: Final = error("GC435", "version-twice", "Two predictors are versions of the same name.")
NO_SCALER: Final = error("GC430", "no-scaler", "Replicas follow a load that nothing on the cluster tells.")
GPU_NOT_MEASURED: Final = error(
    "GC431", "gpu-not-measured", "Replicas follow the use of a GPU that is not known for one container."
)
SCALES_BY_CPU: Final = warning(
    "GC432", "scales-by-cpu", "Replicas that follow a GPU follow processors, as there is none."
)
SCALER_NAMESPACE: Final = error(
    "GC433", "scaler-namespace", "A load is asked for by namespace, and the graph names none."
)
CPU_NOT_ASKED: Final = warning(
    "GC434", "cpu-not-asked", "Replicas follow processors that the pod does not ask for."
)
NOT_A_PROFILE: Final = error("GC429", "not-a-profile", "What was named is not the profile of a cluster.")
