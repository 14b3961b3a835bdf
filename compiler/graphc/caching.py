"""Where graphc keeps what it can make again."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def cache_root(environ: Mapping[str, str]) -> Path | None:
    """Return the folder by GRAPHC_CACHE_DIR, or by the XDG base directory specification; None without a home."""
    if own := environ.get("GRAPHC_CACHE_DIR"):
        return Path(own)
    said = Path(environ.get("XDG_CACHE_HOME", ""))
    # The specification has relative paths ignored.
    if said.is_absolute():
        return said / "graphc"
    with suppress(RuntimeError):
        return Path.home() / ".cache" / "graphc"
    return None
