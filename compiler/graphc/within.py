"""Bounds how long some work takes as a whole: a time limit of a socket is one of each of its reads."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float | None, work: Callable[[], Result]) -> Result:
    """Return what some work returns or raise what it raises; raises TimeoutError once the time is over.

    The work then goes on unheard: it must be safe for a process to end in the midst of it.
    """
    if seconds is None:
        return work()
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    # A pool's threads are waited for as the process ends; this one is not.
    threading.Thread(target=run, daemon=True).start()
    done, _ = wait([outcome], timeout=seconds)
    if not done:
        raise TimeoutError
    return outcome.result()
