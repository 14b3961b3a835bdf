"""The signature of a model file, whatever framework made it."""

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from graphc.artefacts.model import ArtefactFault, ArtefactTensor, Opset, Signature, Skipped
from graphc.artefacts.onnx_reader import read_onnx
from graphc.artefacts.sklearn_reader import DECLARE, read_sklearn
from graphc.artefacts.source import MalformedError, RefusedError
from graphc.artefacts.xgboost_reader import read_xgboost
from graphc.diagnostics.codes.artefacts import (
    MISSING_ARTEFACT,
    UNKNOWN_FRAMEWORK,
    UNKNOWN_SIGNATURE,
    UNREADABLE_ARTEFACT,
)

__all__ = [
    "ArtefactFault",
    "ArtefactTensor",
    "Opset",
    "Signature",
    "Skipped",
    "content_hash",
    "read_signature",
]

_Reader = Callable[[io.BufferedReader, str], Signature | ArtefactFault]

_READERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "onnx": ("an ONNX model", read_onnx),
    "sklearn": ("a joblib or pickle file", read_sklearn),
    "xgboost": ("an XGBoost model", lambda file, _: read_xgboost(file)),
}


def read_signature(path: Path, framework: str, *, called: str | None = None) -> Signature | ArtefactFault:
    """Return what a model file says of its tensors, or why it does not; `called` is its name in messages."""
    called = called or path.name
    if framework not in _READERS:
        return ArtefactFault(UNKNOWN_FRAMEWORK, f"`{framework}` is not a framework that graphc serves")
    kind, read = _READERS[framework]
    try:
        if not path.is_file():
            absent = f"`{called}` is not a file" if path.exists() else f"there is no file `{called}`"
            return ArtefactFault(MISSING_ARTEFACT, absent)
        with path.open("rb") as file:
            return read(file, called)
    except MalformedError as error:
        return ArtefactFault(UNREADABLE_ARTEFACT, f"`{called}` is not {kind}: {error}")
    except RefusedError as error:
        return ArtefactFault(UNKNOWN_SIGNATURE, f"`{called}` does not tell its tensors: {error}", DECLARE)
    except OSError as error:
        return ArtefactFault(
            UNREADABLE_ARTEFACT, f"`{called}` cannot be read: {(error.strerror or '').lower()}"
        )


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hexadecimal digits; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
