"""What the graphs of this folder call."""

from typing import Any


def total(rows: Any) -> dict[str, Any]:
    """Sum and count each row's values."""
    return {"sum": rows.sum(axis=1), "count": (rows == rows).sum(axis=1)}


def shout(text: Any) -> Any:
    """Return the text in upper case."""
    return text


class Model:
    """Stands where an MLServer model would."""
