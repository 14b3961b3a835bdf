"""The bench of real GPUs: it says where there is none, and works but for CUDA itself where one is pretended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

BENCH: Final = Path(__file__).with_name("gpu.py")
NO_GPU: Final = 3

CHECKS: Final = {
    *("answers", "operators", "batches of 64", "memory"),
    *("full, at start", "full, later", "gone", "gone (719)"),
}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), *options], check=False, capture_output=True, text=True, timeout=600
    )


def skip_without_gpu(code: int, said: str) -> None:
    if code == NO_GPU:
        pytest.skip(said.strip())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_step_is_taken_without_a_gpu(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = run("--device", "cpu", "--seconds", "0.05", "--rounds", "2", "--json", str(found))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(found.read_text())["rows"]
    assert {check for check, *_ in rows} == CHECKS
    # Of a CPU that pretends, speed and memory say nothing.
    assert {check for check, *_, is_well in rows if is_well is None} == {"batches of 64", "memory"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gpu_does_what_is_promised() -> None:
    done = run()
    skip_without_gpu(done.returncode, done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
