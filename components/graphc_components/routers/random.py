"""A branch by weight, always the same for a key or anew for each row."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from graphc_components.component import Component, Parameter, ParameterKind, Role, Values
from graphc_components.late import choices, datatypes, np
from graphc_components.signatures import choices_of, require_weights
from graphc_components.tensors import TensorType

_HASH_BITS: Final = 53


def random(rows: int, *, weights: Sequence[float], key: str | None = None, salt: str = "") -> choices.Choices:
    """Choose by weight: with a key, always the same for that key and salt; without one, anew for each row.

    The choice of a key moves only between neighbouring branches when a weight changes.
    """
    if key is None:
        draws = np.asarray([secrets.randbits(_HASH_BITS) for _ in range(rows)], dtype=np.float64)
    else:
        draws = np.full(rows, _hash(salt, key), dtype=np.float64)
    return _by_weight(draws / 2**_HASH_BITS, weights)


def _hash(salt: str, key: str) -> int:
    # Python's own hash differs from process to process, and every replica must choose alike.
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _HASH_BITS)


def _by_weight(draws: datatypes.Floats, weights: Sequence[float]) -> choices.Choices:
    ends = np.asarray(list(accumulate(weights)), dtype=np.float64)
    return np.asarray(np.searchsorted(ends, draws * ends[-1], side="right"), dtype=np.int32)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:  # noqa: ARG001
    require_weights(values, None)
    return choices_of(None)


COMPONENT = Component(
    name="random",
    role=Role.ROUTER,
    summary="Chooses by weight: always alike for a key, or anew for each row.",
    signature=_signature,
    function=random,
    inputs=(),
    minimum=0,
    outputs=("choice",),
    parameters=(
        Parameter(
            name="weights",
            kind=ParameterKind.NUMBERS,
            required=True,
            minimum=0,
            doc="How often each branch is taken, compared with the others.",
        ),
        Parameter(
            name="salt",
            kind=ParameterKind.STRING,
            default="",
            doc="A text that sets this split apart from others by the same key.",
        ),
    ),
)
