"""What a unit does whose GPU is gone, or full, while it serves; errors are what onnxruntime's providers say."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from graphc_components.datatypes import Array
from graphc_runtimes.adapters.lost import WatchedRunner
from graphc_runtimes.devices import find_fallback, listen
from graphc_runtimes.environment import Device, Environment
from graphc_runtimes.execute import Runner

GONE: Final = "CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=a ; file=cuda_call.cc"
FULL: Final = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 8"
)
LIMIT: Final = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running MatMul node. Name:'' Status Message: "
    "bfc_arena.cc:360 Available memory of 29327360 is smaller than requested bytes of 409600000"
)
"""What an arena says that has reached the limit of its session, as onnxruntime's on the CPU does too."""
OTHER: Final = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: X"
X: Final = {"X": np.ones((1, 2), np.float32)}


class DeviceError(Exception):
    """Stands in for onnxruntime's."""


class Gpu:
    """A model on a device that works until it fails."""

    def __init__(self) -> None:
        self.failure = ""
        self.runs = 0

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        self.runs += 1
        if self.failure:
            raise DeviceError(self.failure)
        return inputs


class Watched:
    """A unit of one model."""

    def __init__(self, device: Device, folder: Path) -> None:
        self.gpu, self.ends, self.loads = Gpu(), 0, 0
        self.environment = Environment("", None, folder, device, 1)
        self.run = WatchedRunner(self.gpu, self.environment, self._load, (DeviceError,), self._end)

    def _load(self) -> Runner:
        self.loads += 1
        return lambda inputs: {name: np.add(array, array) for name, array in inputs.items()}

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture(
    params=[GONE, FULL, LIMIT, "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED", "CUDNN failure 4"]
)
def failure(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_unit_that_prefers_a_gpu_goes_on_without(
    failure: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched("prefer-cuda", tmp_path / failure)
    told: list[str | None] = []
    listen(watched.environment, lambda: told.append(find_fallback(watched.environment)))
    assert watched.run(X)["X"].tolist() == [[1, 1]]
    watched.gpu.failure = failure
    with caplog.at_level(logging.WARNING, "mlserver.graphc"), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(watched.run, [X] * 40))
    # No request fails, the model is loaded once, and it is said once, to whoever asks, too.
    assert all(answer["X"].tolist() == [[2, 2]] for answer in answers)
    assert (watched.loads, watched.ends, told) == (1, 0, [failure])
    assert [each.getMessage() for each in caplog.records] == [f"no GPU, so models run on the CPU: {failure}"]
    runs = watched.gpu.runs
    watched.gpu.failure = ""
    assert watched.run(X)["X"].tolist() == [[2, 2]]
    assert watched.gpu.runs == runs


def test_a_unit_that_needs_a_gpu_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched("cuda", tmp_path)
    watched.gpu.failure = GONE
    with caplog.at_level(logging.ERROR, "mlserver.graphc"), pytest.raises(DeviceError):
        watched.run(X)
    assert (watched.loads, watched.ends) == (0, 1)
    assert [each.getMessage() for each in caplog.records] == [
        f"the GPU is gone, and this process ends: {GONE}"
    ]


@pytest.mark.parametrize("failure", [FULL, LIMIT])
def test_a_full_device_fails_one_request(failure: str, tmp_path: Path) -> None:
    watched = Watched("cuda", tmp_path)
    watched.gpu.failure = failure
    with pytest.raises(DeviceError):
        watched.run(X)
    watched.gpu.failure = ""
    assert watched.run(X)["X"].tolist() == [[1, 1]]
    assert (watched.loads, watched.ends) == (0, 0)


@pytest.mark.parametrize("device", ["cuda", "prefer-cuda"])
def test_what_a_request_is_to_blame_for_changes_nothing(device: Device, tmp_path: Path) -> None:
    watched = Watched(device, tmp_path)
    watched.gpu.failure = OTHER
    with pytest.raises(DeviceError):
        watched.run(X)
    watched.gpu.failure = ""
    assert watched.run(X)["X"].tolist() == [[1, 1]]
    assert (watched.loads, watched.ends) == (0, 0)
