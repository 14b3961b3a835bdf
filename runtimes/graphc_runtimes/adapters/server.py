"""Runs nodes that ask other servers."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from graphc_components.datatypes import Array
from graphc_components.servers import SERVERS, STREAM

from graphc_runtimes.deadline import Limit
from graphc_runtimes.errors import LoadError, ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ServerNode
from graphc_runtimes.servers.connection import USUAL_S, Connection, StreamingConnection
from graphc_runtimes.servers.dialect import Answer, AnswerError, Call, StreamingDialect, describe_node
from graphc_runtimes.servers.events import read_events
from graphc_runtimes.servers.find import find_dialect
from graphc_runtimes.servers.streamed_http import Stop

_AT_ONCE: Final = 8
"""As many of the calls that one request takes are under way at once."""
_MOST_EVENT: Final = 2**20
"""The bytes that an event of a server's stream may have."""


def load_server(node: ServerNode) -> Runner:
    """Return the runner of a node that asks a server; raises LoadError."""
    dialect = find_dialect(node.server, describe_node(node))
    title = SERVERS[node.server].title
    allowed_s = node.timeout_ms / 1000 if node.timeout_ms is not None else USUAL_S
    find_token = _find_token(node)
    connection = Connection(node, find_token, allowed_s)
    # Threads are made when they are needed: most servers are asked once a request.
    helpers = ThreadPoolExecutor(_AT_ONCE, f"graphc-{node.name}")

    def send(calls: Sequence[Call]) -> Sequence[Answer]:
        if len(calls) == 1:
            return [connection.send(calls[0])]
        return list(helpers.map(connection.send, calls))

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        try:
            return dialect.read(send(dialect.ask(inputs)), inputs)
        except AnswerError as error:
            raise _tell(title, error) from None

    if node.parameters.get(STREAM) is not True or not isinstance(dialect, StreamingDialect):
        return run
    return StreamingServer(run, dialect, StreamingConnection(node, find_token, allowed_s), title)


class StreamingServer:
    """Asks a server for an answer, or for its parts as they come."""

    def __init__(
        self, run: Runner, dialect: StreamingDialect, connection: StreamingConnection, title: str
    ) -> None:
        self._run, self._dialect, self._connection, self._title = run, dialect, connection, title

    def __call__(self, inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Return the whole answer."""
        return self._run(inputs)

    def stream(
        self, inputs: Mapping[str, Array], stop: Stop, deadline: Limit | None = None
    ) -> Iterator[Mapping[str, Array]]:
        """Yield the answer part by part; raises ServerFaultError, and ArrayError and RequestError at first."""
        longest_s = self._connection.longest_s
        if deadline is not None:
            longest_s = min(longest_s, max(deadline.left_s, 0))
        call = self._dialect.ask_parts(inputs)
        try:
            with self._connection.open(call, stop, time.monotonic() + longest_s) as pieces:
                yield from self._dialect.read_parts(read_events(pieces, _MOST_EVENT), inputs)
        except AnswerError as error:
            raise _tell(self._title, error) from None


def _tell(title: str, error: AnswerError) -> ServerFaultError:
    return ServerFaultError(f"({title}) {error}", f"({title}) {error.logged}")


def _find_token(node: ServerNode) -> Callable[[], str | None]:
    """Return what gives the token; raises LoadError where the unit was given none."""
    name = node.token
    if name is None:
        return lambda: None
    token = (os.environ.get(name) or "").strip()
    if not token:
        raise LoadError(f"the variable `{name}`, which holds the token for its server, is not set")
    if not (token.isascii() and token.isprintable()):
        raise LoadError(f"the variable `{name}` holds something that no token of HTTP can be")
    return lambda: token
