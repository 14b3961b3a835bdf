"""Checks that each unit has a container, its own or a prepackaged server's with a model and an image."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import NO_CONTAINER, NO_MODEL_URI, SERVER_PROTOCOL, UNKNOWN_SERVER
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean, nearest
from graphc.profiles.profile import Installation
from graphc.seldon.deployment import PROTOCOLS, V2, Deployment, Predictor
from graphc.seldon.unit import SeldonUnit

SERVERS: Final[Mapping[str, frozenset[str]]] = {
    "SKLEARN_SERVER": frozenset({"seldon", "v2"}),
    "XGBOOST_SERVER": frozenset({"seldon", "v2"}),
    "MLFLOW_SERVER": frozenset({"seldon", "v2"}),
    "TENSORFLOW_SERVER": frozenset({"seldon", "tensorflow"}),
    "TRITON_SERVER": frozenset({"v2"}),
    "HUGGINGFACE_SERVER": frozenset({"v2"}),
    "TEMPO_SERVER": frozenset({"v2"}),
}
"""The servers that an installation has unless it was given more, with the protocols they have an image for."""

_SUFFIX: Final = "_SERVER"
_SERVER: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}")

_NEEDS_NO_MODEL: Final = frozenset({"HUGGINGFACE_SERVER"})
_OWN_IMAGE_IS_REPLACED: Final = frozenset({"TENSORFLOW_SERVER"})
_NEVER_TENSORFLOW: Final = frozenset(
    {"SKLEARN_SERVER", "XGBOOST_SERVER", "MLFLOW_SERVER", "HUGGINGFACE_SERVER"}
)


def check_servers(deployment: Deployment, installation: Installation, sink: Sink) -> None:
    """Report units without a container, and servers that cannot start."""
    for predictor in deployment.predictors:
        for unit in predictor.units:
            for problem in _unit(deployment, predictor, unit, installation.servers):
                sink.report(problem)


def _unit(
    deployment: Deployment, predictor: Predictor, unit: SeldonUnit, added: Collection[str]
) -> Iterator[Diagnostic]:
    if unit.needs_container and predictor.container(unit.name) is None:
        names = [container.name for _, container in predictor.containers()]
        hint = did_you_mean(unit.name, names) or "name a container of `componentSpecs` like the unit"
        yield Diagnostic(
            NO_CONTAINER, f"no container is called {quoted(unit.name)}", unit.node.at("name"), hint
        )
    elif unit.is_server:
        yield from _server(deployment, predictor, unit, added)


def _server(
    deployment: Deployment, predictor: Predictor, unit: SeldonUnit, added: Collection[str]
) -> Iterator[Diagnostic]:
    server, place = unit.implementation, unit.node.at("implementation")
    if not unit.model_uri and server not in _NEEDS_NO_MODEL:
        message = f"{quoted(unit.name)} is a prepackaged server without a `modelUri`"
        yield Diagnostic(NO_MODEL_URI, message, unit.node.at("name"))
    if server in added:
        return
    if server not in SERVERS:
        hint = _suggest(server, [*SERVERS, *added]) or (
            "where the cluster's Seldon configuration has it, say so in a profile, as in "
            f"`servers: [{server}]`"
            if _SERVER.fullmatch(server)
            else "name a server of the cluster's Seldon configuration"
        )
        yield Diagnostic(UNKNOWN_SERVER, f"{quoted(server)} is no server that Seldon brings", place, hint)
    elif not _speaks(deployment, predictor, unit):
        known = " and ".join(f"`{protocol}`" for protocol in sorted(SERVERS[server]))
        message = f"`{server}` does not speak the protocol `{deployment.protocol}`"
        yield Diagnostic(SERVER_PROTOCOL, message, place, f"it speaks {known}")


def _suggest(server: str, known: Iterable[str]) -> str | None:
    """Return the server that was meant; that all are called servers makes none alike."""
    found = nearest(server.removesuffix(_SUFFIX), [each.removesuffix(_SUFFIX) for each in known])
    return None if found is None else f"did you mean `{found}{_SUFFIX}`?"


def _speaks(deployment: Deployment, predictor: Predictor, unit: SeldonUnit) -> bool:
    protocol = "v2" if deployment.protocol in V2 else deployment.protocol
    if protocol in SERVERS[unit.implementation] or protocol not in PROTOCOLS:
        return True
    container = predictor.container(unit.name)
    has_image = container is not None and container.node.text("image") != ""
    if protocol == "tensorflow" and unit.implementation in _NEVER_TENSORFLOW:
        return False
    return has_image and unit.implementation not in _OWN_IMAGE_IS_REPLACED
