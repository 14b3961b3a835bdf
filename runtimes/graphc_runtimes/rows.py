"""Rows of a batch: parted by the branch they took, and put back."""

from collections.abc import Mapping, Sequence

import numpy as np
from graphc_components.datatypes import Array, Booleans

from graphc_runtimes.arrays import ArrayError, datatype_of
from graphc_runtimes.region import Case, Guard, Read

Tensors = Mapping[str, Array]


def holds(when: Sequence[Guard], tensors: Tensors) -> bool:
    """Say whether a guarded node runs: each choice is there, and a row (or no row at all) took a branch of it."""
    return all(choice in tensors and _takes(tensors[choice], branches) for choice, branches in when)


def _takes(choice: Array, branches: Sequence[int]) -> bool:
    return choice.size == 0 or bool(_took(choice, branches).any())


def gather(read: Read, tensors: Tensors) -> Array | None:
    """Return the rows of a tensor that are read, of those that it has; None where it or a choice is absent."""
    array = tensors.get(read.tensor)
    if array is None or not read.gather:
        return array
    masks = [_find_rows(guard, tensors) for guard in read.gather]
    if any(mask is None for mask in masks):
        return None
    wanted, *there = (mask for mask in masks if mask is not None)
    if there:
        wanted = _spread(wanted, there[0].size)[_spread(there[0], wanted.size)]
    if wanted.size == 1 and wanted.size != len(array):
        return array if wanted[0] else array[:0]
    if wanted.size != len(array):
        raise ArrayError(f"has {len(array)} rows where the choice has {wanted.size}")
    return array[wanted]


def place(choice: Array, among: Guard, tensors: Tensors) -> Array:
    """Put the branches of some rows among all rows of the batch; the other rows take none, -1."""
    mask = _find_rows(among, tensors)
    if mask is None or (mask.size == 1 and choice.size != 1):
        return choice
    if int(mask.sum()) != choice.size:
        raise ArrayError(f"has {choice.size} rows where the choice has {int(mask.sum())}")
    placed = np.full(mask.size, -1, np.int32)
    placed[mask] = choice
    return placed


def either(cases: Sequence[Case], tensors: Tensors) -> Array | None:
    """Return 1 for each row that meets any case, else 0: one element for all rows where no case tells them apart.

    None where every case is about rows that were not asked for.
    """
    masks = [mask for case in cases if (mask := _meet(case, tensors)) is not None]
    return np.logical_or.reduce(np.broadcast_arrays(*masks)).astype(np.int32) if masks else None


def _meet(case: Case, tensors: Tensors) -> Booleans | None:
    rows = np.ones(1, np.bool_) if case.rows is None else _find_rows(case.rows, tensors)
    return rows if rows is None or holds(case.when, tensors) else np.zeros_like(rows)


def _find_rows(guard: Guard, tensors: Tensors) -> Booleans | None:
    choice = tensors.get(guard[0])
    return None if choice is None else _took(choice, guard[1])


def _spread(mask: Booleans, rows: int) -> Booleans:
    """Return a mask of so many rows: one element stands for all."""
    return np.broadcast_to(mask, rows) if mask.size == 1 else mask


def find_rows(guards: Sequence[tuple[Array, Sequence[int]]]) -> Array:
    """Return the places of the rows that guards leave: the innermost that is about rows leaves no others."""
    by_row = [(choice, branches) for choice, branches in guards if choice.size != 1]
    return np.flatnonzero(_took(*by_row[-1])) if by_row else np.zeros(1, np.int64)


def _took(choice: Array, branches: Sequence[int]) -> Booleans:
    return np.asarray(choice == branches[0]) if len(branches) == 1 else np.isin(choice, branches)


def scatter(choice: Array, parts: Sequence[Array | None]) -> Array:
    """Put the rows of each branch where the choice took it; raises ArrayError."""
    if choice.size == 1:
        return select(choice, parts)
    present = [part for part in parts if part is not None]
    if not present:
        raise ArrayError("has no branch that ran")
    first = max(present, key=len)
    merged = np.empty((choice.size, *first.shape[1:]), first.dtype)
    placed = 0
    for branch, part in enumerate(parts):
        mask = np.asarray(choice == branch)
        count = int(mask.sum())
        # A tensor without rows may have other dimensions where they were unknown.
        if count or (part is not None and len(part)):
            merged[mask] = _check_part(branch, part, first, count)
        placed += count
    if placed != choice.size:
        raise ArrayError("has rows that took no branch")
    return merged


def select(choice: Array, parts: Sequence[Array | None]) -> Array:
    """Return the tensor of the one branch that the request took; raises ArrayError."""
    branch = int(choice[0])
    if not 0 <= branch < len(parts) or (part := parts[branch]) is None:
        raise ArrayError(f"takes branch {branch}, which did not run")
    return part


def _check_part(branch: int, part: Array | None, first: Array, rows: int) -> Array:
    if part is None:
        raise ArrayError(f"takes rows of branch {branch}, which did not run")
    if len(part) != rows:
        raise ArrayError(f"takes {rows} rows of branch {branch}, which has {len(part)}")
    if part.dtype != first.dtype or part.shape[1:] != first.shape[1:]:
        types = [f"{datatype_of(each)} rows of shape {list(each.shape[1:])}" for each in (first, part)]
        raise ArrayError(f"merges {types[0]} with {types[1]} of branch {branch}")
    return part
