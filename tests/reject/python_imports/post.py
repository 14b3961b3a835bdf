"""A module whose imports lead nowhere."""

import pkg.nope
from .commom import FACTOR


def score(x):
    from ..above import y

    return x * FACTOR * y
