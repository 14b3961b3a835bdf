"""Lets the user stop a change at any moment, and a second time while it is taken back."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The user asked to stop; not an error, so that nothing takes it for one."""


@dataclass(slots=True)
class Stopper:
    """What a signal does: it interrupts, unless something is under way that ends by itself."""

    say: Callable[[str], None]
    _patience: int = 0

    def be_patient(self) -> None:
        """Let one signal pass: what is being taken back should be."""
        self._patience = 1

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Interrupt what runs."""
        if self._patience:
            self._patience -= 1
            self.say("the change is being taken back; once more leaves it unfinished")
            return
        raise Interrupted


@contextmanager
def stoppable(say: Callable[[str], None]) -> Generator[Stopper]:
    """Turn Ctrl-C, and a request to end, into `Interrupted` while the block runs."""
    stopper = Stopper(say)
    before = {each: signal.signal(each, stopper.stop) for each in SIGNALS}
    try:
        yield stopper
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
