"""A server with the certificate of a test's API server, for what that server calls itself."""

import http.server
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers without a word in the log."""

    def answer(self, kind: str, body: bytes) -> None:
        """Send a body of a content type."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the server's name)
        """Say nothing."""


@contextmanager
def serving_tls(kubeconfig: Path, handler: type[Answering]) -> Generator[int]:
    """Serve with the certificate beside a kubeconfig; yield the port on 127.0.0.1."""
    folder = kubeconfig.parent / "certificates"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "apiserver.crt", folder / "apiserver.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
