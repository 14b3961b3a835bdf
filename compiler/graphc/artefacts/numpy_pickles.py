"""Tells arrays, scalars and datatypes of numpy from what a pickle says about them; numpy is not needed."""

from typing import Final

from graphc.artefacts.pickle_machine import Instance, Name, Value
from graphc.records import record

_MULTIARRAY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC: Final = ("numpy.core.numeric", "numpy._core.numeric")
JOBLIB_ARRAY: Final = Name("joblib.numpy_pickle", "NumpyArrayWrapper")

_HAS_OBJECTS: Final = 1
_MAX_RANK: Final = 64
_MAX_SIZE: Final = 1 << 62
_WORDS: Final = {"i": "INT", "u": "UINT", "f": "FP"}


@record
class Dtype:
    """A numpy dtype: its kind as numpy's letter, its size in bytes, whether it holds Python objects."""

    kind: str
    size: int
    has_objects: bool

    @property
    def datatype(self) -> str | None:
        """The V2 datatype, if there is one; objects are told by their elements instead."""
        if self.kind == "b":
            return "BOOL"
        if self.kind in {"U", "S"}:
            return "BYTES"
        known = self.kind in _WORDS and self.size in ({2, 4, 8} if self.kind == "f" else {1, 2, 4, 8})
        return f"{_WORDS[self.kind]}{8 * self.size}" if known else None


@record
class Array:
    """An array's shape and dtype, and its elements where they are Python objects."""

    shape: tuple[int, ...]
    dtype: Dtype
    elements: tuple[Value, ...] = ()

    @property
    def datatype(self) -> str | None:
        """The V2 datatype, if there is one."""
        if not self.dtype.has_objects:
            return self.dtype.datatype
        return (
            "BYTES"
            if self.elements and all(isinstance(each, str | bytes) for each in self.elements)
            else None
        )


def as_dtype(value: Value) -> Dtype | None:
    """Return the dtype that a value describes."""
    if not (isinstance(value, Instance) and value.made_by("dtype", "numpy")):
        return None
    match value.arguments:
        case (str(code), *_) if code[1:].isdecimal():
            size = int(code[1:])
        case _:
            return None
    flags = 0
    match value.state:
        # (version, byte order, sub-array, names, fields, size, alignment, flags, ...)
        case (_, _, _, _, _, int(stated), _, int(flags), *_):
            size = stated if stated > 0 else size
        case _:
            pass
    return Dtype(code[0], size, code[0] == "O" or bool(flags & _HAS_OBJECTS))


def as_array(value: Value) -> Array | None:
    """Return the array that a value describes, however it was pickled."""
    if not isinstance(value, Instance):
        return None
    if value.maker == JOBLIB_ARRAY and isinstance(value.state, dict):
        return _array(value.state.get("shape"), value.state.get("dtype"), _object_elements(value.content))
    if value.made_by("_reconstruct", *_MULTIARRAY):
        match value.state:
            case (_, shape, dtype, _, data):
                return _array(shape, dtype, data)
            case _:
                return None
    if value.made_by("_frombuffer", *_NUMERIC):
        match value.arguments:
            case (_, dtype, shape, *_):
                return _array(shape, dtype, None)
            case _:
                return None
    return None


def as_int(value: Value) -> int | None:
    """Return the whole number that a value describes: Python's or numpy's."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not (isinstance(value, Instance) and value.made_by("scalar", *_MULTIARRAY)):
        return None
    match value.arguments:
        case (dtype, data):
            raw, kind = _as_bytes(data), as_dtype(dtype)
            if raw is None or kind is None or kind.kind not in {"i", "u"}:
                return None
            return int.from_bytes(raw, "little", signed=kind.kind == "i")
        case _:
            return None


def _array(shape: Value, dtype: Value, elements: Value) -> Array | None:
    kind, sizes = as_dtype(dtype), _as_shape(shape)
    if kind is None or sizes is None:
        return None
    return Array(sizes, kind, tuple(elements) if isinstance(elements, list) else ())


def _as_shape(value: Value) -> tuple[int, ...] | None:
    # The bounds keep the product of a hostile shape cheap.
    if not isinstance(value, tuple) or len(value) > _MAX_RANK:
        return None
    sizes = [as_int(each) for each in value]
    known = [size for size in sizes if size is not None and 0 <= size <= _MAX_SIZE]
    return tuple(known) if len(known) == len(sizes) else None


def _object_elements(nested: Value) -> Value:
    match nested:
        case Instance(state=(_, _, _, _, list(elements))):
            return elements
        case _:
            return None


def _as_bytes(value: Value) -> bytes | None:
    if isinstance(value, bytes):
        return value
    # Before protocol 3 bytes are pickled as `_codecs.encode(text, "latin1")`.
    if isinstance(value, Instance) and value.made_by("encode", "_codecs"):
        match value.arguments:
            case (str(text), *_) if text.isascii() or max(text) < "\u0100":
                return text.encode("latin-1")
            case _:
                return None
    return None
