"""The file that tells graphc's engine which units it walks; the target `kubernetes` writes it, the engine reads it."""

from typing import Final

API_VERSION: Final = "graphc.dev/v1"
KIND: Final = "EngineGraph"

FILE: Final = "graph.json"
"""The key of the config map that holds it."""

VOLUME: Final = "engine-graph"
"""The volume of the config map in the engine's pod."""

NAMESPACE: Final = "GRAPHC_NAMESPACE"
"""The variable that tells the engine the namespace of its pod."""

ENGINE: Final = "graphc.dev/engine"
"""The annotation of a Deployment that names the container which graphc's engine runs in."""

PREDICTOR: Final = "graphc.dev/predictor"
"""The label with the version of a graph that a Deployment's pods are of."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
PART_OF: Final = "app.kubernetes.io/part-of"
COMPONENT: Final = "app.kubernetes.io/component"
INSTANCE: Final = "app.kubernetes.io/instance"
"""The label with the Deployment that pods are of."""

ENTRY: Final = "entry"
UNIT: Final = "unit"
"""The components of a version: the pod that clients call, and one of a unit that scales on its own."""
