"""Unexpected errors: told to the client by an id, and logged under that id without anything that the client sent."""

import asyncio
import logging
import re
import secrets
import threading
import traceback
from contextlib import suppress
from typing import Any, Final, TypeVar

from graphc_runtimes.errors import RunError

_LOG: Final = logging.getLogger("mlserver.graphc")
_PATH: Final = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.@+~-]+){2,}[/\\]?")
_LONGEST: Final = 300
_MOST_FRAMES: Final = 20

_Error = TypeVar("_Error", bound=BaseException)


def describe(error: BaseException) -> str:
    """Return an exception's type and first line, without the paths of this container."""
    first = _PATH.sub("...", _text_of(error).strip().split("\n", 1)[0][:_LONGEST])
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    # An exception's own text is code too, and its author may have been wrong.
    except BaseException:
        return ""


def trace(error: BaseException) -> str:
    """Return where an exception was raised: the last frames, without its text, which may hold what a client sent."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
    lines = [f'  File "{each.filename}", line {each.lineno}, in {each.name}' for each in frames]
    return "\n".join([*lines, f"  {type(error).__name__}"])


def tell_fault(error: BaseException, what: str) -> RunError:
    """Log and count an unexpected error, and return the error that the client is told."""
    identity = secrets.token_hex(8)
    # Memory or the stack may have run out: the client is answered all the same.
    with suppress(Exception):
        _LOG.error("%s failed, id %s:\n%s", what, identity, trace(error))
    with suppress(Exception):
        _count()
    return RunError(f"{what} failed, id {identity}")


def _count() -> None:
    # Workers set up their metrics first, and this module is imported before.
    from graphc_runtimes.metrics import faults

    faults().inc()


def stripped(error: _Error) -> _Error:
    """Return an error without the frames that it passed: they would keep the request's body for as long as it lives."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def watch_threads() -> None:
    """Log and count threads that end by an exception, the user's own among them."""

    def told(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            tell_fault(args.exc_value, f"thread `{args.thread.name if args.thread else 'unknown'}`")

    threading.excepthook = told


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log and count what callbacks and unawaited tasks raise; asyncio's own words may hold a whole body."""

    def told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
        error = context.get("exception")
        if isinstance(error, BaseException):
            tell_fault(error, "a task of the event loop")
        else:
            _LOG.error("%s", str(context.get("message", "the event loop reports an error"))[:_LONGEST])

    loop.set_exception_handler(told)
