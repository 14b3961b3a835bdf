"""Says in words how requests are shared."""

from graphc.rollout.shares import ALL, Match, Mirror, Rollout, Way


def describe_rollout(rollout: Rollout) -> str:
    """Write a line for each way and each shadow."""
    lines = [f"{_describe_match(way.match)}: {_describe_shares(way, rollout.sticky)}" for way in rollout.ways]
    return "\n".join([*lines, *(_describe_mirror(each) for each in rollout.mirrors)])


def _describe_match(match: Match) -> str:
    conditions = [f"/{match.path}/v2/..."] if match.path is not None else []
    conditions += [f"{name}: {value}" for name, value in match.headers]
    return " with ".join(conditions) or "requests"


def _describe_shares(way: Way, sticky: str | None) -> str:
    if len(way.shares) == 1:
        return way.shares[0].predictor
    shares = ", ".join(f"{share.predictor} {share.weight} %" for share in way.shares)
    return f"{shares}, by `{sticky}`" if sticky is not None else shares


def _describe_mirror(mirror: Mirror) -> str:
    share = "each request" if mirror.percent == ALL else f"{mirror.percent} % of the requests"
    return f"shadow {mirror.predictor}: a copy of {share}"
