"""Which predictor gets a request: by its path and headers, then by chance, or by a key that never changes its mind.

The sticky choice is weighted rendezvous hashing. For each predictor, SHA-256 of `GRAPH NUL PREDICTOR NUL KEY` (UTF-8;
NUL is one zero byte) gives, from its first 8 bytes as a big-endian number `n`, the fraction `u = (n + 0.5) / 2**64`;
the predictor with the least `-ln(u) / weight` takes the request. So a key keeps its predictor in any order of
predictors, and where weights change only as many keys move as have to, all of them to predictors that have grown.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from graphc.records import record
from graphc.rollout.shares import PATH_HEADER, Match, Mirror, Rollout, Share, Way

Headers = Iterable[tuple[str, str]]


@record
class Chooser:
    """Chooses for the requests of one graph."""

    graph: str
    rollout: Rollout
    chance: random.Random = field(default_factory=random.Random)

    def choose(self, headers: Headers, path: str | None = None) -> str | None:
        """Return the predictor that answers an HTTP request below a path; None where no way leads to one."""
        given = _lower(headers)
        return self._choose((each for each in self.rollout.ways if each.match.path == path), given)

    def choose_call(self, headers: Headers) -> str | None:
        """Return the predictor that answers a gRPC call, which names a path in its metadata."""
        given = _lower(headers)
        paths = (None, given.get(PATH_HEADER))
        return self._choose((each for each in self.rollout.ways_of_calls if each.match.path in paths), given)

    def mirrors(self) -> tuple[str, ...]:
        """Return the shadows that get a copy of the next request."""
        return tuple(each.predictor for each in self.rollout.mirrors if self._is_drawn(each))

    def _choose(self, ways: Iterable[Way], headers: Mapping[str, str]) -> str | None:
        way = next((each for each in ways if _matches(each.match, headers)), None)
        if way is None:
            return None
        key = headers.get(self.rollout.sticky) if self.rollout.sticky else None
        if len(way.shares) == 1:
            return way.shares[0].predictor
        return self._draw(way.shares) if key is None else choose_by_key(self.graph, way.shares, key)

    def _draw(self, shares: Sequence[Share]) -> str:
        weights = [share.weight for share in shares]
        return self.chance.choices([share.predictor for share in shares], weights)[0]

    def _is_drawn(self, mirror: Mirror) -> bool:
        return mirror.percent >= 100 or self.chance.random() * 100 < mirror.percent


def choose_by_key(graph: str, shares: Sequence[Share], key: str) -> str:
    """Return the predictor of a key; at least one share has a weight."""
    weighted = [share for share in shares if share.weight > 0]
    return min(weighted, key=lambda share: _score(graph, share, key)).predictor


def _score(graph: str, share: Share, key: str) -> float:
    text = "\0".join((graph, share.predictor, key))
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
    return -math.log((number + 0.5) / 2**64) / share.weight


def _matches(match: Match, headers: Mapping[str, str]) -> bool:
    return all(headers.get(name) == value for name, value in match.headers)


def _lower(headers: Headers) -> dict[str, str]:
    # The first value counts where a header is there twice.
    return {name.lower(): value for name, value in reversed([*headers])}
