"""graphc's version."""

from typing import Final

VERSION: Final = "0.1.0"
"""Emitted in annotations and the default image tag; a test holds it to the distribution's own."""
