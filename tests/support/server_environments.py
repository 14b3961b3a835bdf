"""Environments of their own for the servers of other frameworks, made on first use and kept for later runs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

import pytest

CACHE: Final = Path.home() / ".cache" / "graphc-tests"


def make_environment(folder: Path, requirements: Path) -> Path:
    """Return the environment in a folder, made where the requirements are new.

    Where it cannot be made, the test is skipped with the reason, or fails where CI runs it.
    """
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    with _alone(folder):
        if not stamp.exists() or stamp.read_text() != wanted:
            python = str(folder / "bin" / "python")
            _call(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
            # The file names all that is needed: a CPU takes few of the packages that some ask for.
            _call(
                ["uv", "pip", "install", "--quiet", "--no-deps", "--python", python, "-r", str(requirements)]
            )
            stamp.write_text(wanted)
    return folder


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Have one process at a time make an environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _call(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        give_up(f"`{command[0]}`, which makes the server's environment, is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        give_up(f"the server cannot be installed: {done.stderr.strip()[-300:]}")


def give_up(reason: str) -> None:
    """Skip the test, or fail it where CI runs it: there, everything can be installed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
