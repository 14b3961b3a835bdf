"""Did you mean: the candidate nearest to a word."""

import difflib
from collections.abc import Iterable
from typing import Final

CUTOFF: Final = 0.6
LONGEST: Final = 100
"""Longer words get no suggestion: comparing takes quadratic time, and they are hardly typing mistakes."""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, if one is near enough."""
    if len(word) > LONGEST:
        return None
    known = sorted({each for each in candidates if len(each) <= LONGEST} - {word})
    folded = word.casefold()
    if same := next((each for each in known if each.casefold() == folded), None):
        return same
    by_folded = {each.casefold(): each for each in reversed(known)}
    found = difflib.get_close_matches(folded, by_folded, n=1, cutoff=CUTOFF)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return the help for a misspelt word, if one candidate is near enough."""
    found = nearest(word, candidates)
    return f"did you mean `{found}`?" if found else None
