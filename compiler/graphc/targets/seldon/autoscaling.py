"""Emits autoscalers through Seldon's own fields: Kubernetes' HPA, or KEDA, as the cluster has them."""

from graphc.ir.graph import Autoscaling, Value
from graphc.profiles.profile import Scaler
from graphc.targets.interface import Data
from graphc.targets.pods.scaling import (
    ADAPTED,
    ScaledPod,
    emit_scaled_object,
    follow_loads,
    list_loads,
    write_quantity,
)


def emit_autoscaler(scaling: Autoscaling, pod: ScaledPod, scaler: Scaler) -> Data:
    """Return the field of the pod that has its replicas follow the load."""
    found = follow_loads(scaling, pod)
    if scaler.kind == "keda":
        # The operator passes on these fields, and neither `fallback` nor `idleReplicaCount`.
        return {"kedaSpec": emit_scaled_object(found, pod, scaler)}
    return {"hpaSpec": _hpa(found, pod)}


def _hpa(scaling: Autoscaling, pod: ScaledPod) -> Data:
    metrics: list[Value] = []
    if scaling.cpu is not None:
        resource: Data = {"name": "cpu", "targetAverageUtilization": scaling.cpu}
        metrics.append({"type": "Resource", "resource": resource})
    for metric, target in list_loads(scaling, pod):
        pods: Data = {"metricName": ADAPTED[metric], "targetAverageValue": write_quantity(target)}
        metrics.append({"type": "Pods", "pods": pods})
    # The field that the operator reads by default; it turns it into an autoscaling/v2 resource itself.
    return {"minReplicas": scaling.least, "maxReplicas": scaling.most, "metrics": metrics}
