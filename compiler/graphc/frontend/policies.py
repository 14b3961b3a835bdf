"""What stands for the outputs of a node that fails: constants of the types that they have."""

import math
from collections.abc import Iterable, Mapping
from typing import cast

from graphc_components.tensors import Dim, TensorType

from graphc.frontend.decisions import can_hold
from graphc.frontend.draft import Draft, DraftNode
from graphc.frontend.infer import Inferred
from graphc.frontend.resolve import Resolved
from graphc.ir.graph import Default
from graphc.spec.fields import Working
from graphc.spec.scalars import show


def find_defaults(draft: Draft, node: DraftNode, resolved: Resolved, inferred: Inferred) -> Iterable[Default]:
    """Yield the constants for those outputs of a node that are read; what cannot be one is left out."""
    for port, type_ in read_outputs(node, resolved, inferred).items():
        default = make_default(draft, node, port, type_, inferred)
        if isinstance(default, Default):
            yield default


def read_outputs(node: DraftNode, resolved: Resolved, inferred: Inferred) -> dict[str, TensorType]:
    """Return the types of the outputs that anything reads."""
    named = {port: f"{node.name}.{port}" for port in node.outputs or ()}
    types = inferred.types
    return {port: types[each] for port, each in named.items() if each in resolved.read and each in types}


def make_default(
    draft: Draft, node: DraftNode, port: str, type_: TensorType, inferred: Inferred
) -> Default | str | None:
    """Return the constant for an output, the reason why it has none, or None where none is asked for."""
    given = node.spec.on_error.default if isinstance(node.spec, Working) else None
    if given is None:
        return None
    value = cast("Mapping[str, object]", given).get(port) if isinstance(given, Mapping) else given
    if value is None:
        return "is not among its defaults"
    # JSON, in which a region is written, has no infinity.
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if not (is_finite and can_hold(type_.datatype, value)):
        return f"is `{type_}`, and its default is {show(value)}"
    rows, *rest = type_.shape
    fixed = [dim for dim in rest if isinstance(dim, int)]
    if len(fixed) < len(rest):
        return f"is `{type_}`, of which only the first dimension may be left open"
    # A decision by row may leave fewer rows than the number that the type says: an input's, where one has as many.
    source = _find_rows(draft, node, rows, inferred)
    if source is None and isinstance(rows, int):
        source = rows
    if source is None:
        return f"is `{type_}`, and no input of `{node.name}` tells how many rows that is"
    return Default(port, cast("bool | int | float | str", value), type_.datatype, source, tuple(fixed))


def _find_rows(draft: Draft, node: DraftNode, rows: Dim, inferred: Inferred) -> str | None:
    """Return the first input that has those rows and is there whatever fails."""
    uses = [use for use in inferred.uses[node.name] if not _may_be_skipped(draft, use.tensor)]
    shapes = ((use.port, inferred.types[use.tensor].shape) for use in uses if use.tensor in inferred.types)
    return next((port for port, shape in shapes if rows is not None and shape[0] == rows), None)


def _may_be_skipped(draft: Draft, tensor: str) -> bool:
    maker = draft.nodes.get(tensor.partition(".")[0])
    return maker is not None and isinstance(maker.spec, Working) and maker.spec.on_error.skip
