"""Tensor types: a V2 datatype and a shape whose dimensions may be symbolic."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DATATYPES: Final = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
)
"""The datatypes of the Open Inference Protocol that numpy can hold."""

FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
INTEGERS: Final = frozenset(name for name in DATATYPES if "INT" in name)
NUMERIC: Final = FLOATS | INTEGERS

FLOAT_LIMITS: Final = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "FP64": 1.7976931348623157e308}
"""The largest finite value of each float datatype."""

CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of gRPC's `InferTensorContents` that holds each datatype; 16-bit floats have none and travel raw."""

LARGEST_DIM: Final = 2**63 - 1

Dim = int | str | None
"""A size that is known (`30`), named (`batch`), or unknown (None, written `?` or `-1`)."""

_PATTERN: Final = re.compile(r"\s*(?P<datatype>[A-Za-z0-9]+)\s*\[(?P<shape>[^\[\]]*)\]\s*\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")


_OTHER_NAMES: Final = {
    "float": "FP32",
    "double": "FP64",
    "half": "FP16",
    "int": "INT64",
    "long": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
    "str": "BYTES",
    "object": "BYTES",
}
"""What other libraries call datatypes, where it is not nearly the same name."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """A datatype and a shape, as in `FP32[batch, 30]`."""

    datatype: str
    shape: tuple[Dim, ...]

    def __str__(self) -> str:
        """Write the type the way a graph file does."""
        return f"{self.datatype}[{', '.join('?' if dim is None else str(dim) for dim in self.shape)}]"

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def with_shape(self, shape: Sequence[Dim]) -> "TensorType":
        """Return the type with another shape."""
        return TensorType(self.datatype, tuple(shape))

    def with_datatype(self, datatype: str) -> "TensorType":
        """Return the type with another datatype."""
        return TensorType(datatype, self.shape)


class TensorTypeError(ValueError):
    """A text is not a tensor type; the message says why, in a user's words."""


def parse_tensor_type(text: str) -> TensorType:
    """Read `FP32[batch, 30]`; raises TensorTypeError."""
    match = _PATTERN.match(text)
    if not match:
        raise TensorTypeError(f"`{text}` is not a tensor type such as `FP32[batch, 30]`")
    datatype = match["datatype"]
    if datatype not in DATATYPES:
        known = _find_datatype(datatype)
        meant = f", and `{known}` is" if known else ""
        raise TensorTypeError(f"`{datatype}` is not a datatype of the V2 protocol{meant}")
    body = match["shape"].strip()
    if not body:
        raise TensorTypeError(f"`{text}` has no dimensions; a V2 tensor has at least one")
    return TensorType(datatype, tuple(_parse_dim(part.strip()) for part in body.split(",")))


def _find_datatype(name: str) -> str | None:
    """Return the datatype that a name from elsewhere, such as `float32` or `string`, most likely means."""
    lower = name.lower()
    other = _OTHER_NAMES.get(lower) or lower.replace("float", "fp").upper()
    return other if other in DATATYPES else None


class MergeError(ValueError):
    """Two dimensions or shapes cannot be the same; the message says why, in a user's words."""


def merge_dims(left: Dim, right: Dim) -> Dim:
    """Return what is known of a dimension seen twice: an unknown one gives way; raises MergeError."""
    if left is None:
        return right
    if right is None or left == right:
        return left
    raise MergeError(f"a dimension is both `{left}` and `{right}`")


def merge_shapes(left: Sequence[Dim], right: Sequence[Dim]) -> tuple[Dim, ...]:
    """Merge two shapes dimension by dimension; raises MergeError."""
    if len(left) != len(right):
        raise MergeError(f"a shape has both {len(left)} and {len(right)} dimensions")
    return tuple(merge_dims(*pair) for pair in zip(left, right, strict=True))


def value_range(datatype: str) -> tuple[int, int] | tuple[float, float]:
    """Return the least and the greatest finite value of a numeric datatype."""
    if datatype in FLOATS:
        return -FLOAT_LIMITS[datatype], FLOAT_LIMITS[datatype]
    bits = int(datatype.rpartition("INT")[2])
    if datatype.startswith("U"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _parse_dim(text: str) -> Dim:
    if text in {"?", "-1"}:
        return None
    if text.isascii() and text.isdigit():
        # A V2 message has its shape as integers of 64 bits.
        if len(text.lstrip("0")) > 19 or int(text) > LARGEST_DIM:
            raise TensorTypeError(f"a dimension is at most {LARGEST_DIM}")
        return int(text)
    if _NAME.match(text):
        return text
    raise TensorTypeError(f"`{text}` is not a dimension: use a size, a name, or `?`")
