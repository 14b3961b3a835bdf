"""Decides whether routers and cascades choose for each row of a batch or once for the request."""

from collections.abc import Iterable

from graphc_components.tensors import Dim

from graphc.frontend.draft import Draft
from graphc.frontend.infer import Inferred
from graphc.ir.graph import Per, Use
from graphc.spec.fields import Cascade, Router


def decide_rows(draft: Draft, inferred: Inferred) -> dict[str, Per]:
    """Return how each router and cascade decides; by request where its tensors allow no decision by row."""
    return {
        name: "row" if node.spec.per != "request" and has_rows(inferred, name, node.spec) else "request"
        for name, node in draft.nodes.items()
        if isinstance(node.spec, Router | Cascade)
    }


def has_rows(inferred: Inferred, name: str, spec: Router | Cascade) -> bool:
    """Say whether what a router or cascade decides by has known rows, and all that it answers with has them."""
    values, takes = split_uses(inferred.uses[name])
    if isinstance(spec, Router) and not values:
        return False
    if not all(use.tensor in inferred.types for use in [*values, *takes]):
        return False
    return find_rows(inferred, values or takes) is not None and find_misfit(inferred, name) is None


def find_misfit(inferred: Inferred, name: str) -> Use | None:
    """Return what a router or cascade answers with that has other rows than those that it decides by."""
    values, takes = split_uses(inferred.uses[name])
    rows = find_rows(inferred, values or takes)
    return None if rows is None else next((use for use in takes if _first(inferred, use) != rows), None)


def split_uses(uses: Iterable[Use]) -> tuple[list[Use], list[Use]]:
    """Part the uses of a router or cascade: what it decides by, and what it answers with."""
    every = list(uses)
    takes = [use for use in every if ":take:" in use.port]
    return [use for use in every if use not in takes], takes


def find_rows(inferred: Inferred, values: Iterable[Use]) -> Dim:
    """Return the dimension of the rows that are decided on, None where there are none."""
    firsts = {_first(inferred, use) for use in values}
    return firsts.pop() if len(firsts) == 1 else None


def _first(inferred: Inferred, use: Use) -> Dim:
    type_ = inferred.types.get(use.tensor)
    return type_.shape[0] if type_ else None
