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


def find_python(version: str) -> str | None:
    """Return the interpreter of a version such as 3.12 on this machine; None where it has none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    named = [shutil.which(f"python{version}"), *map(str, sorted(kept.glob(f"{version}*/bin/python")))]
    return next((each for each in named if each is not None and _runs(each, version)), None)


def _runs(python: str, version: str) -> bool:
    # What stands for an interpreter on the path may only say that there is none.
    done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.startswith(f"Python {version}.")


def make_environment(folder: Path, requirements: Path, python: str = sys.executable) -> Path:
    """Return the environment in a folder, made where the requirements or the interpreter are new.

    Where it cannot be made, the test is skipped with the reason, or fails where CI runs it.
    """
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python != sys.executable:
        wanted += f" {python}"
    with _alone(folder):
        if not stamp.exists() or stamp.read_text() != wanted:
            own = str(folder / "bin" / "python")
            _call(["uv", "venv", "--quiet", "--clear", "--python", python, str(folder)])
            # The file names all that is needed: a CPU takes few of the packages that some ask for.
            _call(["uv", "pip", "install", "--quiet", "--no-deps", "--python", own, "-r", str(requirements)])
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
