"""The environment of a unit's container: what the manifest says, then what the operator adds."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphc.diagnostics.printable import quoted
from graphc.run.config_map import ConfigMap
from graphc.run.problem import Findings
from graphc.run.servers import MODELS, SERVERS
from graphc.seldon.deployment import Container, Deployment, Predictor
from graphc.seldon.node import ManifestNode
from graphc.seldon.unit import SeldonUnit

METRICS_ENDPOINT: Final = "/prometheus"

PORT_VARIABLES: Final = frozenset(
    {
        "MLSERVER_HTTP_PORT",
        "MLSERVER_GRPC_PORT",
        "MLSERVER_METRICS_PORT",
        "PREDICTIVE_UNIT_SERVICE_PORT",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
    }
)
"""Where a unit listens: always where the engine calls it, even if the manifest says otherwise."""

_LONGEST: Final = (128 << 10) - 1
"""Bytes of one argument or variable that Linux takes; the environment grows at every `$(NAME)`."""

_LONGEST_OF_ALL: Final = 6 << 20
"""Bytes of all of them, where the stack has no limit that they have a part of."""

_SPARED: Final = 16 << 10

_VARIABLE_NAME: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one unit listens."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an environment may refer to: config maps, and the user's own environment in place of secrets."""

    namespace: str
    config_maps: Mapping[str, ConfigMap]
    exported: Mapping[str, str]


def operator_environment(
    deployment: Deployment, predictor: Predictor, unit: SeldonUnit, image: str, ports: Ports
) -> dict[str, str]:
    """Return what the operator adds to a unit's container."""
    grpc = deployment.transport == "grpc"
    labels = {"version": predictor.name} | dict(predictor.labels)
    env = {
        "PREDICTIVE_UNIT_SERVICE_PORT": str(ports.grpc if grpc else ports.http),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports.http),
        "MLSERVER_HTTP_PORT": str(ports.http),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports.grpc),
        "MLSERVER_GRPC_PORT": str(ports.grpc),
        "PREDICTIVE_UNIT_ID": unit.name,
        "MLSERVER_MODEL_NAME": unit.name,
        "PREDICTIVE_UNIT_IMAGE": image,
        "PREDICTOR_ID": predictor.name,
        "PREDICTOR_LABELS": json.dumps(labels, sort_keys=True, separators=(",", ":")),
        "SELDON_DEPLOYMENT_ID": deployment.name,
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports.metrics),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": METRICS_ENDPOINT,
        "MLSERVER_METRICS_PORT": str(ports.metrics),
        "MLSERVER_METRICS_ENDPOINT": METRICS_ENDPOINT,
    }
    if unit.parameters:
        env["PREDICTIVE_UNIT_PARAMETERS"] = _parameters(unit)
    return env | _server_environment(deployment, unit)


def _parameters(unit: SeldonUnit) -> str:
    return json.dumps([each._asdict() for each in unit.parameters], separators=(",", ":"))


def _server_environment(deployment: Deployment, unit: SeldonUnit) -> dict[str, str]:
    server = SERVERS.get(unit.implementation)
    if server is None:
        return {}
    if not server.runtime:
        return {"MLSERVER_MODEL_URI": MODELS} if unit.model_uri else {}
    tempo = {
        "defaultRuntime": "tempo.seldon.SeldonKubernetesRuntime",
        "namespace": deployment.namespace,
    }
    env = {
        "MLSERVER_MODEL_IMPLEMENTATION": server.runtime,
        "MLSERVER_MODEL_VERSION": "v1",
        "TEMPO_RUNTIME_OPTIONS": json.dumps({"k8s_options": tempo}),
    }
    return env | ({"MLSERVER_MODEL_URI": MODELS} if unit.model_uri else {})


def container_environment(
    container: Container, operator: Mapping[str, str], around: Surroundings, findings: Findings
) -> dict[str, str]:
    """Return a container's environment: `envFrom`, then `env` in order, then the operator's additions."""
    env = dict[str, str]()
    for source in container.env_from:
        env |= _read_env_from(container.name, source, around, findings)
    for entry in container.env:
        _add_variable(env, container.name, entry, around, findings)
    added = {name: value for name, value in operator.items() if name not in env or name in PORT_VARIABLES}
    return env | added


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as Kubernetes does: an unknown name stays as it is, `$$` becomes `$`.

    Raises ValueError where that gets longer than a process may be given.
    """
    # Behind the last `)` no reference ends, and each `$(` would be followed to the end in vain.
    end = text.rfind(")") + 1
    parts, length, done = list[str](), 0, 0
    for match in re.finditer(r"\$\$|\$\(([^)]*)\)", text[:end]):
        parts += (text[done : match.start()], _replace(match, values))
        length, done = length + len(parts[-1]) + len(parts[-2]), match.end()
        if length > _LONGEST:
            raise ValueError(f"{quoted(text)} gets longer than 128 KiB")
    return "".join([*parts, text[done:end], text[end:].replace("$$", "$")])


def check_words(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Raise ValueError for arguments and variables that no process can be started with."""
    words = [*argv, *(f"{name}={value}" for name, value in env.items())]
    for word in words:
        if "\0" in word:
            raise ValueError(f"{quoted(word)} has a NUL character")
        if len(os.fsencode(word)) > _LONGEST:
            raise ValueError(f"{quoted(word)} is longer than 128 KiB")
    # Each has a byte at its end and a pointer; the rest is for what starts the process.
    if (
        sum(len(os.fsencode(word)) + 9 for word in words)
        > min(os.sysconf("SC_ARG_MAX"), _LONGEST_OF_ALL) - _SPARED
    ):
        raise ValueError("the environment is longer than this system lets a process have")


def _replace(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    return values.get(match[1], match[0])


def _add_variable(
    env: dict[str, str], container: str, entry: ManifestNode, around: Surroundings, findings: Findings
) -> None:
    name, value = entry.text("name"), entry.find("value")
    if not name or "=" in name or "\0" in name:
        findings.refuse(f"container `{container}` has an environment variable without a usable name")
    elif reference := entry.find("valueFrom"):
        found = _read_reference(container, name, reference, around, findings)
        if found is not None:
            env[name] = found
    elif value is None or value.as_text is not None:
        env[name] = expand(entry.text("value").replace("\0", ""), env)
    else:
        findings.refuse(
            f"`{name}` of container `{container}` is not text",
            "quote the value; the API server refuses anything but text",
        )


def _read_reference(
    container: str, name: str, source: ManifestNode, around: Surroundings, findings: Findings
) -> str | None:
    if reference := source.find("configMapKeyRef"):
        return _read_config_map_key(container, name, reference, around, findings)
    if reference := source.find("secretKeyRef"):
        return _read_secret_key(container, name, reference, around, findings)
    if reference := source.find("fieldRef"):
        path = reference.text("fieldPath")
        fields = {"metadata.namespace": around.namespace, "status.podIP": "127.0.0.1"}
        if path in fields:
            return fields[path]
        findings.refuse(f"`{name}` of container `{container}` is the pod's `{path}`; there is no pod here")
        return None
    kind = next((key for key, _ in source.keys()), "nothing")  # noqa: SIM118 - not a dict
    findings.refuse(f"`{name}` of container `{container}` comes from `{kind}`, which has no value here")
    return None


def _read_config_map_key(
    container: str, name: str, source: ManifestNode, around: Surroundings, findings: Findings
) -> str | None:
    config_map, key = source.text("name"), source.text("key")
    found = around.config_maps.get(config_map)
    if found is not None and key in found.entries:
        return _decode(found.entries[key])
    # What the cluster has, and no document says, such as certificates that a server is trusted by.
    if found is None and name in around.exported:
        return around.exported[name]
    if not source.flag("optional"):
        missing = f"config map `{config_map}`" if found is None else f"`{key}` of config map `{config_map}`"
        findings.refuse(
            f"`{name}` of container `{container}` needs {missing}, which is not among the documents",
            f"export `{name}` before the run" if found is None else None,
        )
    return None


def _read_secret_key(
    container: str, name: str, source: ManifestNode, around: Surroundings, findings: Findings
) -> str | None:
    if name in around.exported:
        return around.exported[name]
    if not source.flag("optional"):
        secret, key = source.text("name"), source.text("key")
        findings.refuse(
            f"`{name}` of container `{container}` comes from `{key}` of secret `{secret}`, which is not here",
            f"export `{name}` before the run",
        )
    return None


def _read_env_from(
    container: str, source: ManifestNode, around: Surroundings, findings: Findings
) -> dict[str, str]:
    prefix = source.text("prefix")
    if reference := source.find("configMapRef"):
        name = reference.text("name")
        if found := around.config_maps.get(name):
            names = {f"{prefix}{key}": _decode(value) for key, value in found.entries.items()}
            return {key: value for key, value in names.items() if _VARIABLE_NAME.match(key)}
        if not reference.flag("optional"):
            findings.refuse(
                f"container `{container}` takes its environment from config map `{name}`, "
                "which is not among the documents"
            )
        return {}
    reference = source.child("secretRef")
    if not reference.flag("optional"):
        findings.refuse(
            f"container `{container}` takes its environment from secret `{reference.text('name')}`, "
            "whose names are unknown here",
            "name each variable with `secretKeyRef`, and export it before the run",
        )
    return {}


def _decode(value: bytes) -> str:
    return value.decode(errors="replace").replace("\0", "")


def base_environment(exported: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment without what would configure a unit behind the manifest's back."""
    prefixes = ("MLSERVER_", "PREDICTIVE_UNIT_", "PREDICTOR_", "SELDON_", "GRAPHC_")
    return {name: value for name, value in exported.items() if not name.startswith(prefixes)}
