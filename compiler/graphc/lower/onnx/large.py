"""Writes merged models whose weights are beside them: those that one file cannot hold, or that came that way.

A protobuf message holds 2 GiB at most; the weights of larger ONNX models lie in files of their own.
"""
# onnx has no types of its own for these.
# pyright: reportUnknownMemberType=false

import hashlib
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from google.protobuf.message import EncodeError
from onnx import ModelProto
from onnx.checker import ValidationError
from onnx.external_data_helper import (
    convert_model_to_external_data,
    load_external_data_for_model,
    write_external_data_tensors,
)

from graphc.lower.onnx.join import read_model
from graphc.lower.onnx.opsets import Apart

MODEL: Final = "model.onnx"
WEIGHTS: Final = "weights.bin"

# Smaller tensors are shapes and axes, which onnxruntime wants to see in the model itself.
_LEAST_BYTES: Final = 1024


def read_with_weights(path: Path) -> ModelProto | Apart:
    """Read a model with all its weights, those in other files of its folder too."""
    model = read_model(path)
    try:
        load_external_data_for_model(model, str(path.parent))
    except (ValidationError, OSError, ValueError) as error:
        return Apart(f"the weights of `{path.name}` cannot be read: {_first_line(error)}")
    return model


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def write_large(cache: Path, model: ModelProto) -> Generator[Path | Apart]:
    """Yield the path of the model, written with its weights beside it; its folder goes unless it is kept.

    The model is left without its weights. Raises OSError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merged.", dir=cache, ignore_cleanup_errors=True) as name:
        folder = Path(name) / "model"
        folder.mkdir(mode=0o755)
        convert_model_to_external_data(model, location=WEIGHTS, size_threshold=_LEAST_BYTES)
        write_external_data_tensors(model, str(folder))
        try:
            content = model.SerializeToString(deterministic=True)
        except (EncodeError, ValueError):
            yield Apart("together they are larger than an ONNX file can be")
            return
        (folder / MODEL).write_bytes(content)
        yield folder / MODEL


def keep_large(cache: Path, path: Path) -> Path:
    """Move a written model to the folder of its hash, whole or not at all, and return its path; raises OSError."""
    digest = _digest(path.parent)
    kept = cache / digest
    if kept.is_dir() and _digest(kept) != digest:
        # Moved away first: what another process reads is never half of one model and half of another.
        kept.rename(path.parent.parent / "broken")
    if not kept.is_dir():
        path.parent.rename(kept)
    return kept / MODEL


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return whole.hexdigest()
