"""Runs an ONNX model of fixed shapes over memory of a device that is bound once, as CUDA graphs need it."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime
from graphc_components.datatypes import Array

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{
        f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
"""What onnxruntime calls tensors of numbers, which are arrays of a V2 datatype as they stand."""


class Argument(Protocol):
    """An input or output, as a session describes it."""

    name: str
    type: str
    shape: Sequence[object]


class Bindable(Protocol):
    """What is needed of a session."""

    def get_inputs(self) -> Sequence[Argument]:
        """Return what it takes."""
        ...

    def get_outputs(self) -> Sequence[Argument]:
        """Return what it gives."""
        ...

    def io_binding(self) -> Any:
        """Return a new binding."""
        ...

    def run_with_iobinding(self, binding: Any, options: None = None, /) -> None:
        """Run over bound memory."""
        ...


def can_bind(session: Bindable) -> bool:
    """Say whether every shape of a model is fixed, and all it takes and gives are numbers."""
    arguments = [*session.get_inputs(), *session.get_outputs()]
    return all(
        each.type in DTYPES and each.shape and all(isinstance(size, int) and size > 0 for size in each.shape)
        for each in arguments
    )


class BoundRunner:
    """Runs a session that `can_bind`: its inputs are copied to where they always lie, its outputs from there."""

    def __init__(self, session: Bindable, device: str, number: int = 0) -> None:
        """Bind memory of a device (`cpu` or `cuda`) with a number; raises onnxruntime's errors where it is full."""
        self._session, self._binding = session, session.io_binding()
        # One request at a time: all of them use the same memory, and a recorded graph runs in one stream.
        self._lock = threading.Lock()
        self._shapes = {each.name: _shape_of(each) for each in session.get_inputs()}
        self._inputs = {each.name: _allocate(each, device, number) for each in session.get_inputs()}
        # onnxruntime computes every output of a file; those that are not read are bound like the others.
        self._outputs = {each.name: _allocate(each, device, number) for each in session.get_outputs()}
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Mapping[str, Array]:
        """Return some outputs, each in memory of its own; raises ValueError for another shape than the model's."""
        for name, array in inputs.items():
            if array.shape != self._shapes[name]:
                raise ValueError(
                    f"the model takes `{name}` as {list(self._shapes[name])}, not {list(array.shape)}"
                )
        with self._lock:
            for name, array in inputs.items():
                self._inputs[name].update_inplace(np.ascontiguousarray(array))
            self._session.run_with_iobinding(self._binding)
            return {name: np.array(self._outputs[name].numpy()) for name in outputs}

    def try_twice(self) -> None:
        """Run on zeros: the first time records a CUDA graph, the next replays it. Raises onnxruntime's errors."""
        for _ in range(2):
            with self._lock:
                self._session.run_with_iobinding(self._binding)


def _shape_of(argument: Argument) -> tuple[int, ...]:
    return tuple(size for size in argument.shape if isinstance(size, int))


def _allocate(argument: Argument, device: str, number: int) -> Any:
    zeros = np.zeros(_shape_of(argument), DTYPES[argument.type])
    return onnxruntime.OrtValue.ortvalue_from_numpy(zeros, device, number)
