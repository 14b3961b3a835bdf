"""What the front and the engine take at most: of time, of room and of connections."""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MEMORY_FILES: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a container's memory limit stands, with cgroups of version 2 and of version 1."""

_SHARE: Final = 16
"""A body is held several times over on its way, and as a tree of values it takes ten times its bytes."""
_LEAST_IN_FLIGHT: Final = 16 * 2**20
_RESERVED_DESCRIPTORS: Final = 32
_MOST: Final = 4096
_GIB: Final = 2**30
MAX_ANSWER: Final = _GIB
"""A unit's answer, where nothing else is said."""


class LimitError(ValueError):
    """A variable of the environment is no limit; the message names it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one front; times in seconds, sizes in bytes."""

    max_head: int = 64 * 1024
    """A request's line and headers together."""
    max_body: int = _GIB
    """A request's body, as it comes and as it is once it is unpacked."""
    max_answer: int = MAX_ANSWER
    """A unit's answer, likewise."""
    in_flight: int = _GIB
    """The bodies of all requests that are held at one time."""
    connections: int = 1024
    """Connections that are open at one time."""
    head_timeout_s: float = 10
    """From the first moment of a connection, or from a request's first byte, until its head is whole."""
    read_timeout_s: float = 30
    """The longest silence within a body, or of a client that does not read its answer."""
    least_rate: int = 1024
    """Bytes a second that a body must come with, and an answer be read with, once the head's time has passed."""
    idle_timeout_s: float = 75
    """How long a connection is kept that asks for nothing."""
    unit_timeout_s: float = 60
    """A call to a unit, where neither the graph nor an annotation has a deadline."""
    grace_s: float = 25
    """What requests in flight get once the end has begun, where the graph has no longer deadline."""


_VARIABLES: Final[Mapping[str, str]] = {
    "max_head": "GRAPHC_MAX_HEAD_BYTES",
    "max_body": "GRAPHC_MAX_BODY_BYTES",
    "max_answer": "GRAPHC_MAX_ANSWER_BYTES",
    "in_flight": "GRAPHC_MAX_BYTES_IN_FLIGHT",
    "connections": "GRAPHC_MAX_CONNECTIONS",
    "head_timeout_s": "GRAPHC_HEAD_TIMEOUT_S",
    "read_timeout_s": "GRAPHC_READ_TIMEOUT_S",
    "least_rate": "GRAPHC_MIN_BYTES_PER_S",
    "idle_timeout_s": "GRAPHC_IDLE_TIMEOUT_S",
    "unit_timeout_s": "GRAPHC_UNIT_TIMEOUT_S",
    "grace_s": "GRAPHC_GRACE_S",
}


def read_limits(environment: Mapping[str, str] | None = None) -> Limits:
    """Return the limits that the environment and the machine set; raises LimitError."""
    environment = os.environ if environment is None else environment
    found: dict[str, int] = {}
    for name, variable in _VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
            raise LimitError(f"{variable} is `{text[:40]}`, which is not a positive whole number")
        found[name] = int(text)
    found.setdefault("connections", _most_connections())
    found.setdefault("in_flight", max(_LEAST_IN_FLIGHT, min(_GIB, find_memory() // _SHARE)))
    return Limits(**found)


def find_memory(files: tuple[Path, ...] = _MEMORY_FILES) -> int:
    """Return the bytes of memory that this process may use: the container's limit, else the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        # Without a limit, version 2 says `max` and version 1 a number larger than any machine.
        if text.isdigit():
            return min(machine, int(text))
    return machine


def _most_connections() -> int:
    # Each request takes its own descriptor and one of a unit at the same time.
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = _MOST if soft == resource.RLIM_INFINITY else (soft - _RESERVED_DESCRIPTORS) // 2
    return max(8, min(_MOST, room))


class Room:
    """The bytes of all requests in flight, which are limited together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    def take(self, count: int) -> bool:
        """Take room, or say that there is none."""
        if self.taken + count > self.size:
            return False
        self.taken += count
        return True

    def give_back(self, count: int) -> None:
        """Give back what was taken."""
        self.taken -= count
