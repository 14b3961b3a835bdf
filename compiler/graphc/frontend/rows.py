"""Decides whether routers and cascades choose for each row of a batch or once for the request."""

from collections.abc import Iterable

from graphc_components.tensors import Dim

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import NO_ROWS
from graphc.frontend.draft import Draft
from graphc.frontend.infer import Inferred
from graphc.ir.graph import Per, Use
from graphc.spec.model import Cascade, Router


def decide_rows(draft: Draft, inferred: Inferred, name: str, sink: Sink) -> Per:
    """Return how a router or cascade decides; reports a decision by row that its tensors do not allow."""
    spec = draft.nodes[name].spec
    assert isinstance(spec, Router | Cascade)
    values, takes = split_uses(inferred.uses[name])
    if isinstance(spec, Router) and not values:
        if spec.per == "row":
            message = f"`{name}` decides by the request, which is one for all rows"
            sink.report(Diagnostic(NO_ROWS, message, draft.spec.at("nodes", name, "per"), "leave `per` out"))
        return "request"
    if spec.per == "request":
        return "request"
    if not all(use.tensor in inferred.types for use in [*values, *takes]):
        return "request"  # why a type is not known is said where it is made
    rows = find_rows(inferred, values or takes)
    misfit = None if rows is None else next((use for use in takes if _first(inferred, use) != rows), None)
    if rows is not None and misfit is None:
        return "row"
    if spec.per == "row":
        _report(draft, name, misfit, sink)
    return "request"


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


def _report(draft: Draft, name: str, misfit: Use | None, sink: Sink) -> None:
    message = f"`{name}` decides for each row, and what it decides by has no rows that are known"
    if misfit:
        message = f"`{name}` decides for each row, and `{misfit.tensor}` does not have those rows"
    sink.report(Diagnostic(NO_ROWS, message, draft.spec.at("nodes", name, "per"), "decide `per: request`"))
