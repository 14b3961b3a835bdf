"""Checks the tensors that an ONNX file holds: as many numbers as its dimensions say, here or in another file."""

from collections import Counter
from math import prod
from typing import Final

from graphc.artefacts.protobuf_wire import Field, Wire, signed
from graphc.artefacts.source import MalformedError
from graphc.diagnostics.printable import quoted
from graphc.records import record

# Field numbers of onnx.proto3, by message.
_DIMS, _ELEMENT, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_SPARSE_VALUES, _SPARSE_INDICES, _SPARSE_DIMS = 1, 2, 3
_IS_EXTERNAL: Final = 1

_FLOATS, _INT32S, _TEXTS, _INT64S, _DOUBLES, _UINT64S = 4, 5, 6, 7, 10, 11
_FIELDS: Final = {
    1: _FLOATS,
    14: _FLOATS,
    7: _INT64S,
    8: _TEXTS,
    11: _DOUBLES,
    15: _DOUBLES,
    12: _UINT64S,
    13: _UINT64S,
}
"""The fields that numbers may be in, by element type; most small ones are in that of INT32."""
_BITS: Final = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
_TEXT: Final = 8
_MAX_RANK: Final = 64
_MAX_SPARSE: Final = 1 << 36
"""Bits of a sparse tensor once it is spread out, which is done when it is loaded."""


@record
class Tensor:
    """A tensor's name and, where its numbers are in another file, that file's name and the least size of it."""

    name: str
    file: str | None = None
    least_size: int = 0
    element: int = 0


def read_tensor(wire: Wire, tensor: Field) -> Tensor:
    """Return what a tensor says of itself; raises MalformedError where its numbers cannot be as it says."""
    name, element, is_external = "", 0, False
    dims: list[int] = []
    sizes: Counter[int] = Counter()
    texts = 0
    entries: dict[str, str] = {}
    for each in wire.fields(tensor.begin, tensor.end):
        if each.number == _DIMS:
            dims += _read_dims(wire, each)
        elif each.number == _ELEMENT:
            element = each.value
        elif each.number == _NAME:
            name = wire.text(each)
        elif each.number == _EXTERNAL:
            entries |= _read_entry(wire, each)
        elif each.number == _LOCATION:
            is_external = each.value == _IS_EXTERNAL
        else:
            texts += each.number == _TEXTS
            # A number that stands alone is its own field.
            sizes[each.number] += max(1, each.end - each.begin)
    count = _count(dims, name)
    if is_external:
        return _read_external(name, entries, _needed(count, element), element)
    sizes[_TEXTS] = texts
    _check_stored(name, count, element, sizes)
    return Tensor(name, element=element)


def read_sparse(wire: Wire, sparse: Field) -> Tensor:
    """Return what the values of a sparse tensor say of themselves; raises MalformedError."""
    found = Tensor("")
    dims: list[int] = []
    for each in wire.fields(sparse.begin, sparse.end):
        if each.number == _SPARSE_VALUES:
            found = read_tensor(wire, each)
        elif each.number == _SPARSE_INDICES:
            read_tensor(wire, each)
        elif each.number == _SPARSE_DIMS:
            dims += _read_dims(wire, each)
    if _count(dims, found.name) * 64 > _MAX_SPARSE:
        raise MalformedError(f"the sparse tensor {quoted(found.name)} is too large to be spread out")
    return found


def _read_dims(wire: Wire, dims: Field) -> list[int]:
    return [signed(each) for each in wire.numbers(dims, _MAX_RANK)]


def _count(dims: list[int], name: str) -> int:
    if len(dims) > _MAX_RANK or any(size < 0 for size in dims):
        raise MalformedError(f"the tensor {quoted(name)} has dimensions that cannot be")
    return prod(dims)


def _needed(count: int, element: int) -> int:
    """Return the bytes that numbers take; nothing where the type is unknown."""
    return (count * _BITS.get(element, 0) + 7) // 8


def _check_stored(name: str, count: int, element: int, sizes: Counter[int]) -> None:
    if element == _TEXT:
        is_whole = sizes[_TEXTS] >= count
    elif _RAW in sizes:
        is_whole = sizes[_RAW] >= _needed(count, element)
    else:
        is_whole = _are_enough(count, element, sizes)
    if not is_whole:
        raise MalformedError(f"the tensor {quoted(name)} has dimensions for more numbers than there are")


def _are_enough(count: int, element: int, sizes: Counter[int]) -> bool:
    stored = _FIELDS.get(element, _INT32S)
    if stored in {_FLOATS, _DOUBLES}:
        return sizes[stored] >= _needed(count, element)
    bits = _BITS.get(element, 0)
    # Numbers of four bits are packed by eights or twos; a number takes a byte of its field at least.
    return sizes[stored] >= (count * bits // 32 if bits < 8 else count)


def _read_entry(wire: Wire, entry: Field) -> dict[str, str]:
    texts = {each.number: wire.text(each) for each in wire.fields(entry.begin, entry.end)}
    return {texts.get(_ENTRY_KEY, ""): texts.get(_ENTRY_VALUE, "")}


def _read_external(name: str, entries: dict[str, str], needed: int, element: int) -> Tensor:
    location = entries.get("location", "")
    if not location:
        raise MalformedError(f"the tensor {quoted(name)} is in another file, and does not say in which")
    offset, length = (_whole(entries.get(key, "0"), name) for key in ("offset", "length"))
    if "length" in entries and length != needed:
        raise MalformedError(
            f"the tensor {quoted(name)} takes {needed:,} bytes, and says that it has {length:,}"
        )
    return Tensor(name, location, offset + needed, element)


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedError(f"the tensor {quoted(name)} lies at a place in its file that is no number")
    return int(text)
