"""Says what the pods of a graph take of a cluster's nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from graphc.hardware.assign import Hardware
from graphc.hardware.peak import PodAsk
from graphc.ir.graph import Resources
from graphc.ir.plan import Unit
from graphc.quantities import parse_quantity


@dataclass(frozen=True, slots=True)
class Amount:
    """Processors and bytes of memory that a container asks for."""

    cpu: float = 0
    memory: float = 0


def describe_pods(
    name: str,
    units: Sequence[Unit],
    given: Resources | None,
    hardware: Hardware,
    pods: int,
    beside: Sequence[Amount] = (),
    before: Sequence[Amount] = (),
) -> PodAsk:
    """Return what pods of these units take of a node; what a unit does not ask for counts as nothing.

    `beside` are other containers of the pod, and `before` are those that have ended before any of them starts.
    """
    asked = [*(_amount(unit.region.placement.resources or given) for unit in units), *beside]
    # A pod takes what all its containers do, or one of those before them, whichever is more.
    cpu = max(sum(each.cpu for each in asked), *(each.cpu for each in before), 0)
    memory = max(sum(each.memory for each in asked), *(each.memory for each in before), 0)
    grants = tuple(hardware.grants.values())
    return PodAsk(name, pods, grants, ceil(round(cpu * 1000, 3)), ceil(round(memory, 3)))


def _amount(resources: Resources | None) -> Amount:
    cpu, memory = (resources.cpu, resources.memory) if resources else (None, None)
    return Amount(parse_quantity(cpu) if cpu else 0, parse_quantity(memory) if memory else 0)
