"""The goldens' keeper in tests/conftest.py, tried on a small test folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

CONFTEST: Final = Path(__file__).parents[1] / "conftest.py"
MODULE: Final = """
def test_one(golden):
    golden("one.txt", "one\\n")

def test_two(golden):
    golden("deep/two.txt", "two\\r\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_small.py").write_text(MODULE)
    return tmp_path


WRITTEN: Final = {"test_small/one.txt": b"one\n", "test_small/deep/two.txt": b"two\r\n"}


@pytest.fixture
def settled(folder: Path) -> Path:
    """The folder with the goldens that its tests ask for."""
    for name, data in WRITTEN.items():
        path = folder / "golden" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def run(folder: Path, *options: str, ci: bool = False) -> tuple[int, str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_ADDOPTS")}
    # Other plugins only take time to load here.
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={folder}", *options]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def files(folder: Path) -> dict[str, bytes]:
    root = folder / "golden"
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_what_is_equal_passes(settled: Path) -> None:
    assert run(settled)[0] == 0


def test_a_missing_golden_fails_and_is_not_written(folder: Path) -> None:
    status, output = run(folder)
    assert status == 1
    assert "golden/test_small/one.txt is missing" in output
    assert files(folder) == {}


def test_update_writes(folder: Path) -> None:
    assert run(folder, "--update")[0] == 0
    assert files(folder) == WRITTEN


def test_a_byte_makes_a_difference(settled: Path) -> None:
    path = settled / "golden" / "test_small" / "deep" / "two.txt"
    path.write_bytes(b"two\n")
    status, output = run(settled)
    assert status == 1
    assert "golden/test_small/deep/two.txt differs" in output
    assert path.read_bytes() == b"two\n"


def test_update_refuses_under_ci(folder: Path) -> None:
    status, output = run(folder, "--update", ci=True)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "it does nothing where CI is set" in output
    assert files(folder) == {}


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2", "--dist", "loadfile"]])
def test_orphans_fail_and_update_deletes_them(workers: list[str], settled: Path) -> None:
    orphans = ["test_small/old.txt", "test_gone/old.txt", "old.txt"]
    for orphan in orphans:
        path = settled / "golden" / orphan
        path.parent.mkdir(exist_ok=True)
        path.write_text("old")
    status, output = run(settled, *workers)
    assert status == 1
    assert [f"golden/{orphan} is an orphan" in output for orphan in orphans] == [True, True, True]
    assert run(settled, "--update", *workers)[0] == 0
    assert files(settled) == WRITTEN


@pytest.mark.parametrize("selection", [["-k", "one"], ["test_small.py::test_one"]])
def test_a_selection_makes_no_orphans(selection: list[str], settled: Path) -> None:
    assert run(settled, "--update", *selection)[0] == 0
    assert files(settled) == WRITTEN
