"""The paths of the V2 protocol, and which of the front's answers belongs to each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.engine.heads import Head

_KNOWN: Final = 1024
_WHOLE: Final[Mapping[tuple[str, ...], tuple[str, str]]] = {
    ("v2",): ("GET", "server_metadata"),
    ("v2", ""): ("GET", "server_metadata"),
    ("v2", "health", "live"): ("GET", "live"),
    ("v2", "health", "ready"): ("GET", "ready"),
    ("v2", "models", "infer"): ("POST", "infer"),
    ("v2", "repository", "index"): ("POST", "repository_index"),
}
_BESIDE: Final[Mapping[tuple[str, ...], tuple[str, str]]] = {
    ("ready",): ("GET", "ready"),
    ("live",): ("GET", "live"),
    ("metrics",): ("GET", "metrics"),
    ("prometheus",): ("GET", "metrics"),
}
_OF_MODEL: Final[Mapping[tuple[str, ...], tuple[str, str]]] = {
    (): ("GET", "metadata"),
    ("ready",): ("GET", "model_ready"),
    ("infer",): ("POST", "infer"),
    ("infer_stream",): ("POST", "infer_stream"),
    ("generate_stream",): ("POST", "infer_stream"),
}
_NOT_HERE: Final = {
    "config": "configuration of models",
    "stats": "statistics of models but those at /metrics",
    "trace": "tracing",
    "logging": "log that can be set",
    "systemsharedmemory": "shared memory",
    "cudasharedmemory": "shared memory",
    "repository": "loading or unloading of models",
    "generate": "generation of text",
}
"""What other servers of the protocol offer beside it."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a path leads to: the version's path that it began with, the answer's name, and the names within it."""

    method: str
    name: str
    below: str = ""
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why a request leads nowhere."""

    status: int
    message: str
    allowed: str = ""


class Routes:
    """Finds what a request leads to; each of the versions has the protocol again below its own path."""

    def __init__(self, versions: Collection[str]) -> None:
        self._versions = versions
        self._known: dict[str, Route | NoRoute] = {}

    def find(self, head: Head) -> Route | NoRoute:
        """Return where a request leads."""
        known = self._known.get(head.path)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[head.path] = self._find(head.segments())
        if isinstance(known, NoRoute):
            return known
        if head.method == known.method or (head.method == "HEAD" and known.method == "GET"):
            return known
        return NoRoute(405, f"this path takes {known.method} alone", known.method)

    def version_of(self, path: str) -> str:
        """Return the version below whose path the protocol begins once more, or nothing."""
        first, _, rest = path[1:].partition("/")
        return first if first in self._versions and (rest == "v2" or rest.startswith("v2/")) else ""

    def _find(self, parts: Sequence[str]) -> Route | NoRoute:
        if found := _BESIDE.get(tuple(parts)):
            return Route(*found)
        found = _find_in_protocol(parts, "")
        if isinstance(found, NoRoute) and parts[0] in self._versions:
            return _find_in_protocol(parts[1:], parts[0])
        return found


def _find_in_protocol(parts: Sequence[str], below: str) -> Route | NoRoute:
    if found := _WHOLE.get(tuple(parts)):
        return Route(*found, below)
    if len(parts) > 2 and parts[:2] == ["v2", "models"] and parts[2:] != ["stats"]:
        return _find_model(parts[2], parts[3:], below)
    return _nowhere(parts)


def _find_model(model: str, rest: Sequence[str], below: str) -> Route | NoRoute:
    version = None
    if len(rest) > 1 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    found = _OF_MODEL.get(tuple(rest))
    if found is None or not (is_segment(model) and (version is None or is_segment(version))):
        return _nowhere(["v2", *rest])
    return Route(*found, below, model, version)


def is_segment(name: str) -> bool:
    """Say whether a name is one segment of a path: another could climb out of the units' models."""
    return bool(name) and "/" not in name and name not in {".", ".."}


def _nowhere(parts: Sequence[str]) -> NoRoute:
    if parts[:1] == ["v2"]:
        for part in parts[1:]:
            if part in _NOT_HERE:
                return NoRoute(404, f"there is no {_NOT_HERE[part]} here")
    return NoRoute(404, "nothing is at this path")
