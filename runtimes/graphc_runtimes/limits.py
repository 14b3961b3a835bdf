"""What a server takes at most, by its environment and the memory that it may use."""

import os
import resource
from dataclasses import dataclass
from typing import Final

from graphc_runtimes.errors import RegionError
from graphc_runtimes.memory import memory_limit

_MOST_BODY: Final = 2**30
_SHARE: Final = 8
"""A body's numbers take several times its bytes while they are read, and models need room, too."""
_LEAST_IN_FLIGHT: Final = 2**24
_MOST_CONNECTIONS: Final = 4096
_OWN_FILES: Final = 128
"""Descriptors that are not for connections of clients: models, gRPC, metrics, threads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes at most."""

    threads: int = 32
    queue: int = 256
    max_body: int = _MOST_BODY
    max_head: int = 2**16
    patience_s: int = 60
    idle_s: int = 120
    least_rate: int = 1024
    """Bytes a second that a client sends of a body, or reads of an answer, once its patience is over."""
    in_flight: int = _MOST_BODY
    stream_s: int = 3600
    """Seconds that an answer in parts may take in all, where the graph has no deadline."""
    connections: int = _MOST_CONNECTIONS


_VARIABLES: Final = {
    "threads": "GRAPHC_SERVER_THREADS",
    "queue": "GRAPHC_QUEUE",
    "max_body": "GRAPHC_MAX_BODY_BYTES",
    "max_head": "GRAPHC_MAX_HEAD_BYTES",
    "patience_s": "GRAPHC_READ_TIMEOUT_S",
    "idle_s": "GRAPHC_IDLE_TIMEOUT_S",
    "least_rate": "GRAPHC_MIN_BYTES_PER_S",
    "in_flight": "GRAPHC_MAX_BYTES_IN_FLIGHT",
    "stream_s": "GRAPHC_STREAM_TIMEOUT_S",
    "connections": "GRAPHC_MAX_CONNECTIONS",
}
_MOST_DIGITS: Final = 15


def read_limits() -> Limits:
    """Read the limits from the environment; raises RegionError."""
    found: dict[str, int] = {}
    for name, variable in _VARIABLES.items():
        text = os.environ.get(variable)
        if not text:
            continue
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_number or (name not in ("queue", "least_rate") and int(text) < 1):
            raise RegionError(f"{variable} is `{text}`, which is not a positive whole number")
        found[name] = int(text)
    room = found.setdefault("in_flight", max(memory_limit() // _SHARE, _LEAST_IN_FLIGHT))
    found["max_body"] = min(found.get("max_body", _MOST_BODY), room)
    found.setdefault("connections", _find_connections())
    return Limits(**found)


def _find_connections() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(min(_MOST_CONNECTIONS, files - min(_OWN_FILES, files // 2)), 1)
