"""What moves when predictors get other shares, and what a rollout then says."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

from graphc.rollout.read_rollout import read_annotation
from graphc.rollout.shares import Match, Rollout, Share, Way


@dataclass(frozen=True, slots=True)
class Moves:
    """The shares that the predictors of a graph get, and those that shared the requests before."""

    graph: str
    shares: Mapping[str, int]
    before: frozenset[str]

    @property
    def answering(self) -> set[str]:
        """The predictors that get requests."""
        return {name for name, share in self.shares.items() if share}

    def share_in(self, named: Set[str]) -> bool:
        """Say whether a rule with these backends is one that shared the requests; others are for one version."""
        return bool(self.before) and self.before <= named


def move_rollout(rollout: Rollout, moves: Moves) -> Rollout:
    """Return a rollout with the shares; a shadow that gets one shares the requests from then on."""
    mirrors = {each.predictor for each in rollout.mirrors} & moves.answering
    ways = tuple(
        replace(way, shares=tuple(_move_shares(way, moves, mirrors)))
        if moves.share_in({each.predictor for each in way.shares})
        else way
        for way in rollout.ways
    )
    return replace(
        rollout, ways=ways, mirrors=tuple(each for each in rollout.mirrors if each.predictor not in mirrors)
    )


def _move_shares(way: Way, moves: Moves, mirrors: set[str]) -> Iterator[Share]:
    for each in way.shares:
        yield replace(each, weight=moves.shares.get(each.predictor, each.weight))
    yield from (Share(name, share) for name, share in moves.shares.items() if name in mirrors)


def read_shares(written: str | None) -> tuple[dict[str, int], dict[str, int]]:
    """Return who gets which share of the plain requests by an annotation, and the shadows with theirs.

    Nobody gets any where it is absent, or is not what graphc writes.
    """
    try:
        rollout = Rollout(()) if written is None else read_annotation(written)
    except ValueError:
        return {}, {}
    way = next((each for each in rollout.ways if each.match == Match()), None)
    shares = {} if way is None else {share.predictor: share.weight for share in way.shares}
    return shares, {each.predictor: each.percent for each in rollout.mirrors}
