import numpy as np
from rapidfuzz import fuzz


def rate(x):
    return np.asarray(x) * fuzz.ratio("a", "b")
