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

Dim = int | str | None
"""A size that is known (`30`), named (`batch`), or unknown (None, written `?` or `-1`)."""

_PATTERN: Final = re.compile(r"\s*(?P<datatype>[A-Za-z0-9]+)\s*\[(?P<shape>[^\[\]]*)\]\s*\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")


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
        raise TensorTypeError(f"`{datatype}` is not a datatype of the V2 protocol")
    body = match["shape"].strip()
    if not body:
        raise TensorTypeError(f"`{text}` has no dimensions; a V2 tensor has at least one")
    return TensorType(datatype, tuple(_parse_dim(part.strip()) for part in body.split(",")))


def _parse_dim(text: str) -> Dim:
    if text in {"?", "-1"}:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    if _NAME.match(text):
        return text
    raise TensorTypeError(f"`{text}` is not a dimension: use a size, a name, or `?`")
