"""A module with a function."""

import common


def score(x):
    return x * common.FACTOR
