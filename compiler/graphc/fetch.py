"""Asks a server for one document and waits for it: for what is asked now and then, such as a report or a metric."""

import base64
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from urllib.parse import unquote, urlsplit

from graphc.client.printing import shorten
from graphc.within import within


@dataclass(frozen=True, slots=True)
class Fetched:
    """A server's answer, which may be a refusal."""

    status: int
    body: bytes


class FetchError(Exception):
    """There is no answer; the message reads on after the server's name."""


def fetch(url: str, *, seconds: float, most_bytes: int) -> Fetched:
    """Return the answer to a GET, of any status; raises FetchError.

    The limit holds for all of it, because a server may send one byte at a time. A redirection is an answer too: it is
    not followed.
    """
    try:
        found = within(seconds, lambda: _ask(url, seconds, most_bytes + 1))
    except TimeoutError as error:
        raise FetchError(f"does not answer within {seconds:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"cannot be reached: {shorten(str(reason))}") from error
    if len(found.body) > most_bytes:
        raise FetchError(f"answers with more than {most_bytes >> 20} MiB")
    return found


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Lets every answer through, where urllib would follow or raise it."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:  # noqa: ARG002
        return response

    https_response = http_response


def _ask(url: str, seconds: float, most_bytes: int) -> Fetched:
    opener = urllib.request.build_opener(_AnyStatus)
    with opener.open(_request(url), timeout=seconds) as response:
        return Fetched(response.status, response.read(most_bytes))


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.username is None:
        return urllib.request.Request(url)
    # urllib would look for a host of the name `user:password@host`.
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urllib.request.Request(bare.geturl(), headers=headers)
