"""Requests over gRPC: messages as bytes, written once and read only to compare them."""

import queue
import time
from collections.abc import Sequence
from typing import cast

import grpc

from graphc.bench.transport import Done


class GrpcTransport:
    """Calls one method again and again on one channel, which carries all slots at once."""

    def __init__(
        self, target: str, method: str, message: bytes, metadata: Sequence[tuple[str, str]], timeout: float
    ) -> None:
        self.reconnects = 0
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(target, limits)
        # Without serializers, so that messages are bytes.
        self._method = cast("grpc.UnaryUnaryMultiCallable[bytes, bytes]", self._channel.unary_unary(method))
        self._message, self._metadata, self._timeout = message, tuple(metadata), timeout
        self._ended: queue.SimpleQueue[tuple[int, float, grpc.Future[bytes]]] = queue.SimpleQueue()

    def send(self, slot: int) -> None:
        """Send the request; gRPC's own threads wait for the answer."""
        call = self._method.future(self._message, timeout=self._timeout, metadata=self._metadata)

        def end(done: "grpc.Future[bytes]") -> None:
            self._ended.put((slot, time.monotonic(), done))

        call.add_done_callback(end)

    def poll(self, timeout: float) -> list[Done]:
        """Wait for the first answer, and take all there are."""
        found: list[Done] = []
        try:
            found.append(_read(*self._ended.get(timeout=max(timeout, 1e-4))))
            while True:
                found.append(_read(*self._ended.get_nowait()))
        except queue.Empty:
            return found

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _read(slot: int, at: float, call: "grpc.Future[bytes]") -> Done:
    error = call.exception()
    if error is None:
        return Done(slot, at, "OK", True, call.result(), None, "")
    code = cast("grpc.Call", call).code()
    name = str(code.name)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return Done(slot, at, "", False, b"", None, name.lower().replace("_", " "))
    return Done(slot, at, name, False, b"", None, "")
