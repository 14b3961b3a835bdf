"""A module that imports what the graph brings, and what it does not."""

import cv2
import numpy as np
import odd_module
import sklearn.base
import statsmodels.api
import unidecode
from rapidfuzz import fuzz

try:
    import ujson
except ImportError:
    ujson = None


def score(x):
    import yaml

    return np.add(x, fuzz.ratio(yaml, cv2)) + odd_module + sklearn + statsmodels + unidecode + ujson
