"""Read an image file as a tensor of pixels."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
from graphc_components.tensors import Dim, TensorType
from PIL import Image, UnidentifiedImageError

from graphc.client.failure import InferError
from graphc.client.tensor import Array

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(path: Path, wanted: TensorType | None) -> Array:
    """Return pixels as UINT8, laid out as the input's rank and channels say; raises InferError."""
    layout = _find_layout(() if wanted is None else wanted.shape)
    pixels = _decode(path, layout.mode)
    if layout.has_channels and pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    return np.moveaxis(pixels, -1, 0) if layout.channels_first else pixels


@dataclass(frozen=True, slots=True)
class _Layout:
    """How an input lays pixels out; no mode leaves the image's own."""

    mode: str | None = None
    has_channels: bool = False
    channels_first: bool = False


def _find_layout(shape: tuple[Dim, ...]) -> _Layout:
    if len(shape) < 3:
        return _Layout("L" if shape else None)
    for dim, first in ((shape[-1], False), (shape[len(shape) - 3], True)):
        if isinstance(dim, int) and dim in _MODES:
            return _Layout(_MODES[dim], has_channels=True, channels_first=first)
    if len(shape) == 3 and isinstance(shape[-1], int):
        return _Layout("L")
    return _Layout(has_channels=len(shape) > 3)


def _decode(path: Path, mode: str | None) -> Array:
    try:
        with warnings.catch_warnings():
            # Pillow warns of an image that is suspiciously large, and only refuses one of twice the size.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                plain = mode or (image.mode if image.mode in {"L", "RGB", "RGBA"} else "RGB")
                return cast("Array", np.asarray(image.convert(plain)))
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InferError(f"`{path}` is not an image that can be read: {error}") from error
    except (ValueError, SyntaxError) as error:
        raise InferError(f"`{path}` is not an image that can be read: {error}") from error
