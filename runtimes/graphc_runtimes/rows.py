"""Rows of a batch: parted by the branch they took, and put back."""

from collections.abc import Mapping, Sequence

import numpy as np
from graphc_components.datatypes import Array, Booleans

from graphc_runtimes.arrays import ArrayError, datatype_of
from graphc_runtimes.region import Guard, Read

Tensors = Mapping[str, Array]


def holds(when: Sequence[Guard], tensors: Tensors) -> bool:
    """Say whether a guarded node runs: each choice is there, and a row (or no row at all) took a branch of it."""
    return all(choice in tensors and _takes(tensors[choice], branches) for choice, branches in when)


def _takes(choice: Array, branches: Sequence[int]) -> bool:
    return choice.size == 0 or bool(_took(choice, branches).any())


def gather(read: Read, tensors: Tensors) -> Array | None:
    """Return a tensor's rows that took the branches named, None where the tensor is absent."""
    array = tensors.get(read.tensor)
    for name, branches, *among in read.gather:
        choice = tensors.get(name)
        if array is None or choice is None:
            return None
        rows = choice[_took(choice, among[0])] if among else choice
        if rows.size != len(array):
            raise ArrayError(f"has {len(array)} rows where the choice has {rows.size}")
        array = array[_took(rows, branches)]
    return array


def find_rows(guards: Sequence[tuple[Array, Sequence[int]]]) -> Array:
    """Return the places of the rows that choices leave, each of which was made for those that the one before left."""
    rows = np.zeros(1, np.int64)
    for choice, branches in guards:
        if choice.size != rows.size:
            # Those before were made for the request as a whole.
            rows = np.arange(choice.size)
        rows = rows[_took(choice, branches)]
    return rows


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
        # What has no rows may have other dimensions, where nobody knew them.
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
