"""A web server that takes files by PUT and tells their sizes by HEAD."""

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from graphc.push.problem import PushError
from graphc.push.stores import Checked
from graphc.targets.storing import Upload

AUTHORIZATION: Final = "GRAPHC_PUSH_AUTHORIZATION"
"""The variable whose value is sent as the header `Authorization`: a command line is for everyone to see."""

_TIMEOUT_S: Final = 60
_MOST_BODY: Final = 1 << 16


class WebStore:
    """One URL of a web server."""

    def __init__(self, uri: str, environ: Mapping[str, str] = os.environ) -> None:
        self._uri, self._parts = uri, urlsplit(uri)
        authorization = environ.get(AUTHORIZATION)
        self._headers = {"Authorization": authorization} if authorization else {}

    def has(self, upload: Upload) -> bool:
        """Ask for the file's size, which tells what was cut off; the name tells the rest."""
        with _Connection(self._parts) as connection:
            connection.request("HEAD", _path(self._parts), headers=self._headers)
            response = connection.getresponse()
            response.read()
            if response.status in {404, 410}:
                return False
            _check(response, 200)
            return response.headers.get("Content-Length") == str(upload.size)

    def put(self, upload: Upload) -> None:
        """Send the file in a request of known length, as it is read."""
        with _Connection(self._parts) as connection:
            connection.putrequest("PUT", _path(self._parts))
            headers = {"Content-Length": str(upload.size), "Content-Type": "application/octet-stream"}
            for name, value in (headers | self._headers).items():
                connection.putheader(name, value)
            connection.endheaders()
            checked = Checked(_Body(connection), upload)
            try:
                upload.write(checked)
                checked.finish()
            except (BrokenPipeError, ConnectionResetError):
                # A server that refuses may answer before it has read all.
                with suppress(OSError, HTTPException):
                    _check(connection.getresponse(), 200, 201, 204)
                raise
            _check(connection.getresponse(), 200, 201, 204)


class _Body:
    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def write(self, data: bytes, /) -> None:
        self._connection.send(data)


class _Connection:
    """A connection for one request."""

    def __init__(self, parts: SplitResult) -> None:
        host, port = parts.hostname or "", parts.port
        self._connection = (
            HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=_TIMEOUT_S)
        )

    def __enter__(self) -> HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _path(parts: SplitResult) -> str:
    return parts.path or "/"


def _check(response: HTTPResponse, *wanted: int) -> None:
    response.read(_MOST_BODY)
    if response.status in wanted:
        return
    if response.status in {401, 403}:
        raise PushError(
            f"the server answers {response.status}: what `{AUTHORIZATION}` holds does not let us in"
        )
    if 300 <= response.status < 400:
        raise PushError(f"the server sends us elsewhere ({response.status}): name that place in `artifacts:`")
    raise PushError(f"the server answers {response.status} {response.reason}".rstrip())
