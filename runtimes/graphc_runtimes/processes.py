"""Forks processes that share what was imported before: the parent must have no threads, sessions or event loop."""

import ctypes
import gc
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

AWAITED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
"""The signals that a parent waits for instead of being interrupted by them."""

_PR_SET_PDEATHSIG: Final = 1


def become_parent() -> None:
    """Make ready to fork: signals wait, and the collector leaves alone the pages that children share."""
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot be forked safely")
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    gc.collect()
    gc.freeze()


def fork(work: Callable[[], object]) -> int:
    """Return the id of a new process that does some work and ends; it does not outlive its parent (on Linux)."""
    parent = os.getpid()
    _flush()
    pid = os.fork()
    return pid or _be_child(work, parent)


def _be_child(work: Callable[[], object], parent: int) -> NoReturn:
    code = 1
    try:
        _begin(parent)
        work()
        code = 0
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        # Nothing of the parent's own, such as its exit handlers, is for this process.
        os._exit(code)


def _begin(parent: int) -> None:
    for number in AWAITED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(1)
    # Children that began with the same state would all draw the same numbers.
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _exit_code(end: SystemExit) -> int:
    if isinstance(end.code, int | None):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def describe_end(status: int) -> str:
    """Say how a process ended, by the status that `os.waitpid` gave."""
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def shell_code(status: int) -> int:
    """Return the exit code that a shell gives for the status of a process."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
