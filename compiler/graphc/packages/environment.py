"""An environment on this machine with what an image has: made of the same lock, kept by its content."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from graphc.packages.uv import run_uv
from graphc.packages.wheels import make_wheels
from graphc.runtime_image import read_image

MOST_KEPT: Final = 8
"""Environments; the ones that were used longest ago are removed."""


def find_environment(lock: str, folder: Path) -> Path | None:
    """Return the Python of an environment that is there already; raises PackageError."""
    place = _place(lock, make_wheels(), folder)
    if not (place / "bin" / "python").exists():
        return None
    os.utime(place)
    return place / "bin" / "python"


def make_environment(lock: str, folder: Path) -> Path:
    """Make the environment of a lock, whole or not at all, and return its Python; raises PackageError, OSError."""
    wheels = make_wheels()
    place = _place(lock, wheels, folder)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    try:
        (partial / "requirements.lock").write_text(lock, "utf-8")
        for name, content in wheels.items():
            (partial / name).write_bytes(content)
        made = partial / "environment"
        run_uv(["venv", "--quiet", "--relocatable", "--python", read_image().python, str(made)], partial)
        install = [
            "pip",
            "install",
            "--quiet",
            "--no-config",
            "--no-deps",
            "--python",
            str(made / "bin" / "python"),
        ]
        run_uv([*install, "--require-hashes", "-r", "requirements.lock"], partial)
        run_uv([*install, "--no-index", *sorted(wheels)], partial)
        # Another run may have made it meanwhile: then theirs is as good.
        if not place.exists():
            made.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _remove_old(place.parent)
    return place / "bin" / "python"


def _place(lock: str, wheels: dict[str, bytes], folder: Path) -> Path:
    digest = hashlib.sha256(f"{read_image().python}\n{lock}".encode())
    for name in sorted(wheels):
        digest.update(hashlib.sha256(wheels[name]).digest())
    return folder / "environments" / digest.hexdigest()[:20]


def _remove_old(folder: Path) -> None:
    kept = [each for each in folder.iterdir() if not each.name.startswith(".")]
    for old in sorted(kept, key=lambda each: each.stat().st_mtime_ns)[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
