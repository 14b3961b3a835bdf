"""What the pods of DaemonSets take of each node, which no graph will ever get."""

from collections.abc import Sequence
from math import floor
from typing import Final

from graphc.cluster.client import Kind
from graphc.cluster.pod_needs import may_go_to, needs_of
from graphc.gpus.room import CPU, MEMORY, PODS
from graphc.ir.graph import Value
from graphc.quantities import is_quantity, parse_quantity
from graphc.unchecked import Data, copy_fields, fields, items, texts

DAEMON_SET: Final = Kind("apps/v1", "DaemonSet")

_HELD: Final = (CPU, MEMORY, PODS)

# What the controller of DaemonSets lets their pods tolerate, beside what their template says.
_TOLERATED: Final = tuple(
    f"node.kubernetes.io/{name}"
    for name in (
        *("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure"),
        *("unschedulable", "network-unavailable"),
    )
)


def leave_daemons(node: Data, daemons: Sequence[Data]) -> Data:
    """Return a node with no more to give than DaemonSets leave of it: processors, memory and a number of pods."""
    taken: dict[str, int] = {}
    for spec in (_spec(each) for each in daemons):
        if may_go_to(spec, node):
            for name, amount in needs_of(spec).items():
                taken[name] = taken.get(name, 0) + amount
    room = texts(node, "status", "allocatable")
    left = {
        name: _take(name, room[name], taken[name])
        for name in _HELD
        if taken.get(name) and is_quantity(room.get(name, ""))
    }
    if not left:
        return node
    changed = copy_fields(node)
    fields(changed, "status", "allocatable").update(left)
    return changed


def _spec(daemon: Data) -> Data:
    spec = copy_fields(fields(daemon, "spec", "template", "spec"))
    own: list[Value] = [{"key": key, "operator": "Exists"} for key in _TOLERATED]
    spec["tolerations"] = [*items(spec, "tolerations"), *own]
    return spec


def _take(resource: str, amount: str, taken: int) -> str:
    if resource == CPU:
        milli = max(0, floor(round(parse_quantity(amount) * 1000, 3)) - taken)
        return f"{milli}m" if milli % 1000 else str(milli // 1000)
    left = max(0, floor(parse_quantity(amount)) - taken)
    return f"{left // 1024}Ki" if resource == MEMORY and left and not left % 1024 else str(left)
