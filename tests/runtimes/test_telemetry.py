"""Nothing of a model, of a machine or of its user leaves it by way of a library."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["graphc_runtimes.adapters.onnx", "graphc.lower.onnx.session"])
def test_onnxruntime_keeps_no_identity_and_sends_nothing(
    module: str, write_double: Callable[[Path], None], tmp_path: Path
) -> None:
    write_double(tmp_path / "double.onnx")
    program = f"import {module}, onnxruntime; onnxruntime.InferenceSession('double.onnx')"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment | {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not (tmp_path / "home").exists()
