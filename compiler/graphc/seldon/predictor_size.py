"""Reckons what Seldon's operator tells its executor of a predictor: all of it, in one variable of its environment."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from graphc.unchecked import fields, objects

# Linux refuses a longer string in a process's environment (MAX_ARG_STRLEN, 32 pages), name and end included.
MAX_STRING: Final = 131_072

_NAME: Final = "ENGINE_PREDICTOR="
# A port of five digits, wherever the operator writes one.
_PORT: Final = "65535"
# What a later operator may write more of: nothing more is known to be.
_SPARE: Final = 1024

MOST: Final = (MAX_STRING - len(_NAME) - 1) // 4 * 3 - _SPARE
"""So many bytes a predictor may have before they are written as base64."""

Data = Mapping[str, object]


def reckon_predictor(deployment: str, namespace: str | None, predictor: Data) -> int:
    """Return how many bytes the operator makes of a predictor, before they are written as base64."""
    name = str(predictor.get("name", ""))
    labels = {"version": name, **fields(predictor, "labels")}
    told = {
        each: value for each, value in predictor.items() if each not in {"graph", "componentSpecs", "traffic"}
    }
    size = _size({"replicas": 0, "engineResources": {}, "svcOrchSpec": {}, **told, "labels": labels})
    # A name that is not known yet may be as long as names are.
    place = f"{deployment}-{name}-.{namespace or 63 * 'x'}.svc.cluster.local"
    specs = list(objects(predictor, "componentSpecs"))
    size += sum(_size_of_pod(spec, deployment, name, _text(labels)) for spec in specs)
    return size + _size_of_unit(fields(predictor, "graph"), place) + len(',"graph":,"componentSpecs":[]')


def _size_of_unit(unit: Data, place: str) -> int:
    own = {name: value for name, value in unit.items() if name != "children" and value}
    endpoint = {"service_host": place + str(unit.get("name", "")), "service_port": int(_PORT)}
    endpoint |= {"httpPort": int(_PORT), "grpcPort": int(_PORT)}
    given = {"type": "MODEL", "implementation": "UNKNOWN_IMPLEMENTATION", "endpoint": endpoint}
    children = [_size_of_unit(each, place) + 1 for each in objects(unit, "children")]
    return _size({**given, **own}) + sum(children) + len(',"children":[]')


def _size_of_pod(spec: Data, deployment: str, predictor: str, labels: str) -> int:
    pod = fields(spec, "spec")
    added = sum(_size(_add(each, deployment, predictor, labels)) + 1 for each in objects(pod, "containers"))
    loaders = sum(_size({"resources": {}, **each}) + 1 for each in objects(pod, "initContainers"))
    rest = {name: value for name, value in pod.items() if name not in {"containers", "initContainers"}}
    beside = {name: value for name, value in spec.items() if name != "spec"}
    metadata = {"creationTimestamp": None, **fields(spec, "metadata")}
    lists: Data = {"containers": list[object](), "initContainers": list[object]()}
    return _size({**beside, "metadata": metadata, "spec": {**rest, **lists}}) + added + loaders + 1


def _add(container: Data, deployment: str, predictor: str, labels: str) -> Data:
    """Return a unit's container with all that the operator adds to it."""
    return {
        "ports": [_port(each) for each in ("http", "grpc", "metrics")],
        "resources": {},
        "livenessProbe": _probe(60),
        "readinessProbe": _probe(20),
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        **container,
        "env": [*objects(container, "env"), *_variables(container, deployment, predictor, labels)],
        "volumeMounts": [
            *objects(container, "volumeMounts"),
            {"name": "seldon-podinfo", "mountPath": "/etc/podinfo"},
        ],
    }


def _variables(container: Data, deployment: str, predictor: str, labels: str) -> Iterator[Data]:
    unit = str(container.get("name", ""))
    ports = ("SERVICE", "HTTP_SERVICE", "GRPC_SERVICE", "METRICS_SERVICE")
    values = {f"PREDICTIVE_UNIT_{each}_PORT": _PORT for each in ports}
    values |= {f"MLSERVER_{each}_PORT": _PORT for each in ("HTTP", "GRPC", "METRICS")}
    values |= {f"{each}_METRICS_ENDPOINT": "/prometheus" for each in ("PREDICTIVE_UNIT", "MLSERVER")}
    values |= {
        "PREDICTIVE_UNIT_ID": unit,
        "MLSERVER_MODEL_NAME": unit,
        "PREDICTIVE_UNIT_IMAGE": str(container.get("image", "")),
        "PREDICTOR_ID": predictor,
        "PREDICTOR_LABELS": labels,
        "SELDON_DEPLOYMENT_ID": deployment,
        "SELDON_EXECUTOR_ENABLED": "true",
    }
    yield from ({"name": name, "value": value} for name, value in values.items())


def _port(name: str) -> Data:
    return {"name": name, "containerPort": int(_PORT), "protocol": "TCP"}


def _probe(delay: int) -> Data:
    counts = {"timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3}
    return {"tcpSocket": {"port": int(_PORT)}, "initialDelaySeconds": delay, **counts}


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _size(value: object) -> int:
    text = _text(value)
    # Go writes these so that no page takes them for its own.
    return len(text.encode(errors="replace")) + 5 * sum(text.count(each) for each in "<>&\u2028\u2029")
