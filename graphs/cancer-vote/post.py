"""Says the vote of the cancer graph in words."""

import numpy as np
from numpy.typing import NDArray

NAMES = np.array([b"malignant", b"benign"], dtype=object)


def to_label(vote: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return the name of each row's class."""
    return NAMES[vote]
