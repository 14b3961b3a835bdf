"""Emits the containers of servers beside the units that ask them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from graphc_components.servers import SERVERS

from graphc.ir.graph import Host, ServerWork, Value, Variable, server_container
from graphc.ir.plan import Unit
from graphc.server_start import start_server
from graphc.targets.model import Data

KIND: Final = "GRAPHC_SERVER"
"""The variable of such a container that says what kind of server it is."""

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
    host: Host, models: Sequence[str], root: str, mounts: Sequence[Data], ending: Mapping[str, Value] | None
) -> Data:
    """Return the container of a server; `models` are those that nodes ask it for, `ending` is the units' own hook."""
    started = start_server(host.kind, host.port, folder_of(host, root))
    is_own = bool(host.command or host.args)
    written: Data = {"name": server_container(host.name), "image": host.image}
    command = list[Value](host.command if is_own else started.command)
    if command:
        written["command"] = command
    if host.args:
        written["args"] = list[Value](host.args)
    written["ports"] = [{"name": "http", "containerPort": host.port, "protocol": "TCP"}]
    named = {KIND: host.kind, **({} if is_own else started.env)}
    own = {each.name for each in host.env}
    variables: list[Value] = [
        {"name": name, "value": value} for name, value in named.items() if name not in own
    ]
    written["env"] = [*variables, *(emit_variable(each) for each in host.env)]
    resources = _resources(host)
    if resources:
        written["resources"] = resources
    written |= _probes(host, models)
    if ending is not None:
        # A unit still asks it while it finishes what it has begun.
        written["lifecycle"] = dict(ending)
    written["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if mounts:
        written["volumeMounts"] = list[Value](mounts)
    return written


def emit_variable(variable: Variable) -> Data:
    """Return an environment variable: a text, or one key of a Secret."""
    if variable.value is not None:
        return {"name": variable.name, "value": variable.value}
    return {
        "name": variable.name,
        "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
    }


def models_of(host: Host, units: Iterable[Unit]) -> Iterator[str]:
    """Yield the models that nodes ask a server for."""
    for unit in units:
        for node in unit.region.nodes:
            if isinstance(node.work, ServerWork) and node.work.host == host:
                yield node.work.model


def _resources(host: Host) -> Data:
    requests: Data = {}
    limits: Data = {}
    if host.resources is not None and host.resources.cpu is not None:
        requests["cpu"] = host.resources.cpu
    if host.resources is not None and host.resources.memory is not None:
        requests["memory"] = limits["memory"] = host.resources.memory
    if host.gpus:
        requests[_GPU] = limits[_GPU] = host.gpus
    return {name: each for name, each in (("requests", requests), ("limits", limits)) if each}


def _probes(host: Host, models: Sequence[str]) -> Data:
    """Return probes by HTTP: the pod is ready once its servers are, so that no unit asks one that loads."""
    path = SERVERS[host.kind].ready.replace("{model}", models[0] if models else "")
    get: Data = {"path": path, "port": host.port}
    return {
        "startupProbe": {
            "httpGet": get,
            "periodSeconds": _PROBE_SECONDS,
            "failureThreshold": math.ceil((host.load_seconds or _LOAD_SECONDS) / _PROBE_SECONDS),
        },
        "readinessProbe": {"httpGet": get, "periodSeconds": _PROBE_SECONDS},
    }
