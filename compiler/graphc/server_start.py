"""How servers of other frameworks are started: what their containers are told, and their processes on this machine.

The commands and variables are those of each project's own documentation; a container's image has to have them.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final

from graphc.records import record

ARTEFACTS: Final = "/mnt/graphc"
"""Where a container has what is shipped to it, in a folder each; `GRAPHC_ARTIFACTS` tells units where else."""

CONTAINER: Final = "server-"
"""What the name of a server's container begins with."""

KIND: Final = "GRAPHC_SERVER"
"""The variable of such a container that says what kind of server it is."""


MODELS_CONFIG: Final = "models.config"
"""TensorFlow Serving's own file of the models that it serves, in their folder."""


def server_container(name: str) -> str:
    """Return the name of the container of a server."""
    return f"{CONTAINER}{name}"


def server_folder(name: str) -> str:
    """Return where the container of a server has the folder of its models."""
    return f"{ARTEFACTS}/{server_container(name)}"


@record
class Started:
    """What a server is started with; an empty command leaves it to the image.

    `files` are texts, by name, that have to lie where it is started.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])


@record
class ServerPorts:
    """Where a server listens; without a `host`, on every interface.

    `more` are further ports, which only a run on this machine has.
    """

    http: int
    grpc: int
    metrics: int
    host: str = ""
    more: tuple[int, ...] = ()


_Start = Callable[[ServerPorts, str], Started]


def _triton(ports: ServerPorts, folder: str) -> Started:
    listening = {"http": ports.http, "grpc": ports.grpc, "metrics": ports.metrics}
    command = ["tritonserver", f"--model-repository={folder}"]
    for each, port in listening.items():
        command.append(f"--{each}-port={port}")
        if ports.host:
            command.append(f"--{each}-address={ports.host}")
    return Started(tuple(command))


def _mlserver(ports: ServerPorts, folder: str) -> Started:
    variables = {
        "MLSERVER_HTTP_PORT": str(ports.http),
        "MLSERVER_GRPC_PORT": str(ports.grpc),
        "MLSERVER_METRICS_PORT": str(ports.metrics),
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_METRICS_DIR": "/tmp",
    }
    if ports.host:
        variables["MLSERVER_HOST"] = ports.host
    return Started(("mlserver", "start", folder), variables)


def _tensorflow(ports: ServerPorts, folder: str) -> Started:
    return Started(
        (
            "tensorflow_model_server",
            f"--rest_api_port={ports.http}",
            f"--port={ports.grpc}",
            f"--model_config_file={MODELS_CONFIG if ports.host else f'{folder}/{MODELS_CONFIG}'}",
        )
    )


def _torchserve(ports: ServerPorts, folder: str) -> Started:
    words = ("--start", "--foreground", "--ncs", "--disable-token-auth")
    command = ("torchserve", *words, f"--model-store={folder}", "--models=all")
    if not ports.host:
        # Where it listens, a file says that its image has.
        return Started(command)
    management, grpc_management, worker = ports.more
    variables = {
        "TS_CONFIG_FILE": "config.properties",
        "TS_INFERENCE_ADDRESS": f"http://{ports.host}:{ports.http}",
        "TS_MANAGEMENT_ADDRESS": f"http://{ports.host}:{management}",
        "TS_METRICS_ADDRESS": f"http://{ports.host}:{ports.metrics}",
        "TS_GRPC_INFERENCE_PORT": str(ports.grpc),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc_management),
        "TS_INITIAL_WORKER_PORT": str(worker),
        "TS_DEFAULT_WORKERS_PER_MODEL": "1",
    }
    # It heeds variables only where its file says so.
    return Started(command, variables, {"config.properties": "enable_envvars_config=true\n"})


def _bentoml(ports: ServerPorts, folder: str) -> Started:
    host = ports.host or "0.0.0.0"
    return Started(("bentoml", "serve", folder, "--host", host, "--port", str(ports.http)))


def _seldon(ports: ServerPorts, folder: str) -> Started:  # noqa: ARG001 (the image has the class)
    return Started(
        (),
        {
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports.http),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports.grpc),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports.metrics),
        },
    )


_STARTS: Final[Mapping[str, _Start]] = {
    "triton": _triton,
    "mlserver": _mlserver,
    "tensorflow": _tensorflow,
    "torchserve": _torchserve,
    "bentoml": _bentoml,
    "seldon": _seldon,
}

TAKES_PORT: Final = frozenset(_STARTS) - {"torchserve"}
"""The kinds that graphc can tell where to listen."""

NEEDS_MODELS: Final = frozenset({"triton", "mlserver", "tensorflow", "torchserve", "bentoml"})
"""The kinds whose command names the folder of what they serve."""


def start_server(kind: str, ports: ServerPorts, folder: str) -> Started:
    """Return what a server of a kind is started with, to listen on ports and serve a folder; nothing where unknown."""
    start = _STARTS.get(kind)
    return Started() if start is None else start(ports, folder)
