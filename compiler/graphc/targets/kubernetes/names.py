"""Names the objects of a graph, and labels them."""

import hashlib
from collections.abc import Sequence
from typing import Final

from graphc.engine_graph import COMPONENT, ENTRY, INSTANCE, MANAGED_BY, PART_OF, PREDICTOR, UNIT
from graphc.ir.limits import LABEL
from graphc.ir.plan import Unit
from graphc.targets.interface import Data, Version
from graphc.targets.pods.layout import Pod

NAME: Final = "app.kubernetes.io/name"

_DIGEST: Final = 8


def name_pods(version: Version, index: int, units: Sequence[Unit]) -> str:
    """Return the name of a pod's Deployment and Service: GRAPH-PREDICTOR, or GRAPH-PREDICTOR-UNIT behind the first."""
    entry = f"{version.settings.name}-{version.name}"
    return _cut(f"{entry}-{units[0].name}") if index else entry


def name_unit(version: Version, unit: str) -> str:
    """Return the name of the Service of a unit in a pod of its own."""
    return _cut(f"{version.settings.name}-{version.name}-{unit}")


def _cut(name: str) -> str:
    """Return a name that is a label; what is cut off is told by a hash of the whole."""
    if len(name) <= LABEL:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: LABEL - 1 - _DIGEST].rstrip('-')}-{digest}"


def select_pods(version: Version, pod: Pod) -> dict[str, str]:
    """Return the labels by which a Deployment and a Service know their pods; they can never change."""
    return {PART_OF: version.settings.name, INSTANCE: name_pods(version, pod.index, pod.units)}


def label_pods(version: Version, pod: Pod) -> dict[str, str]:
    """Return the labels of pods and of what manages them; the user's own win over none of them."""
    own = {
        NAME: version.settings.name,
        COMPONENT: UNIT if pod.index else ENTRY,
        MANAGED_BY: "graphc",
        PREDICTOR: version.name,
        **select_pods(version, pod),
    }
    return dict(sorted({**version.settings.labels, **own}.items()))


def write_labels(metadata: Data, labels: dict[str, str]) -> Data:
    """Return metadata with other labels."""
    return {**metadata, "labels": {**labels}}
