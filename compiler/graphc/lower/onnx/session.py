"""Runs models while compiling: the one module of the compiler that talks to onnxruntime, which may be missing."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
import onnxruntime
from graphc_components.datatypes import Array, bytes_array, bytes_of

# Its log is for people who run models; here a failure is an answer.
_SILENT: Final = 4

# Its exceptions have no common class of their own.
_ERRORS: Final = tuple(
    each
    for each in vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state")).values()
    if isinstance(each, type) and issubclass(each, Exception)
)


class _Session(Protocol):
    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array], /) -> Sequence[object]: ...


class Session:
    """A loaded model."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array] | None:
        """Return the outputs by name, BYTES as `bytes`; None where the model fails."""
        try:
            texts = {name: _decode(array) for name, array in feeds.items()}
            results = self._session.run(list(outputs), texts)
        except (*_ERRORS, UnicodeDecodeError):
            return None
        return {name: _encode(result) for name, result in zip(outputs, results, strict=True)}


def open_session(model: bytes | Path) -> Session | None:
    """Load a model; None where onnxruntime cannot."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    source = str(model) if isinstance(model, Path) else model
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _ERRORS:
        return None
    return Session(cast("_Session", session))


def _decode(array: Array) -> Array:
    if array.dtype != np.object_:
        return array
    return np.array([each.decode() for each in bytes_of(array)], dtype=object).reshape(array.shape)


def _encode(result: object) -> Array:
    array = cast("Array", np.asarray(result))
    if array.dtype.kind not in "OU":
        return array
    return bytes_array(
        (str(each).encode() for each in cast("list[str]", array.ravel().tolist())), array.shape
    )
