"""Times and sizes of a plan, as people read them."""


def show_ms(ms: float) -> str:
    """Write a time in milliseconds with as many digits as it deserves."""
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms" if ms >= 1 else f"{ms:.2g} ms"


def show_bytes(count: int) -> str:
    """Write a number of bytes."""
    if count < 10_000:
        return f"{count} B"
    return f"{count / 2**10:,.0f} KiB" if count < 2**20 else f"{count / 2**20:,.1f} MiB"
