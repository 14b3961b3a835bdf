"""Writes files whole, or not at all."""

import os
import stat
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text in UTF-8 in the place of a file, which is whole at every moment; raises OSError.

    A file that was there keeps who may read, write and run it.
    """
    # It imports what compressing and drawing lots takes, and most commands write no file.
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    written = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        written.chmod(_find_mode(path))
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _find_mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
