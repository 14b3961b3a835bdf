"""What a server takes at most, by its environment."""

import os
from dataclasses import dataclass
from typing import Final

from graphc_runtimes.errors import RegionError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes at most."""

    threads: int = 32
    queue: int = 256
    max_body: int = 2**30
    max_head: int = 2**16
    patience_s: int = 60


_VARIABLES: Final = {
    "threads": "GRAPHC_SERVER_THREADS",
    "queue": "GRAPHC_QUEUE",
    "max_body": "GRAPHC_MAX_BODY_BYTES",
    "max_head": "GRAPHC_MAX_HEAD_BYTES",
    "patience_s": "GRAPHC_READ_TIMEOUT_S",
}


def read_limits() -> Limits:
    """Read the limits from the environment; raises RegionError."""
    found: dict[str, int] = {}
    for name, variable in _VARIABLES.items():
        text = os.environ.get(variable)
        if not text:
            continue
        if not (text.isascii() and text.isdigit()) or (name != "queue" and int(text) < 1):
            raise RegionError(f"{variable} is `{text}`, which is not a positive whole number")
        found[name] = int(text)
    return Limits(**found)
