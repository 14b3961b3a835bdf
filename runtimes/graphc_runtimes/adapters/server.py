"""Runs nodes that ask other servers."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from graphc_components.datatypes import Array
from graphc_components.servers import SERVERS

from graphc_runtimes.errors import LoadError, ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import ServerNode
from graphc_runtimes.servers.connection import USUAL_S, Connection
from graphc_runtimes.servers.dialect import Answer, AnswerError, Call, describe_node
from graphc_runtimes.servers.find import find_dialect

_AT_ONCE: Final = 8
"""As many of the calls that one request takes are under way at once."""


def load_server(node: ServerNode) -> Runner:
    """Return the runner of a node that asks a server; raises LoadError."""
    dialect = find_dialect(node.server, describe_node(node))
    title = SERVERS[node.server].title
    allowed_s = node.timeout_ms / 1000 if node.timeout_ms is not None else USUAL_S
    connection = Connection(node, _find_token(node), allowed_s)
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
            said = f"({title}) {error}"
            raise ServerFaultError(said, said) from None

    return run


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
