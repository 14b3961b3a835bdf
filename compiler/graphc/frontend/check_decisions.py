"""Checks that decisions by row have rows to decide on."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import NO_ROWS
from graphc.frontend.draft import Draft
from graphc.frontend.infer import Inferred
from graphc.frontend.rows import find_misfit, has_rows, split_uses
from graphc.spec.fields import Cascade, Router


def check_decisions(draft: Draft, inferred: Inferred, sink: Sink) -> None:
    """Report routers and cascades that are to decide by row, which their tensors do not allow."""
    for name, node in draft.nodes.items():
        if isinstance(node.spec, Router | Cascade) and node.spec.per == "row":
            _check(draft, inferred, name, node.spec, sink)


def _check(draft: Draft, inferred: Inferred, name: str, spec: Router | Cascade, sink: Sink) -> None:
    values, takes = split_uses(inferred.uses[name])
    at = draft.spec.at("nodes", name, "per")
    if isinstance(spec, Router) and not values:
        message = f"`{name}` decides by the request, which is one for all rows"
        sink.report(Diagnostic(NO_ROWS, message, at, "leave `per` out"))
        return
    # Why a type is not known is said where it is made.
    is_known = all(use.tensor in inferred.types for use in [*values, *takes])
    if is_known and not has_rows(inferred, name, spec):
        message = f"`{name}` decides for each row, and what it decides by has no rows that are known"
        if misfit := find_misfit(inferred, name):
            message = f"`{name}` decides for each row, and `{misfit.tensor}` does not have those rows"
        sink.report(Diagnostic(NO_ROWS, message, at, "decide `per: request`"))
