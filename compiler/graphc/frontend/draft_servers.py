"""Makes the drafts of servers and of nodes that ask them: what a file declares of a server is its signature."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from graphc_components.servers import SERVERS, ServerKind, token_variable, trust_variable
from graphc_components.tensors import TensorType, parse_tensor_type

from graphc.artefacts.read_signature import ArtefactTensor, Signature
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics import Diagnostic, Rule, Sink
from graphc.diagnostics.codes.artefacts import UNKNOWN_SCHEME
from graphc.diagnostics.codes.fields import BAD_PARAMETER
from graphc.diagnostics.codes.servers import (
    DATATYPE_NOT_CARRIED,
    MANY_TENSORS,
    NO_MODELS,
    OPEN_TOKEN,
    PORT_TAKEN,
    SERVER_TWICE,
    UNKNOWN_SERVER,
    UNNAMED_INPUT,
    USELESS_VERSION,
)
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean, nearest
from graphc.frontend.check_saved import check_saved, read_saved
from graphc.frontend.check_served import check_served, read_served
from graphc.frontend.check_settings import check_settings, read_described
from graphc.frontend.draft import DraftNode, DraftServer, DraftUse
from graphc.frontend.parameters import read_parameters
from graphc.frontend.variables import variables_of
from graphc.ir.graph import Host, Resources, Variable
from graphc.server_start import NEEDS_MODELS, TAKES_PORT
from graphc.source.located import Fields
from graphc.spec.fields import CertificateKey, DeclaredServer, InferenceGraph, SecretKey, Server
from graphc.spec.read_spec import GraphSpec

_ONE_INPUT: Final = {"openai": "text"}
"""The name of the input of those servers that have one, whatever the model."""

# Below the ports of units, and between those that servers are known by.
_FIRST_PORT: Final = 11_000
_SLOTS: Final = 1000
_STEP: Final = 3
"""Ports for HTTP, gRPC and metrics."""
_OF_UNITS: Final = (5001, 8000)
"""The ports of a unit that clients call, which shares the pod."""


# --- Servers -----------------------------------------------------------------------------------------


def draft_servers(spec: GraphSpec, folder: Path, sink: Sink) -> Mapping[str, DraftServer]:
    """Return the servers that a file declares, by name; report what is wrong with them."""
    found: dict[str, DraftServer] = {}
    taken: dict[int, str] = dict.fromkeys(_OF_UNITS, "")
    for name, declared in sorted(
        spec.fields.servers.items(), key=lambda each: (each[1].port is None, each[0])
    ):
        token = _token(declared.token, name)
        if declared.url is not None:
            _check_token(spec, declared.url, declared.token, ("servers", name, "url"), f"`{name}`", sink)
            trust = _trust(declared.ca, name)
            found[name] = DraftServer(name, declared.kind, declared.url, token, trust=trust)
        else:
            host = _draft_host(spec, name, declared, folder, taken, sink)
            settings, saved = read_described(host, sink), read_saved(host, sink)
            is_read = declared.kind == "triton" and host.files and not (host.command or host.args)
            served = read_served(spec, name, host.files, sink) if is_read else None
            url = f"http://127.0.0.1:{host.port}"
            found[name] = DraftServer(name, declared.kind, url, token, host, served, settings, saved)
    return found


def _draft_host(
    spec: GraphSpec, name: str, declared: DeclaredServer, folder: Path, taken: dict[int, str], sink: Sink
) -> Host:
    says = any(spec.says("servers", name, field) for field in ("models", "command", "args"))
    if declared.kind in NEEDS_MODELS and not says and not _has_strange_fields(spec, name):
        message = f"`{name}` is a server of {SERVERS[declared.kind].title}, and nothing says what it serves"
        hint = "name a folder in `models`, or what it is started with in `args`"
        sink.report(Diagnostic(NO_MODELS, message, spec.at("servers", name, key=True), hint))
    port = _choose_port(spec, name, declared, taken, sink)
    resources = declared.resources
    return Host(
        name,
        declared.kind,
        declared.image or "",
        tuple(declared.command),
        tuple(declared.args),
        port,
        variables_of(declared.env),
        None if resources is None else Resources(resources.cpu, resources.memory),
        (resources.gpu or 0) if resources is not None else 0,
        declared.load_seconds,
        declared.models,
        tuple(_find_models(spec, name, declared, folder, sink)),
        spec.at("servers", name, key=True),
    )


def _has_strange_fields(spec: GraphSpec, name: str) -> bool:
    """Say whether a server has fields that are none, which is reported: one may be meant to say what it serves."""
    servers = spec.root.find("servers")
    entry = servers.value.find(name) if servers and isinstance(servers.value, Fields) else None
    fields = entry.value.entries if entry and isinstance(entry.value, Fields) else ()
    return any(each.key not in DeclaredServer.spec_fields for each in fields)


def _choose_port(
    spec: GraphSpec, name: str, declared: DeclaredServer, taken: dict[int, str], sink: Sink
) -> int:
    """Return where a server listens: as the file says, where its image does, or a port by its name alone."""
    is_told = declared.kind in TAKES_PORT and not (declared.command or declared.args)
    if declared.port is None and is_told:
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % _SLOTS
        ports = (_FIRST_PORT + _STEP * ((first + again) % _SLOTS) for again in range(_SLOTS))
        port = next(each for each in ports if each not in taken)
    else:
        port = declared.port or SERVERS[declared.kind].port
    if port in taken:
        other = f"the server `{taken[port]}` does, too" if taken[port] else "the graph's own unit does, too"
        hint = "name another one in `port`, and have the server listen there"
        message = f"`{name}` listens on port {port}, and {other}"
        field = ("port",) if declared.port is not None else ()
        sink.report(Diagnostic(PORT_TAKEN, message, spec.at("servers", name, *field, key=not field), hint))
    taken[port] = name
    return port


def _find_models(
    spec: GraphSpec, name: str, declared: DeclaredServer, folder: Path, sink: Sink
) -> Iterator[tuple[str, Path]]:
    """Yield the files of a local folder of models, by their paths below it."""
    models = declared.models
    if models is None or models.startswith("pvc://"):
        return
    at = spec.at("servers", name, "models")
    if "://" in models:
        message = f"`{models}` is no folder that a server's container can have"
        sink.report(
            Diagnostic(UNKNOWN_SCHEME, message, at, "name a folder beside the graph file, or pvc://CLAIM")
        )
        return
    # Most graphs have no servers of their own.
    from graphc.artefacts.data_files import find_files

    found = find_files(folder, models)
    if isinstance(found, ArtefactFault):
        sink.report(Diagnostic(found.rule, f"`{name}`: {found.message}", at, found.help))
        return
    root = models.rstrip("/")
    for file in found:
        yield file.removeprefix(f"{root}/"), folder / file


def _token(token: SecretKey | None, name: str) -> Variable | None:
    if token is None:
        return None
    return Variable(token_variable(name), None, token.secret, token.key)


def _trust(ca: CertificateKey | None, name: str) -> Variable | None:
    if ca is None:
        return None
    return Variable(trust_variable(name), None, ca.place[0], ca.key, is_secret=ca.secret is not None)


def _check_token(
    spec: GraphSpec, url: str, token: SecretKey | None, path: tuple[str, ...], who: str, sink: Sink
) -> None:
    if token is not None and url.startswith("http://"):
        message = f"{who} is sent its token over plain HTTP, where all on the way can read it"
        hint = "use https://, unless a mesh encrypts it"
        sink.report(Diagnostic(OPEN_TOKEN, message, spec.at(*path), hint))


# --- Nodes -------------------------------------------------------------------------------------------


def draft_server_node(
    spec: GraphSpec,
    name: str,
    server: Server,
    uses: tuple[DraftUse, ...],
    servers: Mapping[str, DraftServer],
    sink: Sink,
) -> DraftNode:
    """Make the draft of a node that asks a server, and report what that kind of server does not have."""
    at = spec.at("nodes", name, key=True)
    drafting = _Drafting(spec, name, server, sink)
    asked = drafting.find(servers)
    if asked is None:
        return DraftNode(name, server, at, uses, tuple(server.out))
    kind = SERVERS[asked.kind]
    drafting.check(kind, uses)
    own = _ONE_INPUT.get(asked.kind)
    if own is not None:
        uses = tuple(DraftUse(own if use.is_unnamed else use.port, use.reference, use.at) for use in uses)
    else:
        drafting.check_named(uses)
    check_settings(spec, name, server, uses, asked, sink)
    check_saved(spec, name, server, uses, asked, sink)
    if asked.served is not None:
        check_served(spec, name, server, uses, asked.served, sink)
    parameters, problems = read_parameters(spec, name, "server", kind, server.parameters, BAD_PARAMETER)
    for problem in problems:
        sink.report(problem)
    return DraftNode(
        name,
        server,
        at,
        uses,
        tuple(server.out),
        signature=_signature(server, own),
        server=asked,
        parameters=parameters,
    )


def _is_broken(spec: GraphSpec, name: str) -> bool:
    """Say whether a server is there that could not be read; or all of them, as `servers` is misspelt or no mapping."""
    entry = spec.root.find("servers")
    if entry is None:
        strange = (each.key for each in spec.root.entries if each.key not in InferenceGraph.spec_fields)
        return any(nearest(key, ["servers"]) for key in strange)
    return not isinstance(entry.value, Fields) or spec.says("servers", name)


def _signature(server: Server, own: str | None) -> Signature | None:
    """Return what a server takes and gives, as far as the file declares it; None where it declares no inputs."""
    declared = server.inputs or ({own: "BYTES[batch]"} if own is not None else {})
    if not declared:
        return None
    return Signature(tuple(_tensors(declared)), tuple(_tensors(server.out)))


def _tensors(declared: Mapping[str, str]) -> Iterator[ArtefactTensor]:
    for name, text in declared.items():
        type_ = parse_tensor_type(text)
        yield ArtefactTensor(name, type_.datatype, type_.shape)


class _Drafting:
    """The drafting of one node."""

    def __init__(self, spec: GraphSpec, name: str, server: Server, sink: Sink) -> None:
        self.spec, self.name, self.server, self.sink = spec, name, server, sink

    def _report(
        self, rule: Rule, message: str, *path: str, hint: str | None = None, key: bool = False
    ) -> None:
        at = self.spec.at("nodes", self.name, *path, key=key)
        self.sink.report(Diagnostic(rule, f"`{self.name}` {message}", at, hint))

    def find(self, servers: Mapping[str, DraftServer]) -> DraftServer | None:
        """Return the server that the node asks; None, with the reason reported, where there is none."""
        called, url = self.server.server, self.server.url
        declared = servers.get(called)
        token = _token(self.server.token, self.name)
        if declared is not None:
            if url is not None or token is not None:
                field = "url" if url is not None else "token"
                message = f"says where `{called}` is, and `servers` does"
                self._report(SERVER_TWICE, message, field, key=True, hint=f"leave `{field}` out")
            return declared
        if _is_broken(self.spec, called):
            # It could not be read, which is reported.
            return None
        if called in SERVERS and url is not None:
            path = ("nodes", self.name, "url")
            _check_token(self.spec, url, self.server.token, path, f"the server of `{self.name}`", self.sink)
            return DraftServer(self.name, called, url, token)
        if called in SERVERS:
            message = f"asks {SERVERS[called].title}, and nothing says where that is"
            hint = "give it a `url`, or declare the server in `servers:`"
            self._report(UNKNOWN_SERVER, message, "server", hint=hint)
            return None
        known = [*servers, *SERVERS]
        listed = ", ".join(f"`{each}`" for each in known)
        message = f"asks the server {quoted(called)}, which there is not"
        self._report(
            UNKNOWN_SERVER, message, "server", hint=did_you_mean(called, known) or f"there are {listed}"
        )
        return None

    def check(self, kind: ServerKind, uses: tuple[DraftUse, ...]) -> None:
        """Report what this kind of server cannot be asked."""
        server = self.server
        if server.version is not None and not kind.has_versions:
            message = f"asks for a version, and a client of {kind.title} cannot"
            self._report(USELESS_VERSION, message, "version", hint="leave `version` out")
        joins = kind.joins is not None and server.parameters.get(kind.joins[0]) == kind.joins[1]
        if kind.is_single and len(uses) > 1 and not joins:
            self._report(
                MANY_TENSORS, f"feeds {len(uses)} tensors, and {kind.title} takes one", "in", key=True
            )
        if kind.is_single and len(server.out) > 1:
            self._report(
                MANY_TENSORS, f"has {len(server.out)} outputs, and {kind.title} gives one", "out", key=True
            )
        declared = (("inputs", kind.takes, server.inputs), ("out", kind.gives, server.out))
        for field, known, types in declared:
            for port, text in types.items():
                self._check_datatype(kind, field, port, parse_tensor_type(text), known)

    def _check_datatype(
        self, kind: ServerKind, field: str, port: str, type_: TensorType, known: frozenset[str]
    ) -> None:
        if type_.datatype not in known:
            verb = "feeds" if field == "inputs" else "gives"
            message = f"{verb} `{port}` as `{type_}`, and {say_carried(kind, known)}"
            self._report(DATATYPE_NOT_CARRIED, message, field, port)

    def check_named(self, uses: tuple[DraftUse, ...]) -> None:
        """Report inputs without a name, unless the file declares the server's inputs in an order."""
        if any(use.is_unnamed for use in uses) and not self.server.inputs:
            message = "feeds its server a tensor without the name that the server has for it"
            self._report(UNNAMED_INPUT, message, "in", hint="name it, as in `in: {INPUT0: x}`")


def say_carried(kind: ServerKind, known: frozenset[str]) -> str:
    """Say which datatypes a kind of server carries."""
    return f"{kind.title} carries {', '.join(sorted(known))}"
