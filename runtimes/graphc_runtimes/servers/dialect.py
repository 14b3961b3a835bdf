"""What a dialect is: arrays to calls over HTTP, and answers to arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from graphc_components.datatypes import Array

from graphc_runtimes.region import Declared, ServerNode

JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: a path behind the server's URL, and a body. Without a body it is a GET."""

    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; headers by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AnswerError(Exception):
    """A server's answer is not one of its protocol, or not what the node declares.

    The message reads on after "its server". `logged` stands for it in a log, where it has the server's own words.
    """

    def __init__(self, message: str, logged: str | None = None) -> None:
        super().__init__(message)
        self.logged = message if logged is None else logged


class Dialect(Protocol):
    """How a kind of server is asked for one model."""

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        """Return the calls for some inputs; each is answered before `read`. Raises ArrayError."""
        ...

    def read(self, answers: Sequence[Answer], inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Return the outputs that answers of 200 hold, in the order of the calls; raises AnswerError, ArrayError."""
        ...


@runtime_checkable
class StreamingDialect(Dialect, Protocol):
    """How a kind of server is asked for an answer in parts."""

    def ask_parts(self, inputs: Mapping[str, Array]) -> Call:
        """Return the one call for some inputs; raises ArrayError, and RequestError for what has no parts."""
        ...

    def read_parts(
        self, events: Iterator[bytes], inputs: Mapping[str, Array], /
    ) -> Iterator[Mapping[str, Array]]:
        """Yield the outputs part by part, each as it has come, at least one; raises AnswerError.

        It takes server-sent events, and takes one only when it is asked for what follows.
        """
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a dialect is made of: the model, and the outputs that the node declares."""

    node: str
    model: str
    version: str | None
    parameters: Mapping[str, object]
    outputs: Mapping[str, Declared]

    def text(self, name: str) -> str | None:
        """Return a parameter that is a text."""
        value = self.parameters.get(name)
        return value if isinstance(value, str) else None


def describe_node(node: ServerNode) -> Asked:
    """Return what a node asks its server for."""
    return Asked(node.name, node.model, node.version, node.parameters, node.declares)
