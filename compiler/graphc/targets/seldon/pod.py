"""Emits a pod of a predictor as a SeldonDeployment lists it."""

from graphc.targets.interface import Data, Version
from graphc.targets.pods.layout import Layout, Pod
from graphc.targets.pods.pod import emit_spec
from graphc.targets.seldon.autoscaling import emit_autoscaler


def emit_pod(layout: Layout, version: Version, pod: Pod) -> Data:
    """Return the pod as a predictor lists it."""
    written: Data = {}
    if pod.replicas is not None:
        written["replicas"] = pod.replicas
    # On this machine nothing follows a load.
    if pod.scaling is not None and layout.deployable.is_for_cluster:
        written |= emit_autoscaler(pod.scaling, pod.scaled, layout.deployable.profile.scaler)
    written["spec"] = emit_spec(layout, version, pod)
    return written
