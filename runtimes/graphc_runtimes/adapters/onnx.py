"""Runs an ONNX model: with `bound`, what talks to onnxruntime."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

import numpy as np
import onnxruntime
from graphc_components.datatypes import Array
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail, Fail, InvalidArgument, RuntimeException

from graphc_runtimes.adapters.artifact import find_file
from graphc_runtimes.adapters.bound import DTYPES, Bindable, BoundRunner, can_bind
from graphc_runtimes.adapters.lost import WatchedRunner
from graphc_runtimes.adapters.placed import RECORD, Subgraph, place
from graphc_runtimes.arrays import as_tensor
from graphc_runtimes.devices import note_fallback, note_operators, note_variant
from graphc_runtimes.environment import Environment, Gpu
from graphc_runtimes.errors import LoadError
from graphc_runtimes.execute import Runner
from graphc_runtimes.providers import (
    CPU,
    Provider,
    fill_shapes,
    find_providers,
    record_graphs,
    rows_to_warm,
)
from graphc_runtimes.region import ModelNode
from graphc_runtimes.weights import find_shared
from graphc_runtimes.workers import worker_number

_LOG: Final = logging.getLogger("mlserver.graphc")

_SMALL: Final = 4 * 2**20
"""Larger models are not tried with one thread first: to open one twice takes its time."""
_SHORT_S: Final = 0.001
"""A model that answers many rows sooner than this has one thread: to wake others would cost more than they do."""
_EXTERNAL: Final = b"location"
"""What a model says of a tensor whose numbers are in another file."""
_LOCALE: Final = re.compile(r"Failed to construct locale with name: ?([\w.@-]+)")
_TRIED_ROWS: Final = (1, 64)

_ERROR: Final = 3
"""onnxruntime's severity of errors, below which nothing is logged."""


class _Argument(Protocol):
    name: str
    type: str
    shape: Sequence[object]


class _Options(Protocol):
    intra_op_num_threads: int
    inter_op_num_threads: int
    log_severity_level: int
    graph_optimization_level: object
    optimized_model_filepath: str

    def add_session_config_entry(self, name: str, value: str, /) -> None: ...


class _PlainSession(Protocol):
    """A session whose outputs all are tensors."""

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, Array], options: None = None, /
    ) -> Sequence[Array]: ...


class _Session(Protocol):
    def get_inputs(self) -> Sequence[_Argument]: ...

    def get_outputs(self) -> Sequence[_Argument]: ...

    def get_providers(self) -> Sequence[str]: ...

    def disable_fallback(self) -> None: ...

    def get_provider_graph_assignment_info(self) -> Sequence[Subgraph]: ...

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, Array], options: None = None, /
    ) -> Sequence[object]: ...


class _Opened(NamedTuple):
    """A session, and what runs it over memory of a device that is always the same."""

    session: _Session
    bound: BoundRunner | None = None
    is_on_gpu: bool = False


def load_onnx(node: ModelNode, environment: Environment) -> Runner:
    """Return the runner of an ONNX model, on the device asked for; raises LoadError.

    Only a device that is merely preferred is ever replaced, and that is said.

    Only the outputs in use are copied out, but onnxruntime's inference builds compute all that the file holds.
    """
    opened = _open(node, environment)
    run = _make_runner(node, opened)
    if not opened.is_on_gpu:
        return run
    _say_what_runs_on_cpu(node, environment, opened.session)

    def load_on_cpu() -> Runner:
        return _make_runner(node, _start_on_cpu(node, environment))

    # Copies to and from a device raise errors of Python's, runs those of onnxruntime.
    return WatchedRunner(run, environment, load_on_cpu, (EPFail, Fail, RuntimeException, RuntimeError))


def _say_what_runs_on_cpu(node: ModelNode, environment: Environment, session: _Session) -> None:
    """Say which operators have no kernel on the device: onnxruntime runs them on the CPU, and is silent about it."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        _LOG.warning(
            "onnxruntime %s does not tell whether operators of `%s` run on the CPU",
            onnxruntime.__version__,
            node.name,
        )
        return
    placement = place(session.get_provider_graph_assignment_info())
    if placement.on_cpu:
        note_operators(environment, node.name, placement.on_cpu, placement.operators)
    if placement.shapes:
        _LOG.info("node `%s` computes shapes on the CPU, with %d operators", node.name, placement.shapes)


def _make_runner(node: ModelNode, opened: _Opened) -> Runner:
    session, bound = opened.session, opened.bound
    texts = {each.name for each in session.get_inputs() if each.type == "tensor(string)"}
    _check_names(node, session)
    outputs = list(node.outputs)
    types = {each.name: each.type for each in session.get_outputs()}
    is_plain = not texts and all(types[name] in DTYPES for name in outputs)

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        feeds = {name: _as_text(array) if name in texts else array for name, array in inputs.items()}
        results = session.run(outputs, feeds)
        return {name: as_tensor(result) for name, result in zip(outputs, results, strict=True)}

    # The session's own method checks for each request the names that were checked above once and for all.
    direct = cast("_PlainSession", getattr(session, "_sess", session))

    def run_plain(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        results = direct.run(outputs, inputs, None)
        return {
            name: result if result.ndim else as_tensor(result)
            for name, result in zip(outputs, results, strict=True)
        }

    def run_bound(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        assert bound is not None
        return bound.run(inputs, outputs)

    if not is_plain:
        return run
    if bound is not None:
        return run_bound
    return _One(direct, outputs) if len(outputs) == 1 else run_plain


class _One:
    """Runs a session for one output, a tensor of numbers."""

    __slots__ = ("_outputs", "_run")

    def __init__(self, session: _PlainSession, outputs: list[str]) -> None:
        self._run, self._outputs = session.run, outputs

    def give(self, inputs: Mapping[str, Array], /) -> Array:
        """Run once."""
        result = self._run(self._outputs, inputs, None)[0]
        return result if result.ndim else as_tensor(result)

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Run once; the output by its name."""
        return {self._outputs[0]: self.give(inputs)}


def write_optimised(path: Path, environment: Environment, to: Path) -> None:
    """Write a model as onnxruntime optimised it for this machine, its weights in a file beside it."""
    options = _options(environment)
    options.optimized_model_filepath = str(to)
    for name, value in (("file_name", f"{to.stem}.weights"), ("min_size_in_bytes", "1024")):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
    # That what is written is for this machine only is just what is wanted.
    options.log_severity_level = _ERROR
    onnxruntime.InferenceSession(str(path), options, providers=[CPU])


def _options(environment: Environment) -> _Options:
    options = cast("_Options", onnxruntime.SessionOptions())
    # The threads of one session would else keep the processor busy while they wait, which other sessions need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if environment.threads is not None:
        options.intra_op_num_threads = environment.threads
        options.inter_op_num_threads = 1
    return options


def _open(node: ModelNode, environment: Environment) -> _Opened:
    if environment.device == "cpu":
        return _start_on_cpu(node, environment)
    path = find_file(node.path, environment, (".onnx",))
    wanted = replace(environment, device=environment.accelerator, gpu=_limit(node, environment.gpu))
    try:
        return _start(path, wanted)
    except (LoadError, Fail, RuntimeException, EPFail, RuntimeError, ValueError) as error:
        if not environment.is_preferred:
            raise
        # A model that is no good fails on the CPU too, with a reason of its own.
        opened = _start_on_cpu(node, environment)
        note_fallback(environment, str(error))
        return opened


def _limit(node: ModelNode, gpu: Gpu) -> Gpu:
    """Return what a model may take of a device, which is a part where it is one of several."""
    return gpu if node.gpu_mib is None else replace(gpu, memory_mib=node.gpu_mib)


def _start_on_cpu(node: ModelNode, environment: Environment) -> _Opened:
    """Start what is named for the CPU, and say so, or else the model itself."""
    path = find_file(node.path_on_cpu, environment, (".onnx",))
    opened = _start(path, replace(environment, device="cpu"))
    if node.cpu_path is not None:
        note_variant(environment, node.name, node.cpu_path)
    return opened


def _start(path: Path, environment: Environment) -> _Opened:
    providers = find_providers(environment, worker_number())
    available = cast("list[str]", onnxruntime.get_available_providers())
    for name, _ in providers:
        if name not in available:
            raise LoadError(f"GRAPHC_DEVICE asks for {name}; onnxruntime here has {', '.join(available)}")
    shared = find_shared(path)
    if environment.device == "cpu" and environment.threads is None and _is_small(path):
        alone = replace(environment, threads=1)
        if _is_short(_open_session(path, _options(alone), providers)):
            environment = alone
    options = _options(environment)
    if shared is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if environment.device != "cpu":
        options.add_session_config_entry(RECORD, "1")
    session = _open_ready(shared or path, options, providers, environment)
    if environment.device == "cpu":
        return _Opened(session)
    if not can_bind(cast("Bindable", session)):
        return _Opened(session, is_on_gpu=True)
    device = int(providers[0][1]["device_id"])
    # Two sessions of a model would take twice the memory that is meant for it.
    del session
    recorded = _record(shared or path, options, record_graphs(providers), device)
    if recorded is not None:
        return recorded
    session = _open_ready(shared or path, options, providers, environment)
    return _Opened(session, BoundRunner(cast("Bindable", session), "cuda", device), is_on_gpu=True)


def _open_ready(
    path: Path, options: _Options, providers: Sequence[Provider], environment: Environment
) -> _Session:
    """Return a session that runs on the first provider; raises LoadError where onnxruntime took another."""
    session = _open_session(path, options, providers)
    # onnxruntime goes on with the CPU where a provider's libraries cannot be loaded, and only logs it.
    for name, _ in providers:
        if name not in session.get_providers():
            raise LoadError(f"GRAPHC_DEVICE asks for {name}, which onnxruntime could not start")
    # It would do the same when a request fails on the device.
    session.disable_fallback()
    if environment.device != "cpu":
        # A device that is full says so here, before the unit is ready, and TensorRT builds its engines.
        warm_up(session, rows_to_warm(environment))
    return session


def _open_session(path: Path, options: _Options, providers: Sequence[Provider]) -> _Session:
    try:
        return cast("_Session", onnxruntime.InferenceSession(str(path), options, providers=providers))
    except Fail as error:
        missing = _LOCALE.search(str(error))
        if missing is None:
            raise
        name = missing[1]
        raise LoadError(
            f"the model changes texts by the locale `{name}`, which this machine lacks; install it (on Debian: the "
            f"package `locales`, then `localedef -i {name.partition('.')[0]} -f UTF-8 {name}`)"
        ) from None


def _is_small(path: Path) -> bool:
    """Say whether a model takes little time and memory to open: no file of weights lies beside it."""
    return path.stat().st_size < _SMALL and _EXTERNAL not in path.read_bytes()


def _is_short(session: _Session) -> bool:
    """Say whether a session of one thread answers rows of zeros in a short time; no where it cannot be asked."""
    try:
        return all(_time(session, rows) < _SHORT_S for rows in _TRIED_ROWS)
    # A model may refuse zeros: what it says of them is of no interest.
    except (Fail, RuntimeException, EPFail, InvalidArgument, RuntimeError, ValueError):
        return False


def _time(session: _Session, rows: int) -> float:
    """Return the processor's seconds of a run that is not the first."""
    warm_up(session, (rows,))
    start = time.thread_time()
    return time.thread_time() - start if warm_up(session, (rows,)) else math.inf


def _record(path: Path, options: _Options, providers: Sequence[Provider], device: int) -> _Opened | None:
    """Return a session that replays a CUDA graph; None, which is logged, where the model has none.

    It has none where an operator of it runs on the CPU, or decides what else runs.
    """
    try:
        session = _open_session(path, options, providers)
        session.disable_fallback()
        bound = BoundRunner(cast("Bindable", session), "cuda", device)
        bound.try_twice()
    except (Fail, RuntimeException, EPFail, RuntimeError, ValueError) as error:
        _LOG.info("`%s` runs without a CUDA graph: %s", path.name, str(error).split("\n", 1)[0])
        return None
    return _Opened(session, bound, is_on_gpu=True)


def warm_up(session: _Session, batches: Sequence[int]) -> int:
    """Run a model on zeros for each number of rows, and return how often.

    Never where its sizes are not known, or it takes anything but numbers: such models start cold.
    """
    inputs = {each.name: each for each in session.get_inputs()}
    outputs = [each.name for each in session.get_outputs()]
    runs = 0
    if any(each.type not in DTYPES for each in inputs.values()):
        return runs
    for rows in batches:
        shapes = fill_shapes({name: each.shape for name, each in inputs.items()}, rows)
        if shapes is not None:
            zeros = {name: np.zeros(shape, DTYPES[inputs[name].type]) for name, shape in shapes.items()}
            session.run(outputs, zeros)
            runs += 1
    return runs


def _check_names(node: ModelNode, session: _Session) -> None:
    inputs = {each.name: each.type for each in session.get_inputs()}
    outputs = {each.name: each.type for each in session.get_outputs()}
    if node.inputs.keys() != inputs.keys():
        raise LoadError(f"the model takes {_list(inputs)}, and the graph gives {_list(node.inputs)}")
    for name in node.outputs:
        if name not in outputs:
            raise LoadError(f"the model has no output `{name}`; it has {_list(outputs)}")
        if not outputs[name].startswith("tensor("):
            raise LoadError(
                f"the output `{name}` is a {outputs[name]}, not a tensor (convert without ZipMap)"
            )


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def _as_text(array: Array) -> Array:
    texts = [element.decode() for element in cast("list[bytes]", array.ravel().tolist())]
    return np.array(texts, dtype=object).reshape(array.shape)
