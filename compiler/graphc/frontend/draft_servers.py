"""Makes the draft nodes of servers: what a file declares of a server is its signature."""

from collections.abc import Iterator
from typing import Final

from graphc_components.parameters import check_parameters
from graphc_components.servers import SERVERS, ServerKind
from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.signature import ArtefactTensor, Signature
from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.fields import BAD_PARAMETER
from graphc.diagnostics.codes.servers import (
    DATATYPE_NOT_CARRIED,
    OPEN_TOKEN,
    UNNAMED_INPUT,
    USELESS_VERSION,
)
from graphc.frontend.draft import DraftNode, DraftUse
from graphc.spec.model import Server
from graphc.spec.read import GraphSpec

_ONE_INPUT: Final = {"openai": "text"}
"""The name of the input of those servers that have one, whatever the model."""


def draft_server(
    spec: GraphSpec, name: str, server: Server, uses: tuple[DraftUse, ...], sink: Sink
) -> DraftNode:
    """Make the draft of a node that asks a server, and report what that kind of server does not have."""
    drafting = _Drafting(spec, name, server, sink)
    drafting.check()
    own = _ONE_INPUT.get(server.server)
    if own is not None:
        uses = tuple(DraftUse(own if _is_unnamed(use) else use.port, use.reference, use.at) for use in uses)
    else:
        drafting.check_named(uses)
    return DraftNode(
        name,
        server,
        spec.at("nodes", name, key=True),
        uses,
        tuple(server.out),
        signature=_signature(server, own),
        parameters=drafting.parameters(),
    )


def token_variable(name: str) -> str:
    """Return the variable of a unit that holds the token of a node."""
    return f"GRAPHC_TOKEN_{name.upper().replace('-', '_')}"


def _is_unnamed(use: DraftUse) -> bool:
    return use.port == "" or use.port.isdecimal()


def _signature(server: Server, own: str | None) -> Signature | None:
    """Return what a server takes and gives, as far as the file declares it; None where it declares no inputs."""
    declared = server.inputs or ({own: "BYTES[batch]"} if own is not None else {})
    if not declared:
        return None
    return Signature(tuple(_tensors(declared)), tuple(_tensors(server.out)))


def _tensors(declared: dict[str, str]) -> Iterator[ArtefactTensor]:
    for name, text in declared.items():
        type_ = parse_tensor_type(text)
        yield ArtefactTensor(name, type_.datatype, type_.shape)


class _Drafting:
    """The drafting of one node."""

    def __init__(self, spec: GraphSpec, name: str, server: Server, sink: Sink) -> None:
        self.spec, self.name, self.server, self.sink = spec, name, server, sink
        self.kind = SERVERS[server.server]

    def _report(
        self, rule: Rule, message: str, *path: str, hint: str | None = None, key: bool = False
    ) -> None:
        at = self.spec.at("nodes", self.name, *path, key=key)
        self.sink.report(Diagnostic(rule, f"`{self.name}` {message}", at, hint))

    def check(self) -> None:
        """Report what this kind of server cannot be asked."""
        server, kind = self.server, self.kind
        if server.version is not None and not kind.has_versions:
            message = f"asks for a version, and a client of {kind.title} cannot"
            self._report(USELESS_VERSION, message, "version", hint="leave `version` out")
        if server.token is not None and server.url.startswith("http://"):
            message = "sends its token over plain HTTP, where all on the way can read it"
            self._report(OPEN_TOKEN, message, "url", hint="use https://, unless a mesh encrypts it")
        for field, known, declared in (
            ("inputs", kind.takes, server.inputs),
            ("out", kind.gives, server.out),
        ):
            for port, text in declared.items():
                self._check_datatype(field, port, parse_tensor_type(text), known)

    def _check_datatype(self, field: str, port: str, type_: TensorType, known: frozenset[str]) -> None:
        if type_.datatype not in known:
            verb = "takes" if field == "inputs" else "gives"
            message = f"{verb} `{port}` as `{type_}`, and {say_carried(self.kind, known)}"
            self._report(DATATYPE_NOT_CARRIED, message, field, port)

    def check_named(self, uses: tuple[DraftUse, ...]) -> None:
        """Report inputs without a name, unless the file declares the server's inputs in an order."""
        if any(_is_unnamed(use) for use in uses) and not self.server.inputs:
            message = "feeds its server a tensor without the name that the server has for it"
            self._report(UNNAMED_INPUT, message, "in", hint="name it, as in `in: {INPUT0: x}`")

    def parameters(self) -> dict[str, object]:
        """Return the parameters of the server with their defaults; report those that it does not have."""
        values, problems = check_parameters(self.kind, self.server.parameters)
        for problem in problems:
            known = problem.name in self.server.parameters
            is_name = problem.name not in {each.name for each in self.kind.parameters}
            path = ("parameters", problem.name) if known else ("server",)
            hint = f"did you mean `{problem.nearest}`?" if problem.nearest else None
            at = self.spec.at("nodes", self.name, *path, key=known and is_name)
            self.sink.report(Diagnostic(BAD_PARAMETER, f"`{self.name}`: {problem.message}", at, hint))
        return dict(values)


def say_carried(kind: ServerKind, known: frozenset[str]) -> str:
    """Say which datatypes a kind of server carries."""
    listed = ", ".join(sorted(known))
    return f"{kind.title} carries {listed}"
