"""Emits the container of graphc's engine, and the file that tells it what it walks."""

import hashlib
import json
from typing import Final

from graphc_components.tensors import TensorType

from graphc.engine_graph import API_VERSION, FILE, KIND, NAMESPACE, VOLUME
from graphc.ir.graph import Value
from graphc.ir.plan import Unit
from graphc.profiles.profile import Engine, Image, Profile
from graphc.targets.interface import Data, Version
from graphc.targets.kubernetes.names import name_unit
from graphc.targets.pods.comparing import name_content, write_receiver
from graphc.targets.pods.ending import end_alone, longest_ms
from graphc.targets.pods.layout import Predictor
from graphc.targets.pods.parts import probe_start, restrict
from graphc.targets.pods.ports import ENTRY, Ports
from graphc.targets.shipping import ConfigMapShipment
from graphc.version import VERSION

IMAGE: Final = Image("graphc-engine", VERSION)
COMMAND: Final = ("graphc", "engine")
CONTAINER: Final = "graphc-engine"
FOLDER: Final = "/etc/graphc"
SCRATCH: Final = "/tmp"
SCRATCH_VOLUME: Final = "engine-tmp"

HTTP: Final = "engine-http"
GRPC: Final = "engine-grpc"
"""The names of its ports: units beside it have `http` and `grpc`."""

# Here the engine is never asked whether it loads: it starts within seconds, whatever its units do.
_START_SECONDS: Final = 60
_PROBE_SECONDS: Final = 5
# It asks all units whether they are ready, and gives each two seconds.
_READY_SECONDS: Final = 4


def name_container(predictor: Predictor) -> str:
    """Return what the engine's container is called: no unit may have its name."""
    units, name = {each.name for each in predictor.containers}, CONTAINER
    while name in units:
        name += "-0"
    return name


def emit_engine(predictor: Predictor, profile: Profile) -> Data:
    """Return the container of the engine in front of a predictor."""
    engine, ending = profile.engine, end_alone(longest_ms(predictor.version.plan.deadline_ms))
    http, grpc = ENTRY
    written: Data = {
        "name": name_container(predictor),
        "image": locate_image(profile),
        "command": list[Value](engine.command or COMMAND),
        "args": [
            f"{FOLDER}/{FILE}",
            *("--host", "0.0.0.0"),
            *("--http-port", str(http), "--grpc-port", str(grpc)),
        ],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in ((HTTP, http), (GRPC, grpc))
        ],
        "env": [
            {"name": "GRAPHC_GRACE_S", "value": str(ending.grace)},
            {"name": "HOME", "value": SCRATCH},
            *_namespace(predictor),
        ],
    }
    written["resources"] = _emit_resources(engine)
    written |= _probes()
    written["lifecycle"] = ending.emit_hook()
    written["securityContext"] = restrict()
    written["volumeMounts"] = [
        {"name": SCRATCH_VOLUME, "mountPath": SCRATCH},
        {"name": VOLUME, "mountPath": FOLDER, "readOnly": True},
    ]
    return written


def _namespace(predictor: Predictor) -> list[Value]:
    """Return the variable with the pod's namespace, where the engine tells of answers: those are told apart by it."""
    if predictor.version.settings.comparing.url is None:
        return []
    return [{"name": NAMESPACE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]


def emit_engine_volumes(shipment: ConfigMapShipment) -> list[Data]:
    """Return the volumes that the engine mounts."""
    items: list[Value] = [{"key": FILE, "path": FILE}]
    return [
        {"name": SCRATCH_VOLUME, "emptyDir": {}},
        {"name": VOLUME, "configMap": {"name": shipment.name, "items": items}},
    ]


def locate_image(profile: Profile) -> str:
    """Return the engine's image: the profile's, else graphc's own, from the registry of the cluster."""
    return profile.engine.image.locate(IMAGE)


def _emit_resources(engine: Engine) -> Data:
    requests: Data = {"cpu": engine.requests.cpu, "memory": engine.requests.memory}
    written: Data = {"requests": requests}
    if engine.memory_limit is not None:
        written["limits"] = {"memory": engine.memory_limit}
    return written


def _probes() -> Data:
    def get(path: str) -> Data:
        return {"path": path, "port": HTTP}

    return {
        "startupProbe": probe_start(get("/v2/health/live"), _START_SECONDS),
        "readinessProbe": {
            "httpGet": get("/v2/health/ready"),
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _READY_SECONDS,
        },
        "livenessProbe": {
            "httpGet": get("/v2/health/live"),
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
        },
    }


def ship_graph(predictor: Predictor, *, is_shadow: bool) -> ConfigMapShipment:
    """Return the config map of the file that the engine in front of a predictor reads."""
    described = describe_graph(predictor) | _report(predictor, is_shadow=is_shadow)
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False)
    version = predictor.version
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = f"{version.settings.name}-{version.name}-engine-{digest}"
    return ConfigMapShipment("engine", name, ((FILE, text),), (), ((FILE, FILE),))


def describe_graph(predictor: Predictor) -> Data:
    """Return what the engine is told: what clients ask for, and which units it calls where."""
    version = predictor.version
    plan, timeout = version.plan, longest_ms(version.plan.deadline_ms)
    described: Data = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": version.settings.name,
        "versions": list[Value](version.names),
        "inputs": [_tensor(name, type_) for name, type_ in plan.inputs],
        "outputs": [_tensor(name, type_) for name, type_ in plan.outputs],
    }
    if timeout is not None:
        described["timeout_ms"] = timeout
    described["graph"] = _unit(plan.root, version, _find_units(predictor))
    return described


def _report(predictor: Predictor, *, is_shadow: bool) -> Data:
    """Return who is told of the answers, if the file names a service; as in the address of Seldon's logger."""
    comparing = predictor.version.settings.comparing
    if comparing.url is None:
        return {}
    units = [[each.name, each.region, each.unit.region.placement.image] for each in predictor.containers]
    content = name_content([describe_graph(predictor), predictor.version.settings.image, units])
    url = write_receiver(comparing, content, shadow=is_shadow)
    return {"report": {"url": url, "predictor": predictor.version.name}}


def _tensor(name: str, type_: TensorType) -> Data:
    return {
        "name": name,
        "datatype": type_.datatype,
        "shape": [dim if isinstance(dim, int) else -1 for dim in type_.shape],
    }


def _find_units(predictor: Predictor) -> dict[str, tuple[int, Ports]]:
    return {
        container.name: (pod.index, container.ports) for pod in predictor.pods for container in pod.containers
    }


def _unit(unit: Unit, version: Version, units: dict[str, tuple[int, Ports]]) -> Data:
    index, ports = units[unit.name]
    # Units of its own pod are on the engine's own network.
    host = name_unit(version, unit.name) if index else "127.0.0.1"
    endpoint: Data = {"service_host": host, "httpPort": ports.http, "grpcPort": ports.grpc}
    children: list[Value] = [_unit(child, version, units) for child in unit.children]
    return {"name": unit.name, "type": unit.type, "endpoint": endpoint, "children": children}
