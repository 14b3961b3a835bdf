"""Tries a node as its policy says: in how much time, how often, and what stands for it where it fails."""

import contextvars
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

import numpy as np
from graphc_components.datatypes import Array, to_numpy

from graphc_runtimes.contracts import Counts
from graphc_runtimes.deadline import Limit
from graphc_runtimes.errors import RunError
from graphc_runtimes.faults import stripped
from graphc_runtimes.region import Default, RunnableNode

_T = TypeVar("_T")

Arrays = Mapping[str, Array]


def attempt(node: RunnableNode, run: Callable[[], Arrays], deadline: Limit | None, counts: Counts) -> Arrays:
    """Return what a node answers by the first try that does; raises the last one's RunError."""
    for _ in range(node.policy.retries):
        try:
            return _try_once(node, run, deadline, counts)
        except RunError:
            counts.retry()
    return _try_once(node, run, deadline, counts)


def _try_once(
    node: RunnableNode, run: Callable[[], Arrays], deadline: Limit | None, counts: Counts
) -> Arrays:
    if deadline:
        deadline.check(node.name)
    if node.policy.timeout_ms is None:
        return run()
    allowed = node.policy.timeout_ms / 1000
    patience = allowed if deadline is None else min(allowed, deadline.left_s)
    trying = start_thread(run)
    try:
        # What comes later is thrown away with the future; nothing can stop the thread.
        return trying.result(max(patience, 0))
    except TimeoutError:
        if deadline and patience < allowed:
            raise deadline.passed(node.name) from None
        counts.time_out()
        raise RunError(f"node `{node.name}` failed: no answer within {node.policy.timeout_ms}ms") from None


def start_thread(work: Callable[[], _T]) -> Future[_T]:
    """Do work in a thread of its own, which the process does not wait for when it ends."""
    future: Future[_T] = Future()

    def do() -> None:
        try:
            result = work()
        # The waiting request is told of every error; its frames would hold on to the future, and so to itself.
        except BaseException as error:
            future.set_exception(stripped(error))
        else:
            future.set_result(result)

    threading.Thread(target=contextvars.copy_context().run, args=(do,), daemon=True).start()
    return future


def stand_in(node: RunnableNode, inputs: Arrays) -> Arrays:
    """Return what a failed node's policy puts in the place of its outputs: constants, or nothing."""
    if node.policy.on_error != "default":
        return {}
    return {name: _fill(node.policy.default[name], inputs) for name in node.outputs}


def _fill(default: Default, inputs: Arrays) -> Array:
    shape = [len(inputs[dim]) if isinstance(dim, str) else dim for dim in default.shape]
    value = default.value.encode() if isinstance(default.value, str) else default.value
    return np.full(shape, value, to_numpy(default.datatype))
