"""Compares one model with the parts that it was made of, on generated inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from graphc_components.datatypes import Array, bytes_array, to_numpy
from graphc_components.tensors import FLOATS, Dim, TensorType

from graphc.lower.onnx.session import Session

Tensors = Mapping[str, Array]

ROWS: Final = (1, 3, 0)
"""The batches that are tried, again and again; a unit may run for no row."""

_DRAWS: Final = 8
_SEED: Final = 20_240_229
_TOLERANCE: Final = 1e-5
_OTHER_SIZE: Final = 2
_TEXTS: Final = (b"", b"a", b"b", b"0", b"1")


@dataclass(frozen=True, slots=True)
class Step:
    """One part on its own: named inputs to named outputs, or None where it fails."""

    run: Callable[[Tensors], Tensors | None]
    reads: Mapping[str, str]
    gives: Mapping[str, str]
    """Outputs by tensor."""


def find_difference(
    steps: Sequence[Step],
    merged: Session,
    inputs: Mapping[str, TensorType],
    needed: Sequence[str],
    outputs: Sequence[str],
) -> str | None:
    """Return how the merged model differs from its parts, None where it does not; it is fed what it needs."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    answered: set[int] = set()
    for draw in range(_DRAWS * len(ROWS)):
        rows = ROWS[draw % len(ROWS)]
        tensors = {name: _draw(each, rows, random) for name, each in inputs.items()}
        wanted = _run_steps(steps, tensors)
        # Many exported models fail for no rows, some in a part that merging leaves out.
        if wanted is None and rows == 0:
            continue
        got = merged.run({name: tensors[name] for name in needed}, outputs)
        difference = _difference(wanted, got, outputs)
        if difference:
            return f"{difference} for a generated batch of {rows}"
        if wanted is not None:
            answered.add(rows)
    if not answered >= {1, 3}:
        return "the nodes answer none of the generated inputs, so that there is nothing to compare"
    return None


def _run_steps(steps: Sequence[Step], tensors: Tensors) -> Tensors | None:
    found = dict(tensors)
    for step in steps:
        results = step.run({name: found[tensor] for name, tensor in step.reads.items()})
        if results is None:
            return None
        found |= {tensor: results[output] for tensor, output in step.gives.items()}
    return found


def _difference(wanted: Tensors | None, got: Tensors | None, outputs: Sequence[str]) -> str | None:
    if wanted is None or got is None:
        return None if wanted is got else "one fails and the other does not"
    for name in outputs:
        if not _agree(wanted[name], got[name]):
            return f"`{name}` differs"
    return None


def _agree(wanted: Array, got: Array) -> bool:
    if wanted.dtype != got.dtype or wanted.shape != got.shape:
        return False
    if wanted.dtype.kind == "f":
        left, right = wanted.astype(np.float64), got.astype(np.float64)
        return bool(np.allclose(left, right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
    return bool(np.array_equal(wanted, got))


def _draw(type_: TensorType, rows: int, random: np.random.Generator) -> Array:
    shape = [_size(index, dim, rows) for index, dim in enumerate(type_.shape)]
    if type_.datatype == "BYTES":
        chosen = random.integers(0, len(_TEXTS), size=int(np.prod(shape)))
        return bytes_array((_TEXTS[int(index)] for index in chosen), shape)
    dtype = to_numpy(type_.datatype)
    if type_.datatype in FLOATS:
        return (random.normal(size=shape) * random.choice([0.5, 2.0, 20.0])).astype(dtype)
    # Small numbers, because integers are mostly classes and positions.
    return random.integers(0, 2 if type_.datatype == "BOOL" else 4, size=shape).astype(dtype)


def _size(index: int, dim: Dim, rows: int) -> int:
    if isinstance(dim, int):
        return dim
    return rows if index == 0 else _OTHER_SIZE
