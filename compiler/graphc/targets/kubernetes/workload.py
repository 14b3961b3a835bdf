"""Emits what runs a pod of a predictor: its Deployment, its Service, and what scales and keeps it."""

import math
from collections.abc import Iterator, Mapping
from typing import Final, cast

from graphc.engine_graph import ENGINE
from graphc.hardware.pod_asks import Amount
from graphc.ir.graph import Autoscaling, Value
from graphc.profiles.profile import Profile
from graphc.quantities import canonical_quantity, parse_quantity
from graphc.targets.interface import Data, Version
from graphc.targets.kubernetes.engine import emit_engine, emit_engine_volumes, name_container
from graphc.targets.kubernetes.names import label_pods, name_pods, select_pods, write_labels
from graphc.targets.kubernetes.scaling import emit_scaler
from graphc.targets.pods.container import METRICS, load_seconds
from graphc.targets.pods.documents import write_metadata
from graphc.targets.pods.layout import Container, Layout, Pod, Predictor
from graphc.targets.pods.pod import emit_spec
from graphc.targets.pods.ports import ENTRY
from graphc.targets.routes.istio import STICKY_LABEL, sticky_service
from graphc.targets.shipping import ConfigMapShipment

# The Deployment's controller calls a rollout stuck after this; models load before a pod is ready.
_PROGRESS_SECONDS: Final = 600


def emit_workload(
    layout: Layout,
    predictor: Predictor,
    pod: Pod,
    graph: ConfigMapShipment | None,
    annotations: Mapping[str, str],
) -> Iterator[Data]:
    """Yield the objects of a pod; `graph` is what its engine reads, where it carries one."""
    version, is_for_cluster = predictor.version, layout.deployable.is_for_cluster
    yield _emit_deployment(layout, predictor, pod, graph, annotations)
    if not is_for_cluster:
        return
    yield _emit_service(version, pod)
    if pod.scaling is not None:
        metadata = _metadata(version, pod)
        yield emit_scaler(pod.scaling, pod.scaled, layout.deployable.profile.scaler, metadata)
    if _count_least(version, pod) > 1:
        yield _emit_budget(version, pod)


def engine_amount(profile: Profile) -> Amount:
    """Return what an engine takes of a node."""
    asked = profile.engine.requests
    return Amount(parse_quantity(asked.cpu or "0"), parse_quantity(asked.memory or "0"))


def _emit_deployment(
    layout: Layout,
    predictor: Predictor,
    pod: Pod,
    graph: ConfigMapShipment | None,
    annotations: Mapping[str, str],
) -> Data:
    version = predictor.version
    named = {} if graph is None else {ENGINE: name_container(predictor)}
    spec: Data = {}
    if pod.scaling is None or not layout.deployable.is_for_cluster:
        # What scales a Deployment sets this itself.
        spec["replicas"] = version.count_pods(pod.replicas)
    spec["progressDeadlineSeconds"] = _PROGRESS_SECONDS + math.ceil(max(map(load_seconds, pod.containers)))
    spec["strategy"] = {
        "type": "RollingUpdate",
        # No pod ends before another is ready in its place.
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
    }
    spec["selector"] = {"matchLabels": dict[str, Value](select_pods(version, pod))}
    spec["template"] = _emit_template(layout, predictor, pod, graph)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(version, pod, {**annotations, **named}),
        "spec": spec,
    }


def _emit_template(layout: Layout, predictor: Predictor, pod: Pod, graph: ConfigMapShipment | None) -> Data:
    version = predictor.version
    labels = label_pods(version, pod)
    if not pod.index and layout.deployable.is_for_cluster and layout.routing.ingress.kind == "istio":
        shared = sticky_service(version.settings.name, layout.routing.rollout, version.name)
        labels |= {} if shared is None else {STICKY_LABEL: shared}
    spec = emit_spec(layout, version, pod, tell_container)
    # Else every Service of the namespace would be in the variables of each container.
    spec["enableServiceLinks"] = False
    first = pod.containers[0].name
    if graph is not None:
        first = name_container(predictor)
        containers, volumes = spec["containers"], spec.get("volumes", [])
        assert isinstance(containers, list)
        assert isinstance(volumes, list)
        spec["containers"] = [emit_engine(predictor, layout.deployable.profile), *containers]
        spec["volumes"] = [*emit_engine_volumes(graph), *volumes]
    _write_quantities(spec)
    # What `kubectl logs` shows of a pod where nobody says otherwise.
    annotations: Data = {"kubectl.kubernetes.io/default-container": first}
    return {
        "metadata": {"labels": dict[str, Value](sorted(labels.items())), "annotations": annotations},
        "spec": spec,
    }


def _write_quantities(spec: Data) -> None:
    """Write what containers ask for as the API server does: else each `kubectl apply` would find a difference."""
    for kind in ("initContainers", "containers"):
        for container in cast("list[Data]", spec.get(kind, [])):
            resources = cast("dict[str, dict[str, str | int]]", container.get("resources") or {})
            for asked in resources.values():
                for name, quantity in asked.items():
                    asked[name] = canonical_quantity(quantity)


def tell_container(container: Container) -> Mapping[str, str]:
    """Return what Seldon's operator would tell a unit: who it is, where it listens, and its versions."""
    ports = container.ports
    listens = {
        "MLSERVER_HTTP_PORT": str(ports.http),
        "MLSERVER_GRPC_PORT": str(ports.grpc),
        "MLSERVER_METRICS_PORT": str(ports.metrics),
        "MLSERVER_METRICS_ENDPOINT": METRICS,
    }
    told = {"MLSERVER_MODEL_NAME": container.name, "GRAPHC_VERSIONS": ",".join(container.names)}
    return told | (listens if container.is_for_cluster else {})


def _emit_service(version: Version, pod: Pod) -> Data:
    """Return the Service: of the pod that clients call, or of the unit that the engine calls."""
    http, grpc = ENTRY
    if pod.index:
        http, grpc = pod.containers[0].ports.http, pod.containers[0].ports.grpc
    ports: list[Value] = [
        {"name": name, "protocol": "TCP", "port": port, "targetPort": port}
        for name, port in (("http", http), ("grpc", grpc))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(version, pod),
        "spec": {
            "type": "ClusterIP",
            "selector": dict[str, Value](select_pods(version, pod)),
            "ports": ports,
        },
    }


def _emit_budget(version: Version, pod: Pod) -> Data:
    """Return what keeps all pods but one while nodes are drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(version, pod),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict[str, Value](select_pods(version, pod))},
            # A pod that is not ready serves nobody, and must not hold up a node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _count_least(version: Version, pod: Pod) -> int:
    scaling: Autoscaling | None = pod.scaling
    return version.count_pods(pod.replicas) if scaling is None else scaling.least


def _metadata(version: Version, pod: Pod, annotations: Mapping[str, str] | None = None) -> Data:
    name = name_pods(version, pod.index, pod.units)
    return write_labels(write_metadata(version.settings, name, annotations), label_pods(version, pod))
