"""`python on_device.py JOB`: a process with one model on a device, which does what it is told line by line.

A line is `{"do": NAME, ...}`, and so many keyword arguments; each is answered by a line of JSON.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import ctypes
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnxruntime
from fake_cuda import having_cuda
from graphc_runtimes.devices import find_fallback, find_operators
from graphc_runtimes.environment import Environment, Gpu
from graphc_runtimes.errors import LoadError, RegionError, RunError
from graphc_runtimes.messages import Message, WireTensor
from graphc_runtimes.providers import CPU, CUDA
from graphc_runtimes.unit import LoadedUnit, load_unit
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

Json = dict[str, Any]

_CHUNK: Final = 64 * 2**20

_ILLEGAL: Final = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry illegal() {
    .reg .u64 %a;
    .reg .u32 %v;
    mov.u64 %a, 16;
    mov.u32 %v, 1;
    st.global.u32 [%a], %v;
    ret;
}
\0"""
"""A kernel that writes where nothing is: no call of the process on its device succeeds from then on."""


class Worker:
    """The process's model."""

    def __init__(self, job: Json) -> None:
        self._job, self._pretends = job, bool(job["pretend"])
        self._full = Path(job["full"])
        self._is_broken = False
        self._held: list[Any] = []
        self._unit: LoadedUnit | None = None
        region = json.dumps(job["region"])
        gpu = Gpu(memory_mib=job.get("memory_mib"))
        self._environment = Environment(region, None, Path(job["folder"]), job["device"], job["threads"], gpu)
        self._records: list[str] = []

    def load(self) -> Json:
        """Load the unit, and say what it said of its device."""
        handler = logging.Handler()
        handler.emit = lambda record: self._records.append(record.getMessage())
        logging.getLogger("mlserver.graphc").addHandler(handler)
        try:
            self._unit = asyncio.run(load_unit(self._environment))
        except (RegionError, LoadError) as error:
            return {"error": str(error)}
        return self.tell()

    def tell(self) -> Json:
        """Say what there is to say of the device."""
        operators = {node: dict(names) for node, names in find_operators(self._environment).items()}
        return {"fallback": find_fallback(self._environment), "operators": operators, "said": self._records}

    def answer(self, inputs: str, to: str) -> Json:
        """Answer what a file holds into another file."""
        try:
            np.save(to, self._ask(np.load(inputs)))
        except RunError as error:
            return {"error": str(error), **self.tell()}
        return self.tell()

    def _ask(self, array: Any) -> Any:
        assert self._unit is not None
        tensor = WireTensor("x", "FP32", array.shape, (), array=array)
        (answer,) = self._unit.answer(Message({"x": tensor}, is_for_arrays=True))
        return answer.array

    def compare(self, inputs: str, seconds: float, rounds: int) -> Json:
        """Measure a session of onnxruntime alone and the unit in turns: batches a second of each, by round."""
        array = np.load(inputs)
        provider = CPU if self._job["device"] == "cpu" else CUDA
        bare = onnxruntime.InferenceSession(self._job["model"], self._options(), providers=[(provider, {})])

        def run_bare() -> object:
            return bare.run(None, {"X": array})

        def run_unit() -> object:
            return self._ask(array)

        for run in (run_bare, run_unit):
            _rate(run, seconds / 2)
        pairs: list[tuple[float, float]] = []
        for number in range(rounds):
            order = (run_bare, run_unit) if number % 2 else (run_unit, run_bare)
            rates = {run: _rate(run, seconds) for run in order}
            pairs.append((rates[run_bare], rates[run_unit]))
        return {"bare": [each for each, _ in pairs], "unit": [each for _, each in pairs]}

    def _options(self) -> Any:
        options: Any = onnxruntime.SessionOptions()
        if self._job["threads"]:
            options.intra_op_num_threads = self._job["threads"]
        return options

    def fill(self) -> Json:
        """Take all the memory of the device that there is to be had, and keep it."""
        if self._pretends:
            self._full.touch()
            return {"chunks": 0}
        allocate = cast("Any", onnxruntime.OrtValue).ortvalue_from_shape_and_type
        for size in (_CHUNK, 2**20):
            try:
                while True:
                    self._held.append(allocate([size], np.uint8, "cuda", 0))
            except (Fail, RuntimeException, RuntimeError):
                continue
        return {"chunks": len(self._held)}

    def ruin(self) -> Json:
        """Make the device useless for this process, as when it falls off the bus; others have it as before."""
        self._is_broken = True
        return {"code": 719 if self._pretends else _launch_illegal()}

    def pretend(self, stack: ExitStack) -> None:
        """Have onnxruntime say that it has CUDA, which is full or gone where it is to be."""
        if not self._pretends:
            return

        def refuse(_name: str, _options: Mapping[str, str]) -> None:
            if self._full.exists():
                raise RuntimeException("[ONNXRuntimeError] : 6 : CUDA failure 2: out of memory ; GPU=0")

        def fail(feeds: Mapping[str, Any]) -> None:
            if self._is_broken:
                raise RuntimeException(
                    "[ONNXRuntimeError] : 6 : CUDA failure 719: unspecified launch failure ; GPU=0"
                )
            if self._full.exists() and len(feeds.get("X", ())) > self._job["rows"]:
                raise Fail(
                    "[ONNXRuntimeError] : 1 : Available memory of 1 is smaller than requested bytes of 9"
                )

        stack.enter_context(having_cuda(refuse, fail))


def _rate(run: Callable[[], object], seconds: float) -> float:
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds or not count:
        run()
        count += 1
    return count / passed if passed else 0.0


def _launch_illegal() -> int:
    """Run a kernel that faults in the context that onnxruntime uses, and return CUDA's code for that."""
    cuda = ctypes.CDLL("libcuda.so.1")
    context, module, function = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    steps: list[tuple[str, tuple[Any, ...]]] = [
        ("cuInit", (0,)),
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), 0)),
        ("cuCtxSetCurrent", (context,)),
        ("cuModuleLoadData", (ctypes.byref(module), _ILLEGAL)),
        ("cuModuleGetFunction", (ctypes.byref(function), module, b"illegal")),
        ("cuLaunchKernel", (function, 1, 1, 1, 1, 1, 1, 0, None, None, None)),
    ]
    for name, arguments in steps:
        code = int(getattr(cuda, name)(*arguments))
        if code:
            raise SystemExit(f"{name} ends with {code}, and the device cannot be made useless")
    return int(cuda.cuCtxSynchronize())


def main() -> None:
    """Do what the lines say."""
    # What libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if hasattr(onnxruntime, "preload_dlls") and CUDA in onnxruntime.get_available_providers():
        # CUDA's libraries may have come as packages, where the loader does not look.
        onnxruntime.preload_dlls()
    worker = Worker(json.loads(sys.argv[1]))
    with ExitStack() as stack:
        worker.pretend(stack)
        for line in sys.stdin:
            asked: Json = json.loads(line)
            done = getattr(worker, asked.pop("do"))(**asked)
            answers.write(json.dumps(done) + "\n")
        # A device that was ruined has nothing that could be given back in order.
        os._exit(0)


if __name__ == "__main__":
    main()
