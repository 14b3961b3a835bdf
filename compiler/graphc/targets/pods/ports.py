"""Chooses the ports of units by their names, so that none moves when other units come, go or change places."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from graphc.ir.graph import Value
from graphc.records import record

# The operator would count them through: a unit more, and all behind it listen elsewhere, before their Services know.
_SLOTS: Final = 5000
# Istio's proxy listens on 15000 to 15090, and Linux gives ports from 32768 on to whoever calls out.
_HTTP, _GRPC, _METRICS = 17_000, 22_000, 27_000


@record
class Ports:
    """Where a unit listens."""

    http: int
    grpc: int
    metrics: int
    is_numbered: bool = False
    """Whether their names have their numbers, so that no two containers of a pod have a port of the same name."""

    @property
    def named(self) -> tuple[tuple[str, int], ...]:
        """Return the ports by their names: those that Seldon's operator looks for, where they have no number."""
        plain = (("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics))
        return tuple((f"{name}-{port}", port) for name, port in plain) if self.is_numbered else plain


ENTRY: Final = (8000, 5001)
"""Where a predictor's Service listens, for HTTP and gRPC: the executor's ports, and those of a unit without one.

A graph that grows from one unit to several, or shrinks back, is called where it was.
"""


def choose_ports(units: Iterable[str], *, is_entry: bool = False) -> Mapping[str, Ports]:
    """Return the ports of the units of one pod; `is_entry` says that clients call its one unit."""
    taken: dict[int, str] = {}
    # Of two that want one slot the same one gets it in whatever order they stand.
    for unit in sorted(units, key=lambda each: (_digest(each, 0), each)):
        taken[next(slot for slot in _wishes(unit) if slot not in taken)] = unit
    return {unit: _ports(slot, is_entry) for slot, unit in taken.items()}


def _wishes(unit: str) -> Iterable[int]:
    first = _digest(unit, 0) % _SLOTS
    step = 1 + _digest(unit, 1) % (_SLOTS - 1)
    yield from ((first + step * again) % _SLOTS for again in range(_SLOTS))
    yield from range(_SLOTS)


def _digest(unit: str, part: int) -> int:
    digest = hashlib.sha256(unit.encode()).digest()
    return int.from_bytes(digest[8 * part : 8 * part + 8], "big")


def _ports(slot: int, is_entry: bool) -> Ports:
    http, grpc = ENTRY if is_entry else (_HTTP + slot, _GRPC + slot)
    return Ports(http, grpc, _METRICS + slot)


def emit_ports(ports: Ports) -> list[Value]:
    """Return a container's ports by their names."""
    return [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.named]
