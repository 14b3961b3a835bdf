"""Times as people write them."""


def show_duration(milliseconds: int) -> str:
    """Return a time as a graph file writes it."""
    return f"{milliseconds}ms" if milliseconds < 1000 or milliseconds % 100 else f"{milliseconds / 1000:g}s"
