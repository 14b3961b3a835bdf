"""Checks that the loads which replicas follow are measured on a cluster."""

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.rollout import (
    CPU_NOT_ASKED,
    GPU_NOT_MEASURED,
    NO_SCALER,
    SCALER_NAMESPACE,
    SCALES_BY_CPU,
)
from graphc.gpus.choose import Grant
from graphc.ir.graph import Autoscaling
from graphc.profiles.profile import Scaler
from graphc.targets.pods.scaling import ScaledPod, follow_loads


def check_autoscaling(scaling: Autoscaling, pod: ScaledPod, scaler: Scaler, sink: Sink) -> None:
    """Report loads that nobody measures, and warn of those that are never there."""
    if scaling.gpu is not None:
        _check_gpu(scaling, pod, sink)
    found = follow_loads(scaling, pod)
    wanted = [name for name, each in (("gpu", found.gpu), ("requests_per_second", found.requests)) if each]
    if wanted and not scaler.has_metrics:
        names = " and ".join(f"`{name}`" for name in wanted)
        message = f"replicas follow {names}, and the cluster's profile does not say who measures that"
        hint = (
            "say in the profile `autoscaling: {kind: keda, prometheus: URL}` or `{kind: hpa, adapter: true}`"
        )
        sink.report(Diagnostic(NO_SCALER, message, scaling.at, hint))
    elif wanted and scaler.kind == "keda" and pod.namespace is None:
        message = "KEDA asks Prometheus for the pods of a namespace, and the graph names none"
        sink.report(Diagnostic(SCALER_NAMESPACE, message, scaling.at, "name it in `metadata`"))
    elif found.cpu is not None:
        _check_cpu(pod, scaling.at, sink)


def _check_gpu(scaling: Autoscaling, pod: ScaledPod, sink: Sink) -> None:
    if pod.hardware.resources:
        for unit, grant in pod.hardware.grants.items():
            if grant.first.mode in {"mps", "time-slicing"}:
                _report_shared(unit, grant, scaling.at, sink)
    elif pod.prefers_gpu:
        message = "replicas would follow the use of a GPU, and the cluster has none for the pod"
        sink.report(Diagnostic(SCALES_BY_CPU, message, scaling.at))
    elif not pod.asks:
        # A GPU that is asked for and not to be had is reported as such.
        message = "replicas follow the use of a GPU, and nothing in the pod asks for one"
        hint = "ask for one in `resources`, or follow `cpu` or `requests_per_second`"
        sink.report(Diagnostic(GPU_NOT_MEASURED, message, scaling.at, hint))


def _report_shared(unit: str, grant: Grant, at: Span, sink: Sink) -> None:
    how = "MPS" if grant.first.mode == "mps" else "time-slicing"
    message = f"`{unit}` shares a GPU by {how}, and how much of it one container uses is not known"
    hint = "follow `requests_per_second`, or ask for a whole GPU or a MIG slice"
    sink.report(Diagnostic(GPU_NOT_MEASURED, message, at, hint))


def _check_cpu(pod: ScaledPod, at: Span, sink: Sink) -> None:
    """Warn where a share of what is asked for is a share of nothing: the autoscaler then does nothing."""
    for unit in pod.units:
        resources = unit.region.placement.resources or pod.given
        if resources is None or resources.cpu is None:
            message = f"replicas follow the use of processors, and `{unit.name}` asks for none"
            hint = "say `resources: {cpu: 500m}`; the use is a share of that"
            sink.report(Diagnostic(CPU_NOT_ASKED, message, at, hint))
