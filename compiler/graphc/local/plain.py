"""Views on untyped documents: what is not of the wanted kind reads as empty."""

from typing import cast

Document = dict[str, object]


def as_mapping(value: object) -> Document:
    """Return the value if it is a mapping with text keys, else an empty one."""
    if not isinstance(value, dict):
        return {}
    entries = cast("dict[object, object]", value)
    return {key: each for key, each in entries.items() if isinstance(key, str)}


def as_items(value: object) -> list[object]:
    """Return the value if it is a list, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Return the value if it is text, else the empty text."""
    return value if isinstance(value, str) else ""


def as_texts(value: object) -> tuple[str, ...]:
    """Return the texts among a list's items."""
    return tuple(item for item in as_items(value) if isinstance(item, str))


def as_count(value: object) -> int | None:
    """Return the value if it is a whole number, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
