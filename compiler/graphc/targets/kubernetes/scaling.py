"""Emits what has replicas follow a load: an HorizontalPodAutoscaler, or a ScaledObject of KEDA's."""

from graphc.ir.graph import Autoscaling, Value
from graphc.profiles.profile import Scaler
from graphc.quantities import canonical_quantity
from graphc.targets.interface import Data
from graphc.targets.pods.scaling import (
    ADAPTED,
    ScaledPod,
    emit_scaled_object,
    follow_loads,
    list_loads,
    write_quantity,
)


def emit_scaler(scaling: Autoscaling, pod: ScaledPod, scaler: Scaler, metadata: Data) -> Data:
    """Return the object that sets the replicas of a pod's Deployment."""
    found = follow_loads(scaling, pod)
    if scaler.kind == "keda":
        spec: Data = {"scaleTargetRef": {"name": pod.deployment}}
        spec |= emit_scaled_object(found, pod, scaler)
        return _document("keda.sh/v1alpha1", "ScaledObject", metadata, spec)
    target: Data = {"apiVersion": "apps/v1", "kind": "Deployment", "name": pod.deployment}
    spec = {"scaleTargetRef": target, "minReplicas": found.least, "maxReplicas": found.most}
    spec["metrics"] = _metrics(found, pod)
    return _document("autoscaling/v2", "HorizontalPodAutoscaler", metadata, spec)


def _document(version: str, kind: str, metadata: Data, spec: Data) -> Data:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _metrics(scaling: Autoscaling, pod: ScaledPod) -> list[Value]:
    metrics: list[Value] = []
    if scaling.cpu is not None:
        target: Data = {"type": "Utilization", "averageUtilization": scaling.cpu}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    for metric, value in list_loads(scaling, pod):
        target = {"type": "AverageValue", "averageValue": canonical_quantity(write_quantity(value))}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": ADAPTED[metric]}, "target": target}})
    return metrics
