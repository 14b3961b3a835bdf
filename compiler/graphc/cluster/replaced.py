"""Finds what a change replaces beside what it names, and what does not answer until that is over."""

from collections.abc import Iterator
from typing import Literal

from graphc.cluster.made import Made, MadePods, read_made
from graphc.cluster.serving import Reading
from graphc.seldon.deployment import Deployment, Predictor
from graphc.unchecked import Data, fields

Found = tuple[Literal["replaced", "unanswered"], str]
"""The word for a danger, and what is said of it."""


def find_replaced(before: Reading, after: Reading) -> Iterator[Found]:
    """Yield pods that are replaced though nothing of theirs changes, and Services whose port moves before pods do."""
    if before.made is not None and after.made is not None:
        # No operator numbers anything here.
        yield from _find_unanswered(before.made, after.made)
        return
    old, new = read_made(before.deployment), read_made(after.deployment)
    yield from _find_replaced(old, new)
    yield from _find_whole(before.deployment, after.deployment, old, new)
    yield from _find_unanswered(old, new)


def _find_replaced(old: Made, new: Made) -> Iterator[Found]:
    """Yield units with pods of their own that only get others because of what stands before them."""
    for name, pods in new.pods.items():
        was = _same_units(old, pods)
        if was is None or not pods.place or pods.own != was[1].own:
            continue
        units = ", ".join(f"`{each}`" for each in pods.units)
        if was[0] != name:
            why = f"the operator numbers pods by their place, and theirs is now {pods.place}, no longer {was[1].place}"
            yield "replaced", f"the pods of {units} in `{pods.predictor}` are replaced as well: {why}"
        elif was[1].template != pods.template:
            why = "the operator counts ports through, and theirs are others now"
            yield "replaced", f"the pods of {units} in `{pods.predictor}` are replaced as well: {why}"


def _same_units(made: Made, pods: MadePods) -> tuple[str, MadePods] | None:
    return next(
        (
            (name, each)
            for name, each in made.pods.items()
            if (each.predictor, each.units) == (pods.predictor, pods.units)
        ),
        None,
    )


def _find_whole(before: Deployment, after: Deployment, old: Made, new: Made) -> Iterator[Found]:
    """Yield predictors that the change does not name, and whose pods are replaced all the same."""
    olds = before.by_name
    for name, predictor in after.by_name.items():
        if name not in olds or _without_share(olds[name]) != _without_share(predictor):
            continue
        first = {each.template for each in old.pods.values() if each.predictor == name and not each.place}
        now = {each.template for each in new.pods.values() if each.predictor == name and not each.place}
        if first != now:
            why = "the operator counts ports over all predictors"
            yield (
                "replaced",
                f"the pods of `{name}` are replaced as well, though nothing of it changes: {why}",
            )


def _without_share(predictor: Predictor) -> Data:
    said = fields(predictor.node.plain)
    return {name: value for name, value in said.items() if name not in {"traffic", "replicas"}}


def _find_unanswered(old: Made, new: Made) -> Iterator[Found]:
    for name, service in new.services.items():
        was = old.services.get(name)
        if was is None or was.ports == service.ports or "nobody" in {service.caller, was.caller}:
            continue
        moved = [each for each in ("http", "grpc") if was.ports[each] != service.ports[each]]
        ports = " and ".join(f"{was.ports[each]} to {service.ports[each]}" for each in moved)
        what = (
            f"`{service.predictor}`" if service.unit is None else f"`{service.unit}` in `{service.predictor}`"
        )
        yield (
            "unanswered",
            f"{what} does not answer until new pods are ready: its Service goes from port {ports} before they are",
        )
