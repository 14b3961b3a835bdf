"""Work that grows with a body: done at once where it is small, in threads where it would hold the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

SMALL: Final = 128 * 1024
"""Bodies up to this are worked on at once: a thread would cost more than they do."""

_THREADS: Final = 4
_POOL: Final = ThreadPoolExecutor(_THREADS, "graphc-convert")

Result = TypeVar("Result")


async def offload(size: int, work: Callable[[], Result]) -> Result:
    """Do work on that many bytes without holding the event loop for long."""
    if size <= SMALL:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_POOL, work)
