"""Tells the documents of profiles from others."""

from typing import Final

from graphc.source.located import Fields, Located, Scalar

KIND: Final = "ClusterProfile"


def is_profile(document: Located) -> bool:
    """Say whether a document is a profile, sound or not."""
    kind = document.find("kind") if isinstance(document, Fields) else None
    value = kind.value.value if kind and isinstance(kind.value, Scalar) else None
    return isinstance(value, str) and value.casefold() == KIND.casefold()
