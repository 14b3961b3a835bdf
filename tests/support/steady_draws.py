"""Keeps what hypothesis draws the same, whichever tests ran before.

Hypothesis takes constants out of all modules of the project that are loaded, and draws some of them. So the same seed
draws other values after other tests. That finds more, but a test that asserts what its draws reach cannot have it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants


@contextmanager
def steady_draws() -> Generator[None]:
    """Draw no constants of loaded modules meanwhile: those that hypothesis itself names remain."""
    # Hypothesis remembers which constants a strategy may draw, those of modules among them.
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        with mock.patch.object(providers, "_get_local_constants", return_value=Constants()):
            yield
    finally:
        providers.CONSTANTS_CACHE.cache.clear()
