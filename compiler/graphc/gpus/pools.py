"""What a cluster offers: pools of nodes, the GPUs that they have, and how those are parted."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from fractions import Fraction
from typing import Final, Literal

from graphc.gpus.products import Product
from graphc.records import record

Mode = Literal["exclusive", "mig", "mps", "time-slicing"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

WHOLE: Final = "nvidia.com/gpu"
SHARED: Final = "nvidia.com/gpu.shared"

MOST_PODS: Final = 110
"""Pods of one node, as the kubelet has it where nothing is said."""

ISOLATED: Final[frozenset[Mode]] = frozenset({"exclusive", "mig", "mps"})
"""How a part has memory of its own; of time-slicing, each may take all and break the others."""


@record
class Taint:
    """What keeps pods away that do not tolerate it."""

    key: str
    value: str | None
    effect: Effect


@record
class Gpus:
    """The GPUs of one node: how many devices of a product, and how each is parted."""

    product: Product
    devices: int
    mode: Mode = "exclusive"
    replicas: int = 1
    """Parts of a device under time-slicing and MPS."""
    renamed: bool = True
    """Whether parts are called `nvidia.com/gpu.shared`, and not as whole devices are."""
    strategy: Literal["single", "mixed"] = "mixed"
    slices: Mapping[str, int] = field(default_factory=dict[str, int])
    """MIG slices of each device; all of one kind under the single strategy."""


@record
class Pool:
    """Nodes that are alike; cpu in thousandths of a processor, memory in bytes, both allocatable on each node."""

    name: str
    nodes: int
    cpu_m: int
    memory: int
    gpus: Gpus | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    taints: tuple[Taint, ...] = ()
    runtime_class: str | None = None
    pods: int = MOST_PODS
    """How many pods a node takes."""


@record
class Offer:
    """A kind of part that a pool has: its resource, its share and memory in MiB, and how many a node has."""

    pool: Pool
    mode: Mode
    resource: str
    share: Fraction
    memory_mib: int
    per_node: int
    most: int
    """How many of them one container may have and use."""
    slice: str | None = None

    @property
    def is_isolated(self) -> bool:
        """Whether nothing else can take its memory."""
        return self.mode in ISOLATED

    def __str__(self) -> str:
        """Write it for a message."""
        assert self.pool.gpus is not None
        product = self.pool.gpus.product.name
        match self.mode:
            case "exclusive":
                return f"whole {product}"
            case "mig":
                return f"slices mig-{self.slice} of {product}"
            case _:
                name = "MPS" if self.mode == "mps" else "time-slicing"
                return f"{product} by {name} in {self.pool.gpus.replicas}"


def offers_of(pool: Pool) -> Iterator[Offer]:
    """Yield what a pool offers."""
    gpus = pool.gpus
    if gpus is None or not gpus.devices:
        return
    product = gpus.product
    match gpus.mode:
        case "exclusive":
            yield Offer(pool, "exclusive", WHOLE, Fraction(1), product.memory_mib, gpus.devices, gpus.devices)
        case "mig":
            for name, count in gpus.slices.items():
                each = product.slices[name]
                resource = WHOLE if gpus.strategy == "single" else each.resource
                # CUDA sees one slice alone, however many a container has.
                yield Offer(pool, "mig", resource, each.share, each.memory_mib, count * gpus.devices, 1, name)
        case "mps" | "time-slicing":
            part = Fraction(1, gpus.replicas)
            memory = product.memory_mib // gpus.replicas if gpus.mode == "mps" else product.memory_mib
            resource = SHARED if gpus.renamed else WHOLE
            # The device plugin refuses several under MPS; time slices of one device add up to no more speed.
            yield Offer(pool, gpus.mode, resource, part, memory, gpus.devices * gpus.replicas, 1)
