"""An onnxruntime that says it has CUDA: its sessions take what real ones take, and compute on the CPU.

Operators of the domain ai.onnx.ml stay on the CPU, as with the real provider, which has no kernels for them.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import weakref
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import onnxruntime
from graphc_components.datatypes import Array
from graphc_runtimes.providers import CPU, CUDA, TENSORRT, Options, Provider
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

Feeds = Mapping[str, Array]

_REAL: Final = onnxruntime.InferenceSession
_ALLOCATE: Final = onnxruntime.OrtValue.ortvalue_from_numpy
_CAPTURE: Final = {"enable_cuda_graph", "trt_cuda_graph_enable"}


@dataclass
class Told:
    """What the sessions were told that were opened: the options of CUDA or TensorRT, by the model's file name."""

    sessions: dict[str, list[Options]] = field(default_factory=dict[str, list[Options]])
    alive: Counter[str] = field(default_factory=Counter[str])
    """How many sessions of a model there are on a device."""
    most: Counter[str] = field(default_factory=Counter[str])
    """How many there were at one time."""

    def open(self, session: object, name: str, options: Options) -> None:
        """Note a session, for as long as it is there."""
        self.sessions.setdefault(name, []).append(dict(options))
        self.alive[name] += 1
        self.most[name] = max(self.most[name], self.alive[name])
        weakref.finalize(session, self.alive.subtract, [name])


class _Failing:
    """What a session talks to, in front of which stands what may fail."""

    def __init__(self, real: Any, fail: Callable[[Feeds], None]) -> None:
        self.real, self._fail = real, fail

    def run(self, outputs: object, feeds: Feeds, options: object = None) -> Any:
        """Run, unless that is to fail."""
        self._fail(feeds)
        return self.real.run(outputs, feeds, options)

    def run_with_iobinding(self, binding: object, options: object = None) -> None:
        """Run over bound memory, unless that is to fail."""
        self._fail({})
        self.real.run_with_iobinding(binding, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextmanager
def having_cuda(
    refuse: Callable[[str, Options], None] | None = None, fail: Callable[[Feeds], None] | None = None
) -> Generator[Told]:
    """Have onnxruntime say for a while that it has CUDA and TensorRT.

    `refuse` may raise for a model that is to be on a device, and `fail` for what one there is asked.
    """
    told = Told()

    class Session(_REAL):
        """A session that pretends to be on a device."""

        def __init__(self, path: str, options: Any = None, providers: Sequence[str | Provider] = ()) -> None:
            self.named = [each if isinstance(each, str) else each[0] for each in providers]
            first = providers[0]
            if not isinstance(first, str) and first[0] != CPU:
                name, device = path.rpartition("/")[2], first[1]
                if refuse is not None:
                    refuse(name, device)
                told.open(self, name, device)
            super().__init__(path, options, providers=[CPU])
            if not isinstance(first, str) and _CAPTURE & first[1].keys() and not self._is_whole:
                raise EPFail(
                    "[ONNXRuntimeError] : 11 : EP_FAIL : This session cannot use the graph capture feature"
                )

            if not isinstance(first, str) and first[0] != CPU and fail is not None:
                self._sess = _Failing(self._sess, fail)

        def io_binding(self) -> Any:
            # A binding is of the real session, and knows by this attribute whose it is.
            told: Any = self._sess
            self._sess = told.real if isinstance(told, _Failing) else told
            binding: Any = super().io_binding()
            self._sess = binding._session = told
            return binding

        @property
        def _is_whole(self) -> bool:
            return all(each.ep_name != CPU for each in self.get_provider_graph_assignment_info())

        def get_providers(self) -> list[str]:
            return list(dict.fromkeys([*self.named, CPU]))

        def get_provider_graph_assignment_info(self) -> Any:
            return [self._place(each) for each in super().get_provider_graph_assignment_info()]

        def _place(self, subgraph: Any) -> Any:
            nodes = subgraph.get_nodes()
            has_kernels = all(each.domain != "ai.onnx.ml" for each in nodes)
            return SimpleNamespace(ep_name=self.named[0] if has_kernels else CPU, get_nodes=lambda: nodes)

    def allocate(array: Array, _device: str = "cpu", _number: int = 0) -> Any:
        return _ALLOCATE(array)

    with (
        patch.object(onnxruntime, "InferenceSession", Session),
        patch.object(onnxruntime.OrtValue, "ortvalue_from_numpy", allocate),
        patch.object(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU]),
    ):
        yield told
