"""Where an artefact may lie: a local path, or a URI that a unit fetches when it starts."""

from pathlib import PurePosixPath
from typing import Final

from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import UNKNOWN_FRAMEWORK, UNKNOWN_SCHEME
from graphc.diagnostics.suggest import did_you_mean

FRAMEWORKS: Final = {
    ".onnx": "onnx",
    ".joblib": "sklearn",
    ".pkl": "sklearn",
    ".ubj": "xgboost",
    ".json": "xgboost",
    ".txt": "lightgbm",
}
"""The framework that serves a model file, by the file's suffix."""

SCHEMES: Final = ("s3", "gs", "http", "https", "pvc")
"""The schemes of the URIs that a unit can get an artefact from."""


def is_uri(location: str) -> bool:
    """Say whether a location is a URI rather than a local path."""
    return "://" in location


def check_location(location: str) -> ArtefactFault | None:
    """Return what is wrong with a URI's scheme; nothing is wrong with a path."""
    scheme, separator, _ = location.partition("://")
    if not separator or scheme in SCHEMES:
        return None
    message = f"`{location}` has the scheme `{scheme}`, which no unit can fetch"
    known = ", ".join(f"`{each}`" for each in SCHEMES)
    return ArtefactFault(UNKNOWN_SCHEME, message, did_you_mean(scheme, SCHEMES) or f"use one of {known}")


def framework_of(location: str) -> str | ArtefactFault:
    """Return the framework that a model's suffix stands for: `onnx`, `sklearn`, `xgboost` or `lightgbm`."""
    path = location.partition("?")[0] if is_uri(location) else location
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    suffix = f".{ending}" if stem and dot else ""
    if framework := FRAMEWORKS.get(suffix):
        return framework
    reason = (
        f"the suffix `{suffix}`, which names no framework"
        if suffix
        else "no suffix, which would name its framework"
    )
    known = ", ".join(f"`{each}`" for each in FRAMEWORKS)
    advice = (did_you_mean(suffix, FRAMEWORKS) if suffix else None) or f"use one of {known}"
    return ArtefactFault(UNKNOWN_FRAMEWORK, f"`{location}` has {reason}", advice)


def leaves_folder(location: str) -> bool:
    """Say whether a path that a model names lies outside the model's own folder."""
    # A model from elsewhere must not make graphc ship just any file; ONNX itself refuses these too.
    path = PurePosixPath(location.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts
