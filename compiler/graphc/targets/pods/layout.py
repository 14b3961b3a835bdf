"""A graph as it is laid out: predictors in pods, pods in containers; nothing is written yet."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from graphc.hardware.assign import Hardware
from graphc.ir.graph import Autoscaling, Host, Resources
from graphc.ir.plan import Unit
from graphc.records import record
from graphc.seldon.predictor_size import MAX_STRING
from graphc.targets.interface import Deployable, Settings, Version
from graphc.targets.pods.ending import Ending
from graphc.targets.pods.ports import Ports
from graphc.targets.pods.scaling import ScaledPod
from graphc.targets.routes.routing import Routing
from graphc.targets.shipping import ConfigMapShipment, Shipment, TooLarge

# A string of the environment has a name and an end.
MAX_VARIABLE: Final = MAX_STRING - 64

# What a region that is a file still takes in the manifest: its path, mount, volume and config map.
_FILED_BYTES: Final = 300


def count_workers(settings: Settings, unit: Unit) -> int:
    """Return how many processes a unit's container runs."""
    return unit.region.placement.workers or settings.workers or 1


@record
class Container:
    """One unit's container; its region is a variable, unless it is a file of `region_map`."""

    unit: Unit
    settings: Settings
    """The version's own."""
    names: tuple[str, ...]
    """The names by which clients ask for the version."""
    is_for_cluster: bool
    hardware: Hardware
    ports: Ports
    ending: Ending
    shipments: tuple[Shipment, ...]
    too_large: tuple[TooLarge, ...]
    memory_limit: int | None
    """The MiB of a shared GPU that each process may take."""
    region: str
    region_map: ConfigMapShipment | None = None
    is_unreadable: bool = False
    """Whether the region had to be a file, and is too large for one."""

    @property
    def name(self) -> str:
        """Return the unit's name."""
        return self.unit.name

    @property
    def resources(self) -> Resources | None:
        """Return what it asks for, or the graph does for it."""
        return self.unit.region.placement.resources or self.settings.resources

    @property
    def workers(self) -> int:
        """Return how many processes it runs."""
        return count_workers(self.settings, self.unit)

    @property
    def inline_size(self) -> int:
        """Return how many bytes less a predictor has once the region is a file; 0 where that wins nothing."""
        if self.region_map is not None:
            return 0
        return max(0, len(json.dumps(escape(self.region), ensure_ascii=False).encode()) - _FILED_BYTES)


def escape(text: str) -> str:
    """Write a text as Kubernetes reads it: it expands $(NAME) in a value, and takes $$ for a plain dollar."""
    return text.replace("$", "$$")


@record
class Sidecar:
    """A server beside a pod's units, and how what it serves comes there."""

    host: Host
    shipments: tuple[Shipment, ...]
    too_large: tuple[TooLarge, ...]
    port: str = "http"
    """The name of its port."""


@record
class Pod:
    """A pod of a predictor; what walks its units shares the first."""

    index: int
    units: tuple[Unit, ...]
    hardware: Hardware
    containers: tuple[Container, ...]
    has_walker: bool
    scaling: Autoscaling | None
    scaled: ScaledPod
    servers: tuple[Sidecar, ...] = ()

    @property
    def replicas(self) -> int | None:
        """Return how many pods the units ask for themselves."""
        return self.units[0].region.placement.replicas


@record
class Predictor:
    """A version's pods, the config maps that they mount, and how much Seldon's executor is told of them."""

    version: Version
    pods: tuple[Pod, ...]
    config_maps: tuple[ConfigMapShipment, ...]
    told: int | None = None
    """Bytes, before they are written as base64; None where nobody is told."""

    @property
    def containers(self) -> Iterator[Container]:
        """Yield the containers of all pods."""
        for pod in self.pods:
            yield from pod.containers


@record
class Layout:
    """Everything that is to be written."""

    deployable: Deployable
    routing: Routing
    predictors: tuple[Predictor, ...]

    @property
    def has_walker(self) -> bool:
        """Say whether something stands in front of units, and walks them."""
        return any(pod.has_walker for _, pod in self.pods)

    @property
    def pods(self) -> Iterator[tuple[Version, Pod]]:
        """Yield every pod, with its version."""
        for predictor in self.predictors:
            for pod in predictor.pods:
                yield predictor.version, pod


def group_units(units: Sequence[Unit]) -> list[list[Unit]]:
    """Return the units of each pod: those that scale on their own get one each, the others share the first."""
    alone = [unit for unit in units if _scales_alone(unit)]
    shared = [unit for unit in units if not _scales_alone(unit)]
    return [group for group in (shared, *([unit] for unit in alone)) if group]


def scaling_of(version: Version, units: Sequence[Unit]) -> Autoscaling | None:
    """Return how the replicas of a pod follow the load; None where their number is fixed."""
    return units[0].region.placement.autoscaling if _scales_alone(units[0]) else version.scaling


def _scales_alone(unit: Unit) -> bool:
    placement = unit.region.placement
    return placement.replicas is not None or placement.autoscaling is not None
