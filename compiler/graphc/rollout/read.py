"""Reads the rollout of a SeldonDeployment: from graphc's annotation, else from its predictors' own fields."""

import json
from collections.abc import Mapping
from typing import cast

from graphc.rollout.model import ALL, ANNOTATION, Match, Mirror, Rollout, Share, Way

Document = Mapping[str, object]


def read_rollout(deployment: Document) -> Rollout:
    """Return how the requests of a deployment are shared; what is wrong in the annotation raises ValueError."""
    metadata = _mapping(deployment.get("metadata"))
    text = _mapping(metadata.get("annotations")).get(ANNOTATION)
    predictors = [_mapping(each) for each in _items(_mapping(deployment.get("spec")).get("predictors"))]
    if text is None:
        return _of_predictors(predictors)
    rollout = _of_json(str(text))
    known = {str(each.get("name")) for each in predictors}
    named = {share.predictor for way in rollout.ways for share in way.shares}
    if unknown := (named | {each.predictor for each in rollout.mirrors}) - known:
        raise ValueError(f"`{ANNOTATION}` names `{min(unknown)}`, which is not a predictor")
    return rollout


def _of_predictors(predictors: list[Document]) -> Rollout:
    live = [each for each in predictors if each.get("shadow") is not True]
    # Seldon sends everything to a predictor that is alone, whatever its traffic says.
    shares = tuple(Share(str(each.get("name")), ALL if len(live) == 1 else _percent(each)) for each in live)
    if len(live) > 1 and not any(share.weight for share in shares):
        raise ValueError("no live predictor gets any traffic")
    mirrors = tuple(
        Mirror(str(each.get("name")), _percent(each) or ALL)
        for each in predictors
        if each.get("shadow") is True
    )
    return Rollout((Way(Match(), shares),) if shares else (), mirrors)


def _of_json(text: str) -> Rollout:
    try:
        data = _mapping(json.loads(text))
    except ValueError as error:
        raise ValueError(f"`{ANNOTATION}` is not JSON") from error
    ways = tuple(_way(_mapping(each)) for each in _items(data.get("ways")))
    mirrors = tuple(Mirror(name, _number(percent)) for name, percent in _mapping(data.get("mirrors")).items())
    header = _mapping(data.get("sticky")).get("header")
    if any(sum(share.weight for share in way.shares) <= 0 for way in ways):
        raise ValueError(f"`{ANNOTATION}` has a way that leads nowhere")
    return Rollout(ways, mirrors, str(header).lower() if header is not None else None)


def _way(data: Document) -> Way:
    when = _mapping(data.get("when"))
    headers = tuple((name.lower(), str(value)) for name, value in _mapping(when.get("header")).items())
    path = when.get("path")
    shares = _mapping(data.get("shares"))
    return Way(
        Match(None if path is None else str(path), headers),
        tuple(Share(name, _number(weight)) for name, weight in shares.items()),
    )


def _percent(predictor: Document) -> int:
    return _number(predictor.get("traffic") or 0)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a whole number")
    return max(0, value)


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
