import rapidfuzz


def score(x):
    return x[:, 0] * rapidfuzz.fuzz.ratio("a", "a")
