"""Calls to units end when their time is over, and only those."""

import asyncio
import functools
from collections.abc import Awaitable, Callable

import pytest
from graphc.engine.patience import Patience


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run() -> None:
        async def whole() -> None:
            await test()

        asyncio.run(whole())

    return run


async def sleep(patience: Patience, seconds: float) -> str:
    """Sleep within the time, and say how that went."""
    try:
        with patience.limit():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late"
    return "done"


async def fail() -> None:
    """Fail after a while."""
    await asyncio.sleep(0)
    raise ZeroDivisionError


@in_loop
async def test_only_what_takes_too_long_is_late() -> None:
    patience = Patience(0.2)
    found = await asyncio.gather(*[sleep(patience, seconds) for seconds in (0, 60, 0.01, 60)])
    assert found == ["done", "late", "done", "late"]
    # The task goes on as if nothing had been.
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@in_loop
async def test_a_call_that_begins_after_a_rest_has_its_whole_time() -> None:
    patience = Patience(0.2)
    assert await sleep(patience, 0) == "done"
    await asyncio.sleep(0.1)
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert await sleep(patience, 60) == "late"
    assert loop.time() - start >= 0.2


@in_loop
async def test_what_somebody_else_ends_is_not_late() -> None:
    task = asyncio.create_task(sleep(Patience(60), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_loop
async def test_an_error_within_the_time_is_that_error() -> None:
    with pytest.raises(ZeroDivisionError), Patience(60).limit():
        await fail()


def test_a_loop_that_ended_leaves_the_next_one_its_limits() -> None:
    patience = Patience(0.2)
    assert asyncio.run(sleep(patience, 0)) == "done"
    assert asyncio.run(sleep(patience, 60)) == "late"
