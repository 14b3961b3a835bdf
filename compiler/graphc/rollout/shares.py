"""How requests are shared among the predictors of a graph; the emitters and the local front read the same."""

from collections.abc import Mapping
from typing import Final

from graphc.records import record

Data = dict[str, object]

ANNOTATION: Final = "graphc.dev/rollout"
"""Where a SeldonDeployment keeps its rollout, if its own fields cannot say it."""

PATH_HEADER: Final = "graphc-path"
"""The metadata key by which a gRPC call, whose path is fixed, names the version that a URL would."""

ALL: Final = 100


@record
class Match:
    """What a request has to have: the first segment of its path, and all of the headers."""

    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case with the exact values, by name."""


@record
class Share:
    """A predictor with its percentage of a way's requests."""

    predictor: str
    weight: int


@record
class Way:
    """The requests that match, and the predictors that share them."""

    match: Match
    shares: tuple[Share, ...]


@record
class Mirror:
    """A shadow with the percentage of all requests that it gets copies of."""

    predictor: str
    percent: int = ALL


@record
class Rollout:
    """The ways in the order in which they are tried, the shadows, and the header that makes choices sticky."""

    ways: tuple[Way, ...]
    mirrors: tuple[Mirror, ...] = ()
    sticky: str | None = None

    @property
    def is_plain(self) -> bool:
        """Say whether a SeldonDeployment's own fields express it: shares of all requests, and one shadow."""
        return (
            len(self.mirrors) <= 1 and self.sticky is None and [way.match for way in self.ways] == [Match()]
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the first segments of paths that lead to versions, each once."""
        return tuple(dict.fromkeys(way.match.path for way in self.ways if way.match.path is not None))

    @property
    def ways_of_calls(self) -> tuple[Way, ...]:
        """Return the ways in the order in which gRPC calls try them: the most conditions first."""
        return tuple(sorted(self.ways, key=lambda way: -_conditions(way.match)))

    def to_json(self) -> Data:
        """Return the rollout as JSON holds it."""
        data: Data = {"ways": [_write_way(way) for way in self.ways]}
        if self.mirrors:
            data["mirrors"] = {each.predictor: each.percent for each in self.mirrors}
        if self.sticky is not None:
            data["sticky"] = {"header": self.sticky}
        return data


def order_ways(shares: Mapping[Match, tuple[Share, ...]]) -> tuple[Way, ...]:
    """Return the ways as a Gateway API `HTTPRoute` tries them: by path first, then by more headers."""
    ways = (Way(match, each) for match, each in shares.items())
    return tuple(sorted(ways, key=lambda way: (way.match.path is None, -len(way.match.headers))))


def _conditions(match: Match) -> int:
    return len(match.headers) + (match.path is not None)


def _write_way(way: Way) -> Data:
    when: Data = {}
    if way.match.path is not None:
        when["path"] = way.match.path
    if way.match.headers:
        when["header"] = dict(way.match.headers)
    data: Data = {"when": when} if when else {}
    return data | {"shares": {share.predictor: share.weight for share in way.shares}}
