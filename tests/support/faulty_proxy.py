"""Stands between graphc and the API server, counts requests, and does harm before or after the one asked for."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

When = Literal["before", "after"]
Harm = Callable[[int, When], bool]
"""Called around every request with its number, from 1; True drops the connection without an answer."""

DROPPED: Final = frozenset({"host", "connection", "transfer-encoding", "content-length", "accept-encoding"})


@dataclass
class Proxy:
    """A proxy under way."""

    kubeconfig: Path
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Method and path of every request."""


@contextmanager
def harming(kubeconfig: Path, folder: Path, harm: Harm) -> Generator[Proxy]:
    """Serve the API server of a kubeconfig under another one, with faults."""
    config: dict[str, Any] = json.loads(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    address = urlsplit(str(cluster["server"]))
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.check_hostname = False
    proxy = Proxy(folder / "kubeconfig.proxy")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with lock:
                proxy.seen.append((self.command, self.path))
                number = len(proxy.seen)
            if harm(number, "before"):
                self.close_connection = True
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in DROPPED}
            upstream = http.client.HTTPSConnection(
                address.hostname or "", address.port, context=context, timeout=60
            )
            try:
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
            except OSError:
                self.close_connection = True
                return
            finally:
                upstream.close()
            if harm(number, "after"):
                self.close_connection = True
                return
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                # Whoever asked was killed meanwhile.
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 (the server's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the server's name)
            """Say nothing."""

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that were killed."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    proxy.kubeconfig.write_text(json.dumps(config))
    proxy.kubeconfig.chmod(0o600)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
