"""Keeps merged models by their content."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from graphc.caching import cache_root


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where merged models are kept."""
    return (cache_root(environ) or Path(tempfile.gettempdir()) / "graphc") / "merged"


def keep_model(folder: Path, content: bytes) -> Path:
    """Write a model under its hash, whole or not at all, and return its path; raises OSError."""
    path = folder / f"{hashlib.sha256(content).hexdigest()}.onnx"
    if path.is_file() and path.read_bytes() == content:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".merged.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return path
