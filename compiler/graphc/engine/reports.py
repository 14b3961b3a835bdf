"""Tells a service of a version's answers as Seldon's executor logs them: afterwards, and never at their cost.

What waits to be sent is bounded. What is too much is left out, a request together with its answer, and counted.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp

from graphc.engine.faults import note_fault
from graphc.engine.headers import PUID, Headers
from graphc.engine.message import Answer, Message, decompress
from graphc.engine.metrics import Metrics
from graphc.engine.offload import offload
from graphc.engine.wire_json import WireError

REQUEST: Final = "io.seldon.serving.inference.request"
RESPONSE: Final = "io.seldon.serving.inference.response"
"""What the events are called; the service of k8s/compare reads them."""

_MOST_PAIRS: Final = 1024
_MOST_BYTES: Final = 32 << 20
_SENDERS: Final = 4
_POST_S: Final = 5.0
_END_S: Final = 2.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where answers are told, and what they are told to be of."""

    url: str
    graph: str
    predictor: str
    namespace: str


@dataclass(frozen=True, slots=True)
class _Pair:
    request: str
    asked: Message
    answered: Message | None
    began: datetime
    ended: datetime

    @property
    def size(self) -> int:
        """Return the bytes of both bodies."""
        return len(self.asked.body) + (len(self.answered.body) if self.answered else 0)


class Reporter:
    """Sends what it is told of from `start` to `close`."""

    def __init__(self, receiver: Receiver, metrics: Metrics) -> None:
        self._receiver, self._metrics = receiver, metrics
        self._waiting: deque[_Pair] = deque()
        self._bytes = self._sending = 0
        self._told = asyncio.Event()
        self._senders: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Begin to send; called within the event loop that serves."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_S))
        self._senders = [asyncio.create_task(self._send_all()) for _ in range(_SENDERS)]

    async def close(self) -> None:
        """Send what waits, for a moment, and end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while self._waiting or self._sending:
                    await asyncio.sleep(0.01)
        for sender in self._senders:
            sender.cancel()
        if self._senders:
            await asyncio.wait(self._senders)
        if self._http is not None:
            await self._http.close()

    def note(self, headers: Headers, asked: Message, answer: Answer, began: datetime) -> None:
        """Take note of an answer that has been given to a request."""
        request = next((value for name, value in headers if name.lower() == PUID.lower()), "")
        # The executor logs no answer of a request that failed.
        answered = answer.message if answer.status == _OK else None
        pair = _Pair(request, asked, answered, began, datetime.now(UTC))
        if len(self._waiting) >= _MOST_PAIRS or self._bytes + pair.size > _MOST_BYTES:
            self._metrics.count_report("dropped")
            return
        self._bytes += pair.size
        self._waiting.append(pair)
        self._told.set()

    async def _send_all(self) -> None:
        while True:
            while self._waiting:
                pair = self._waiting.popleft()
                self._bytes -= pair.size
                self._sending += 1
                try:
                    self._metrics.count_report(await self._send(pair))
                finally:
                    self._sending -= 1
            self._told.clear()
            await self._told.wait()

    async def _send(self, pair: _Pair) -> str:
        try:
            # A request without an answer counts as a failure: it is never told where its answer could not be.
            if pair.answered is not None:
                await self._post(pair, RESPONSE, pair.ended, pair.answered)
            await self._post(pair, REQUEST, pair.began, pair.asked)
        except (aiohttp.ClientError, OSError, TimeoutError, WireError):
            return "failed"
        except Exception as fault:
            # What is wrong with one pair keeps no other from being sent.
            note_fault("telling of an answer", fault)
            return "failed"
        return "sent"

    async def _post(self, pair: _Pair, kind: str, at: datetime, message: Message) -> None:
        assert self._http is not None
        body = await offload(len(message.body), lambda: decompress(message))
        headers = self._headers(pair.request, kind, at, message.content_type)
        async with self._http.post(
            self._receiver.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            response.raise_for_status()

    def _headers(self, request: str, kind: str, at: datetime, content_type: str) -> Mapping[str, str]:
        receiver = self._receiver
        return {
            "CE-SpecVersion": "1.0",
            "CE-Id": f"{request}-{kind.rpartition('.')[2]}",
            "CE-Type": kind,
            "CE-Source": "graphc-engine",
            "CE-Time": at.isoformat().replace("+00:00", "Z"),
            "CE-Requestid": request,
            "CE-Inferenceservicename": receiver.graph,
            "CE-Namespace": receiver.namespace,
            "CE-Endpoint": receiver.predictor,
            "Content-Type": content_type,
        }
