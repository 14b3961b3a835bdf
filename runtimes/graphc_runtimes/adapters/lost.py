"""What a unit does whose GPU is gone, or full, while it serves."""

import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from graphc_components.datatypes import Array

from graphc_runtimes.devices import note_fallback
from graphc_runtimes.environment import Environment
from graphc_runtimes.execute import Runner

_LOG: Final = logging.getLogger("mlserver.graphc")

_FULL: Final = re.compile(
    r"CUDA failure 2:|out of memory|Failed to allocate memory|Available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)
_GONE: Final = re.compile(r"(CUDA|CUBLAS|CUDNN)\w* (failure|error)|enqueue failed", re.IGNORECASE)
"""How onnxruntime's providers begin what they say of a device: their exceptions do not tell one fault from another."""


class WatchedRunner:
    """Runs on a GPU until that fails: then on the CPU if the GPU was only preferred, else not at all.

    A process whose device failed has no use of it any more, so one that needs it ends, for the container to be started
    again: it finds a device, or does not become ready and says why. A device that is full fails one request alone.
    """

    def __init__(
        self,
        run: Runner,
        environment: Environment,
        load_on_cpu: Callable[[], Runner],
        errors: Sequence[type[Exception]],
        end: Callable[[], None] | None = None,
    ) -> None:
        """Watch for these errors; `end` ends the process."""
        self._run, self._environment, self._load_on_cpu = run, environment, load_on_cpu
        self._errors, self._end = tuple(errors), end or _end
        self._lock = threading.Lock()
        self._on_cpu: Runner | None = None

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run once; raises what the model raises."""
        if self._on_cpu is not None:
            return self._on_cpu(inputs)
        try:
            return self._run(inputs)
        except self._errors as error:
            if not self._is_over(str(error)):
                raise
            if not self._environment.is_preferred:
                _LOG.error("the GPU is gone, and this process ends: %s", _first_line(error))
                self._end()
                raise
            run = self._fall_back(_first_line(error))
        return run(inputs)

    def _is_over(self, text: str) -> bool:
        if _FULL.search(text):
            return self._environment.is_preferred
        return _GONE.search(text) is not None

    def _fall_back(self, reason: str) -> Runner:
        # Several requests may fail at once.
        with self._lock:
            if self._on_cpu is None:
                self._on_cpu = self._load_on_cpu()
                note_fallback(self._environment, reason)
            return self._on_cpu


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
