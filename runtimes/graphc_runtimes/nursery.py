"""Starts many units on one machine: `python -m graphc_runtimes.nursery` imports MLServer once and forks each.

It reads one JSON object a line, `{"folder", "env", "cwd", "log"}`, and answers each with `{"started": PID}`. When a
unit ends it says `{"ended": PID, "code": CODE}`, with minus the signal's number where a signal ended it. It ends with
its input, and the units with it.
"""

import json
import os
import selectors
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Final, TypedDict

from graphc_runtimes import refuse_telemetry
from graphc_runtimes.hosting import host
from graphc_runtimes.processes import become_parent, fork

_LINE: Final = 65_536
_MOST_FILES: Final = 256


class Order(TypedDict):
    """A unit to start: the folder MLServer is given, and what its process is to have."""

    folder: str
    env: Mapping[str, str]
    cwd: str
    log: str


def main() -> None:
    """Fork what is asked for until the input ends."""
    # What a unit or a library prints must not come between the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    become_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, _wake)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        _attend(selector, woken, answers)


def _wake(number: int, frame: FrameType | None) -> None:
    """Do nothing: a signal that has a handler writes to the pipe."""


def _attend(selector: selectors.BaseSelector, woken: int, answers: int) -> None:
    left = b""
    while True:
        for key, _ in selector.select():
            read = os.read(key.fd, _LINE)
            if key.fd == woken:
                _tell_ends(answers)
            elif not read:
                return
            else:
                *lines, left = (left + read).split(b"\n")
                for line in lines:
                    _start(json.loads(line), answers)


def _tell_ends(answers: int) -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(answers, {"ended": found[0], "code": os.waitstatus_to_exitcode(found[1])})


def _tell(answers: int, answer: Mapping[str, int]) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


def _start(order: Order, answers: int) -> None:
    pid = fork(lambda: _be_unit(order))
    # Here and in the unit itself, whichever comes first.
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)
    _tell(answers, {"started": pid})


def _be_unit(order: Order) -> None:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    _redirect(order["log"])
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    refuse_telemetry()
    # As if this process had begun with that environment.
    sys.path[:0] = [path for path in order["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    host(order["folder"])


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    # The answers and the orders are the nursery's; whoever reads them has to see that it has ended.
    os.closerange(3, _MOST_FILES)


if __name__ == "__main__":
    main()
