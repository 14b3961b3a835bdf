"""Emits the containers of servers beside the units that ask them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from graphc_components.servers import SERVERS

from graphc.ir.graph import Host, ServerWork, Value
from graphc.ir.plan import Unit
from graphc.server_start import KIND, ServerPorts, server_container, start_server
from graphc.targets.interface import Data
from graphc.targets.pods.parts import emit_resources, emit_variable, probe_start, restrict

_LOAD_SECONDS: Final = 300
"""Frameworks load large models: a server that does not say how long gets this before it is restarted."""
_PROBE_SECONDS: Final = 5
_GPU: Final = "nvidia.com/gpu"


def find_hosts(units: Iterable[Unit]) -> tuple[Host, ...]:
    """Return the servers that run beside some units, each once."""
    works = (node.work for unit in units for node in unit.region.nodes)
    hosts = {work.host.name: work.host for work in works if isinstance(work, ServerWork) and work.host}
    return tuple(hosts.values())


def folder_of(host: Host, root: str) -> str:
    """Return where a server finds what it serves."""
    return f"{root}/{server_container(host.name)}"


def emit_server(
    host: Host,
    models: Sequence[str],
    root: str,
    mounts: Sequence[Data],
    ending: Mapping[str, Value] | None,
    port: str,
) -> Data:
    """Return the container of a server; `models` are those that nodes ask it for, `ending` is the units' own hook.

    `port` is the name of its port.
    """
    started = start_server(host.kind, _ports(host), folder_of(host, root))
    is_own = bool(host.command or host.args)
    written: Data = {"name": server_container(host.name), "image": host.image}
    command = list[Value](host.command if is_own else started.command)
    if command:
        written["command"] = command
    if host.args:
        written["args"] = list[Value](host.args)
    written["ports"] = [{"name": port, "containerPort": host.port, "protocol": "TCP"}]
    named = {KIND: host.kind, **({} if is_own else started.env)}
    own = {each.name for each in host.env}
    variables: list[Value] = [
        {"name": name, "value": value} for name, value in named.items() if name not in own
    ]
    written["env"] = [*variables, *(emit_variable(each) for each in host.env)]
    resources = emit_resources(host.resources, (_GPU, host.gpus) if host.gpus else None)
    if resources:
        written["resources"] = resources
    written |= _probes(host, models)
    if ending is not None:
        # A unit still asks it while it finishes what it has begun.
        written["lifecycle"] = dict(ending)
    written["securityContext"] = restrict(writes_nothing=False)
    if mounts:
        written["volumeMounts"] = list[Value](mounts)
    return written


def _ports(host: Host) -> ServerPorts:
    """Return where a server listens: the front end leaves room for gRPC and metrics after the port for HTTP."""
    return ServerPorts(host.port, host.port + 1, host.port + 2)


def models_of(host: Host, units: Iterable[Unit]) -> Iterator[str]:
    """Yield the models that nodes ask a server for."""
    for unit in units:
        for node in unit.region.nodes:
            if isinstance(node.work, ServerWork) and node.work.host == host:
                yield node.work.model


def _probes(host: Host, models: Sequence[str]) -> Data:
    """Return probes by HTTP: the pod is ready once its servers are, so that no unit asks one that loads."""
    path = SERVERS[host.kind].ready.replace("{model}", models[0] if models else "")
    get: Data = {"path": path, "port": host.port}
    return {
        "startupProbe": probe_start(get, host.load_seconds or _LOAD_SECONDS),
        "readinessProbe": {"httpGet": get, "periodSeconds": _PROBE_SECONDS},
    }
