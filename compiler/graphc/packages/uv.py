"""The one door to uv, which resolves, locks and installs packages."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from graphc.packages.problem import PackageError

_TIMEOUT_S: Final = 1800
_MOST_WORDS: Final = 2000


def run_uv(arguments: Sequence[str], folder: Path) -> str:
    """Run uv in a folder, and return what it wrote; raises PackageError with the end of what it said."""
    try:
        done = subprocess.run(
            [*_find_uv(), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        )
    except subprocess.TimeoutExpired:
        raise PackageError(f"uv was not done after {_TIMEOUT_S // 60} minutes") from None
    if done.returncode:
        raise PackageError(_tell(done.stderr))
    return done.stdout


def _find_uv() -> list[str]:
    found = shutil.which("uv")
    if found is not None:
        return [found]
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return [str(beside)]
    raise PackageError("uv is not installed, which locks and installs packages: pip install uv")


def _tell(said: str) -> str:
    """Return uv's reason without its decorations."""
    lines = [re.sub(r"^\W+", "", line).rstrip() for line in said.splitlines() if line.strip()]
    text = " ".join(
        line for line in lines if not line.startswith(("Using", "Resolved", "Prepared", "warning"))
    )
    return text[-_MOST_WORDS:] or "uv failed and does not say why"
