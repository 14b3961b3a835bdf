"""What carries a call to a server and its answer back, and what keeps it from doing so."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from graphc_runtimes.errors import LoadError
from graphc_runtimes.servers.dialect import Answer

CONNECT_S: Final = 5.0
"""A connection is made in as many seconds, or not at all."""
KEPT: Final = 64
"""Connections that are kept for later calls; more are made where more calls go at once."""

REFUSED: Final = "refuses connections"
UNREACHED: Final = "cannot be reached in time"
UNNAMED: Final = "has a name that cannot be resolved"
LATE: Final = "gave no answer in time"
UNFINISHED: Final = "did not finish its answer in time"
CUT: Final = "closed the connection before its answer was whole"
UNTRUSTED: Final = "has no certificate that is trusted here"
CODED: Final = "answered in an encoding that was not asked for"
NO_HTTP: Final = "answered with something that is not HTTP"


def find_trust(variable: str | None) -> ssl.SSLContext:
    """Return what certificates are checked by: a variable's own, or this machine's; raises LoadError."""
    if variable is None:
        return ssl.create_default_context()
    text = os.environ.get(variable, "").strip()
    if not text:
        raise LoadError(
            f"the variable `{variable}`, which holds the certificates that its server is trusted by, is not set"
        )
    try:
        # What names a certificate, beside it, may be in any letters; OpenSSL takes ASCII alone.
        return ssl.create_default_context(cadata=text.encode("ascii", "replace").decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise LoadError(f"the variable `{variable}` holds no certificates as PEM") from None


class TransportError(Exception):
    """A call has no whole answer; the message reads on after "its server", and never tells the address."""


def too_long(most: int) -> TransportError:
    """Return the error of an answer of more bytes than are read."""
    return TransportError(f"answered with more than {most} bytes")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server's answer may take: seconds in all, bytes of its body, and bytes of its head."""

    seconds: float
    body: int
    head: int


class Transport(Protocol):
    """Carries calls to one server, from any thread."""

    def exchange(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a POST of a body, or to a GET; raises TransportError."""
        ...
