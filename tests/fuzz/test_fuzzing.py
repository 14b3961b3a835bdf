"""Every reader of strangers' bytes does what it promises of its seeds, of what broke it once, and of what is found."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from fuzz_targets import TARGETS

HERE: Final = Path(__file__).parent
KEPT: Final = HERE / "kept"
SECONDS: Final = 12


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_are_read_as_promised(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for data in seeds:
        target.check(data)
        # Cut off, and with a byte changed, they are still no reason to fail.
        target.check(data[: len(data) // 2])
        target.check(data[: len(data) // 3] + b"\xff" + data[len(data) // 3 + 1 :])


@pytest.mark.parametrize("path", sorted(KEPT.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_reader_once_breaks_it_no_more(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())


def test_kept_inputs_have_a_target() -> None:
    assert {path.name for path in KEPT.iterdir()} <= TARGETS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_new_breaks_a_reader(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        assert sys.platform != "linux" or not os.environ.get("CI"), (
            "atheris is not installed, and it could be"
        )
        pytest.skip("atheris has no package for this platform")
    command = [sys.executable, HERE / "fuzz.py", name, "--seconds", str(SECONDS), "--found", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, cwd=tmp_path)
    found = [each.read_bytes() for each in tmp_path.glob("*-*") if each.is_file()]
    assert (done.returncode, found) == (0, []), done.stderr[-3000:]
    assert "number_of_executed_units" in done.stderr
