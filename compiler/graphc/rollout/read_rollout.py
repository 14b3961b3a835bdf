"""Reads the rollout of a SeldonDeployment: from graphc's annotation, else from its predictors' own fields."""

from collections.abc import Sequence
from typing import Final

from graphc.diagnostics.printable import quoted
from graphc.rollout.shares import ALL, ANNOTATION, Match, Mirror, Rollout, Share, Way
from graphc.seldon.deployment import Deployment, Predictor
from graphc.unchecked import Data, fields, find, objects, parse

_MOST: Final = 2**31 - 1
"""What Kubernetes takes for a share; more can be too much to reckon with."""


def read_rollout(deployment: Deployment) -> Rollout:
    """Return how the requests of a deployment are shared; what is wrong in the annotation raises ValueError."""
    text = deployment.annotations.get(ANNOTATION)
    if text is None:
        return _of_predictors(deployment.predictors)
    rollout = read_annotation(text)
    known = {each.name for each in deployment.predictors}
    named = {share.predictor for way in rollout.ways for share in way.shares}
    if unknown := (named | {each.predictor for each in rollout.mirrors}) - known:
        raise ValueError(f"`{ANNOTATION}` names `{min(unknown)}`, which is not a predictor")
    return rollout


def _of_predictors(predictors: Sequence[Predictor]) -> Rollout:
    live = [each for each in predictors if not each.is_shadow]
    # Seldon sends everything to a predictor that is alone, even if its traffic says less.
    shares = tuple(Share(each.name, ALL if len(live) == 1 else _percent(each)) for each in live)
    if len(live) > 1 and not any(share.weight for share in shares):
        raise ValueError("no live predictor gets any traffic")
    mirrors = tuple(Mirror(each.name, _percent(each) or ALL) for each in predictors if each.is_shadow)
    return Rollout((Way(Match(), shares),) if shares else (), mirrors)


def read_annotation(text: str) -> Rollout:
    """Return the rollout of an annotation, whose predictors may be any; what is wrong raises ValueError."""
    try:
        data = fields(parse(text))
    except ValueError as error:
        raise ValueError(f"`{ANNOTATION}` is not JSON") from error
    ways = tuple(_way(each) for each in objects(data, "ways"))
    mirrors = tuple(
        Mirror(name, _number(percent, f"the share of `{name}` in `{ANNOTATION}`"))
        for name, percent in fields(data, "mirrors").items()
    )
    header = find(data, "sticky", "header")
    if any(sum(share.weight for share in way.shares) <= 0 for way in ways):
        raise ValueError(f"`{ANNOTATION}` has a way that leads nowhere")
    return Rollout(ways, mirrors, str(header).lower() if header is not None else None)


def _way(data: Data) -> Way:
    headers = tuple((name.lower(), str(value)) for name, value in fields(data, "when", "header").items())
    path = find(data, "when", "path")
    shares = fields(data, "shares")
    return Way(
        Match(None if path is None else str(path), headers),
        tuple(
            Share(name, _number(weight, f"the share of `{name}` in `{ANNOTATION}`"))
            for name, weight in shares.items()
        ),
    )


def _percent(predictor: Predictor) -> int:
    found = predictor.node.find("traffic")
    value = found.plain if found and found.as_int is None else predictor.traffic
    return _number(value, f"the `traffic` of predictor `{predictor.name}`")


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value > _MOST:
        raise ValueError(f"{what} is {quoted(str(value))}, which is not a whole number up to {_MOST}")
    return max(0, value)
