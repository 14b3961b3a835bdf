"""Lets the user stop a change between any two requests, and a second time while it is taken back."""

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
class _Shield:
    """Whether a request is under way that writes, and whether the user asked to stop meanwhile."""

    is_up: bool = False
    is_due: bool = False


_shield: Final = _Shield()


@contextmanager
def shielded() -> Generator[None]:
    """Keep signals until the block is done; the second in it gets through.

    A request that writes and is abandoned may still be carried out, later than what takes it back.
    """
    _shield.is_up, _shield.is_due = True, False
    try:
        yield
    finally:
        _shield.is_up = False
        if _shield.is_due:
            raise Interrupted


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
        elif _shield.is_up and not _shield.is_due:
            _shield.is_due = True
        else:
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
