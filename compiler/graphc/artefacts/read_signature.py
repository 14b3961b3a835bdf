"""The signature of a model file of any framework."""

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from graphc.artefacts.cache import entry_path, find_signature, keep_signature
from graphc.artefacts.files import check_beside, names_beside, tell_failure
from graphc.artefacts.signature import (
    DECLARE,
    ArtefactFault,
    ArtefactTensor,
    Opset,
    Signature,
    Skipped,
    WeightFile,
)
from graphc.artefacts.source import MalformedError, RefusedError
from graphc.diagnostics.codes.artefacts import (
    MISSING_ARTEFACT,
    UNKNOWN_FRAMEWORK,
    UNKNOWN_SIGNATURE,
    UNREADABLE_ARTEFACT,
)
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.regular_files import open_regular

__all__ = [
    "ArtefactFault",
    "ArtefactTensor",
    "Opset",
    "Signature",
    "Signatures",
    "Skipped",
    "WeightFile",
    "content_hash",
    "read_signature",
]

_KINDS: Final[Mapping[str, str]] = {
    "onnx": "an ONNX model",
    "sklearn": "a joblib or pickle file",
    "xgboost": "an XGBoost model",
    "lightgbm": "a LightGBM model",
}

LARGEST_HASHED: Final = 4 << 20
"""Bytes; the tensors of a larger ONNX model are found in less time than its weights take to hash."""
LARGEST_OTHER: Final = 1 << 30
"""Bytes; a file that only seems so large must not be read to its end."""


class Signatures:
    """Reads the signatures of model files, each once; it is kept in a folder, if there is one, for later runs."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[tuple[Path, str, str], Signature | ArtefactFault] = {}

    def read(self, path: Path, framework: str, called: str) -> Signature | ArtefactFault:
        """Return what a model file says of its tensors, or why it does not; `called` is its name in messages."""
        key = (path, framework, called)
        if key not in self._read:
            self._read[key] = read_signature(path, framework, called=called, folder=self._folder)
        return self._read[key]


def read_signature(
    path: Path, framework: str, *, called: str | None = None, folder: Path | None = None
) -> Signature | ArtefactFault:
    """Return what a model file says of its tensors, or why it does not; `called` is its name in messages."""
    called = called or path.name
    if framework not in _KINDS:
        return ArtefactFault(UNKNOWN_FRAMEWORK, f"`{framework}` is not a framework that graphc serves")
    try:
        with open_regular(path) as file:
            read = _read_kept(file, framework, called, folder)
        return _check_weights(path, read) if isinstance(read, Signature) else read
    except MalformedError as error:
        return ArtefactFault(UNREADABLE_ARTEFACT, f"`{called}` is not {_KINDS[framework]}: {error}")
    except RefusedError as error:
        return ArtefactFault(UNKNOWN_SIGNATURE, f"`{called}` does not tell its tensors: {error}", DECLARE)
    except OSError as error:
        return _suggest(path, tell_failure(error, called))


def _suggest(path: Path, fault: ArtefactFault) -> ArtefactFault:
    """Add the name that was probably meant, where there is nothing of the name that was written."""
    if fault.rule is not MISSING_ARTEFACT or path.exists():
        return fault
    return replace(fault, help=did_you_mean(path.name, names_beside(path)))


def _check_weights(path: Path, signature: Signature) -> Signature | ArtefactFault:
    """Return the signature where each file beside the model is there and large enough, or else why not."""
    return next((fault for each in signature.weights if (fault := _check_file(path, each))), signature)


def _check_file(model: Path, weights: WeightFile) -> ArtefactFault | None:
    beside, shown = model.parent / weights.path, quoted(weights.path)
    fault = check_beside(model, weights.path)
    if fault is not None:
        return fault
    try:
        with open_regular(beside) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        fault = tell_failure(error, weights.path)
        return replace(fault, message=f"`{model.name}` has weights in another file, and {fault.message}")
    if size >= weights.least_size:
        return None
    message = f"`{model.name}` has weights up to byte {weights.least_size:,} of {shown}, which has {size:,}"
    return ArtefactFault(UNREADABLE_ARTEFACT, message, "copy the whole file")


def _read_kept(
    file: io.BufferedReader, framework: str, called: str, folder: Path | None
) -> Signature | ArtefactFault:
    before = os.fstat(file.fileno())
    largest = LARGEST_HASHED if framework == "onnx" else LARGEST_OTHER
    if folder is None or before.st_size > largest:
        return _read_anew(file, framework, called)
    path = entry_path(folder, hashlib.file_digest(file, "sha256").hexdigest(), framework)
    if kept := find_signature(path):
        return kept
    file.seek(0)
    read = _read_anew(file, framework, called)
    after = os.fstat(file.fileno())
    # Written to between the two readings, it may not be what was hashed.
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if is_same and isinstance(read, Signature):
        keep_signature(path, read)
    return read


def _read_anew(file: io.BufferedReader, framework: str, called: str) -> Signature | ArtefactFault:
    # Few graphs have models of every framework, and none needs a reader for a signature that was kept.
    match framework:
        case "onnx":
            from graphc.artefacts.onnx_reader import read_onnx

            return read_onnx(file, called)
        case "sklearn":
            from graphc.artefacts.sklearn_reader import read_sklearn

            return read_sklearn(file, called)
        case "lightgbm":
            from graphc.artefacts.lightgbm_reader import read_lightgbm

            return read_lightgbm(file)
        case _:
            from graphc.artefacts.xgboost_reader import read_xgboost

            return read_xgboost(file)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hexadecimal digits; raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
