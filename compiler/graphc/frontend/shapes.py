"""Unifies the shapes that an artefact states with those of the tensors that it is fed."""

from collections.abc import Sequence

from graphc_components.tensors import Dim

Bindings = dict[str, Dim]
"""What each symbol of an artefact's signature stands for in the graph."""

ROWS = "\0rows"
"""Stands for a first dimension that an artefact leaves unnamed: its batch."""


def name_rows(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Call an unnamed first dimension the batch, as every exporter means it."""
    return (ROWS, *shape[1:]) if shape and shape[0] is None else tuple(shape)


def bind_shape(stated: Sequence[Dim], fed: Sequence[Dim], bindings: Bindings) -> bool:
    """Match a tensor's shape with the stated one, binding symbols; says whether they agree."""
    if len(stated) != len(fed):
        return False
    return all(_bind(want, have, bindings) for want, have in zip(stated, fed, strict=True))


def _bind(want: Dim, have: Dim, bindings: Bindings) -> bool:
    if want is None or have is None:
        return True
    if isinstance(want, int):
        return want == have
    bound = bindings.get(want)
    if bound is None:
        bindings[want] = have
        return True
    return bound == have


def fill_shape(stated: Sequence[Dim], bindings: Bindings) -> tuple[Dim, ...]:
    """Replace the symbols of a stated shape by what they stand for; unknown where they are free."""
    return tuple(bindings.get(dim) if isinstance(dim, str) else dim for dim in stated)


def agree(left: Sequence[Dim], right: Sequence[Dim]) -> bool:
    """Say whether two shapes of the graph can be one: an unknown dimension agrees with any."""
    return len(left) == len(right) and all(
        a is None or b is None or a == b for a, b in zip(left, right, strict=True)
    )


def refine(left: Sequence[Dim], right: Sequence[Dim]) -> tuple[Dim, ...]:
    """Join two shapes that agree, keeping what either knows."""
    return tuple(b if a is None else a for a, b in zip(left, right, strict=True))
