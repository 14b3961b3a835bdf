"""Large bodies written in pieces, as fast as they leave: written at once, all that does not leave is copied."""

import asyncio
from typing import Final

_PIECE: Final = 1 << 20


class Flow:
    """What a transport says of its buffer."""

    def __init__(self) -> None:
        self._is_free = asyncio.Event()
        self._is_free.set()

    def pause(self) -> None:
        """Hold back what comes."""
        self._is_free.clear()

    def resume(self) -> None:
        """Let it go on."""
        self._is_free.set()

    async def wait(self) -> None:
        """Wait until nothing is held back."""
        await self._is_free.wait()

    async def write(self, transport: asyncio.Transport, body: bytes) -> None:
        """Write a body, and return once its last piece is in the transport's hands, or the transport is closed."""
        with memoryview(body) as view:
            for at in range(0, len(view), _PIECE):
                await self._is_free.wait()
                if transport.is_closing():
                    return
                with view[at : at + _PIECE] as piece:
                    transport.write(piece)
