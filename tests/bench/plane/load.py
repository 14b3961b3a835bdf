"""A closed-loop HTTP client in a process of its own: `load.py HOST PORT REQUEST_FILE CLIENTS SECONDS` prints JSON.

The file holds the whole request as it goes over the wire. Each client waits for its answer before it asks again; an
answer's length is read from its header, and its body is not looked at beyond that.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import cast

import uvloop


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self.times: list[float] = []
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()
        self._request, self._deadline = request, deadline
        self._got, self._missing = b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._got, self._missing = b"", -1
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._got += data
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = _length(self._got[: end + 2]) + end + 4 - len(self._got)
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._finish()

    def _finish(self) -> None:
        now = time.perf_counter()
        self.times.append(now - self._started)
        self.failed += not self._got.startswith(b"HTTP/1.1 200")
        if now < self._deadline:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"an answer without a length: {head!r}")
    return int(head[at + 17 : head.find(b"\r\n", at + 2)])


async def _run(host: str, port: int, request: bytes, clients: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Client(request, start + seconds), host, port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in made))
    took = time.perf_counter() - start
    times = [each for _, client in made for each in client.times]
    return summarise(times, took, sum(client.failed for _, client in made))


def summarise(times: list[float], took: float, failed: int) -> dict[str, float]:
    """Return what is printed of the seconds that requests took, and all of them together."""
    ordered = sorted(times)
    return {
        "rps": len(ordered) / took,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        "count": len(ordered),
        "failed": failed,
    }


if __name__ == "__main__":
    _host, _port, _file, _clients, _seconds = sys.argv[1:]
    uvloop.install()
    content = Path(_file).read_bytes()
    print(json.dumps(asyncio.run(_run(_host, int(_port), content, int(_clients), float(_seconds)))))
