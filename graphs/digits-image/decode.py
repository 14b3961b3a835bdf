"""Turns image files into the pixels that the digits network was trained on."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 8


def to_pixels(image: NDArray[np.object_]) -> NDArray[np.uint8]:
    """Return each file's image in grey, 8 by 8 pixels, as one row of 64."""
    return np.array([_pixels(content) for content in image], dtype=np.uint8).reshape(len(image), SIDE * SIDE)


def _pixels(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as file:
        return np.asarray(file.convert("L").resize((SIDE, SIDE)), dtype=np.uint8)
