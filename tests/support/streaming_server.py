"""A strict server of OpenAI's chat and completions that streams as a test tells it to, and notes who leaves."""

import json
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

CUT: Final = "cut"
"""In the place of a chunk: the server dies."""
END: Final = "end"
"""In the place of a chunk: the body ends here."""
WAIT_S: Final = 10.0
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
_PATHS: Final = {"/v1/chat/completions": "messages", "/v1/completions": "prompt"}

Step = bytes | float | str | threading.Event


def event(data: object) -> bytes:
    """Return an event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def chat_events(*texts: str) -> list[bytes]:
    """Return the events of a chat's answer."""
    first: Json = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    parts = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts]
    last: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    cost: Json = {"choices": [], "usage": {"total_tokens": 7}}
    return [event(each) for each in (first, *parts, last, cost, "[DONE]")]


class StreamingServer:
    """What it is told to answer, and what it has seen."""

    def __init__(self) -> None:
        self.steps: Sequence[Step] = (*chat_events("one ", "two ", "three"), END)
        self.whole = "one two three"
        self.refuses: tuple[int, Json] | None = None
        self.asked: list[Json] = []
        self.authorizations: list[str] = []
        self.left = threading.Event()
        """Set once a client has left before its answer was whole."""
        self.sent = 0
        """Bytes of chunks that the system has taken."""
        self.url = ""
        self.is_failing = 0
        """As many of the next requests are refused with 503."""

    def say(self, *steps: Step) -> None:
        """Stream these chunks, with pauses of so many seconds, or until an event is set."""
        self.steps = steps

    def greet(self, link: socket.socket, trust: ssl.SSLContext | None) -> None:
        """Answer one request, over TLS where there is any."""
        with suppress(OSError):
            self.serve(link if trust is None else trust.wrap_socket(link, server_side=True))
        link.close()

    def serve(self, link: socket.socket) -> None:
        """Answer one request."""
        with link, suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.settimeout(WAIT_S)
            file = link.makefile("rb")
            start = file.readline().decode().split()
            if not start:
                return
            headers: dict[str, str] = {}
            while line := file.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = json.loads(file.read(int(headers["content-length"])))
            self.authorizations.append(headers.get("authorization", ""))
            self.asked.append(body)
            self._answer(link, start, headers, body)

    def _answer(self, link: socket.socket, start: list[str], headers: dict[str, str], body: Json) -> None:
        field = _PATHS.get(start[1])
        streams = body.get("stream") is True
        is_right = start[0] == "POST" and field is not None and field in body and "model" in body
        is_right = is_right and (not streams or headers.get("accept") == "text/event-stream")
        if not is_right:
            self._refuse(link, 400, {"error": {"message": "this is not the API"}})
        elif self.is_failing:
            self.is_failing -= 1
            self._refuse(link, 503, {"error": {"message": "too busy"}})
        elif self.refuses is not None:
            self._refuse(link, *self.refuses)
        elif streams:
            self._stream(link)
        else:
            choice: Json = {"text": self.whole} if field == "prompt" else {"message": {"content": self.whole}}
            self._refuse(link, 200, {"choices": [choice]})

    def _refuse(self, link: socket.socket, status: int, said: Json) -> None:
        text = json.dumps(said).encode()
        link.sendall(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(text))
        )
        link.sendall(text)

    def _stream(self, link: socket.socket) -> None:
        link.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for step in self.steps:
            if step == CUT:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            if step == END:
                link.sendall(b"0\r\n\r\n")
                return
            if isinstance(step, bytes):
                try:
                    link.sendall(b"%x\r\n%b\r\n" % (len(step), step))
                except OSError:
                    self.left.set()
                    return
                self.sent += len(step)
            elif not isinstance(step, str) and not self._wait(link, step):
                self.left.set()
                return

    def _wait(self, link: socket.socket, step: "float | threading.Event") -> bool:
        """Wait; says whether the client is still there."""
        until = time.monotonic() + (WAIT_S if isinstance(step, threading.Event) else step)
        while time.monotonic() < until and not (isinstance(step, threading.Event) and step.is_set()):
            if select.select([link], [], [], 0.02)[0] and not link.recv(1):
                return False
        return True


def make_certificate(folder: Path) -> ssl.SSLContext:
    """Write `ca.pem`, which signs itself, for localhost alone, and return what a server is trusted by."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def streaming_server(trust: ssl.SSLContext | None = None) -> Generator[StreamingServer]:
    """Run the server at a port of 127.0.0.1; over TLS, as localhost, with what it is trusted by."""
    server = StreamingServer()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/v1" if trust is None else f"https://localhost:{port}/v1"
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                link, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=server.greet, args=(link, trust), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *threads):
            thread.join(WAIT_S)
