"""JSON in compiled code: tensors are long lists, for which Python's own reader and writer take many times as long."""

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from graphc.source.located import Plain


def read(data: bytes) -> Plain:
    """Read a text with its integers exact; raises ValueError, for some texts too that are JSON.

    What it refuses, another reader has to decide: it does not say why in anybody's words, and knows no lone
    surrogates, no bytes that are not UTF-8, and nothing that nests deeper than its own limit.
    """
    value: Plain = from_json(data, allow_inf_nan=False)
    return value


def write_floats(values: list[Plain]) -> str:
    """Write finite floats in the fewest digits that read back the same, with commas between."""
    return to_json(values)[1:-1].decode()


def write_numbers(array: NDArray[np.generic]) -> bytes:
    """Write a flat array as a list, floats in the fewest digits of their own width; NaN is null."""
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
