"""A server with known delays, in a thread of its own, to put a load on."""

import asyncio
import json
import threading
from collections.abc import Coroutine

from aiohttp import web

ANSWER = {
    "model_name": "m",
    "id": "bench",
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.5]}],
}
METADATA = {
    "name": "m",
    "platform": "test",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [],
}


class Slow:
    """Answers after a delay, so many requests at once; a plan says what else happens to the n-th request."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.room: asyncio.Semaphore | None = None
        self.stall: tuple[int, float] | None = None
        self.statuses: dict[int, int] = {}
        self.answers: dict[int, object] = {}
        self.closes = False
        self.chunked = False
        self.encoding = ""
        self.seen = 0
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}

    async def infer(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        number = self.seen
        self.bodies = [*self.bodies[-3:], await request.read()]
        self.headers = dict(request.headers)
        if self.room is None:
            await self._work(number)
        else:
            async with self.room:
                await self._work(number)
        return await self._answer(request, number)

    async def _work(self, number: int) -> None:
        if self.stall and number == self.stall[0]:
            await asyncio.sleep(self.stall[1])
        if self.delay:
            await asyncio.sleep(self.delay)

    async def _answer(self, request: web.Request, number: int) -> web.StreamResponse:
        text = json.dumps(self.answers.get(number, ANSWER)).encode()
        status = self.statuses.get(number, 200)
        if not self.chunked:
            response = web.Response(body=text, status=status, content_type="application/json")
            if self.closes:
                response.force_close()
            if self.encoding:
                response.headers["Content-Encoding"] = self.encoding
            return response
        stream = web.StreamResponse(status=status)
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        for start in range(0, len(text), 7):
            await stream.write(text[start : start + 7])
        await stream.write_eof()
        return stream


class SlowServer:
    """The server's thread."""

    def __init__(self) -> None:
        self.slow = Slow()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._start())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/models/m"

    def close(self) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v2/models/{model}/infer", self._infer)
        app.router.add_post("/other", self._infer)
        app.router.add_get("/v2/models/{model}", self._describe)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def _infer(self, request: web.Request) -> web.StreamResponse:
        return await self.slow.infer(request)

    async def _describe(self, _: web.Request) -> web.Response:
        return web.json_response(METADATA)
