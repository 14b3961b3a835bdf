"""Which loads replicas follow, and how they are asked for: of Kubernetes' HPA, or of KEDA."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from graphc.gpus.ask import GpuAsk
from graphc.hardware.assign import Hardware, ask_of
from graphc.ir.graph import Autoscaling, Resources, Value
from graphc.ir.plan import Unit
from graphc.profiles.profile import Scaler
from graphc.records import record

Data = dict[str, Value]

WHOLE_USE: Final = "DCGM_FI_DEV_GPU_UTIL"
SLICE_USE: Final = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
"""What NVIDIA's exporter tells of a device in percent, and of a MIG slice as a part of 1."""

EXECUTOR_CALLS: Final = "seldon_api_executor_server_requests_seconds_count"
INFERENCES: Final = "model_infer_request_duration_count"
UNIT_CALLS: Final = "rest_server_requests_total"
ENGINE_CALLS: Final = "graphc_engine_requests_total"
"""What Seldon's executor counts, a unit that clients call, a unit that is walked, and graphc's engine."""

ADAPTED: Final[Mapping[str, str]] = {
    WHOLE_USE: "graphc_gpu_utilization",
    SLICE_USE: "graphc_gpu_slice_utilization",
    EXECUTOR_CALLS: "graphc_executor_requests_per_second",
    INFERENCES: "graphc_inferences_per_second",
    UNIT_CALLS: "graphc_unit_requests_per_second",
    ENGINE_CALLS: "graphc_engine_requests_per_second",
}
"""What the rules for the Prometheus adapter (k8s/autoscaling/hpa) make of these, for each pod."""

WINDOW: Final = "2m"
"""How far back a rate looks: enough for four scrapes at the usual 30 s."""

# Kubernetes cuts a name that it ends itself with five characters to this length, and lets none be longer than that.
_LONGEST_BASE: Final = 58
_REVISION: Final = 12
"""What the name of a ReplicaSet adds to its Deployment's, at most, with the hyphen that follows."""


@record
class ScaledPod:
    """The pod whose replicas follow a load; `calls` is the metric that counts its requests."""

    deployment: str
    namespace: str | None
    units: tuple[Unit, ...]
    given: Resources | None
    hardware: Hardware
    calls: str

    @property
    def asks(self) -> list[GpuAsk]:
        """Return what its units ask of GPUs."""
        return [ask for unit in self.units if (ask := ask_of(unit, self.given)) is not None]

    @property
    def prefers_gpu(self) -> bool:
        """Say whether a unit of it runs without a GPU too."""
        return any(ask.device == "prefer-gpu" for ask in self.asks)

    @property
    def selector(self) -> str:
        """Return what selects the pods in Prometheus."""
        base = f"{self.deployment}-"
        is_cut = len(base) + _REVISION > _LONGEST_BASE
        # Another Deployment's name may begin with this one's, and goes on with more hyphens.
        pods = f"{base[:_LONGEST_BASE]}.*" if is_cut else f"{base}[a-z0-9]+-[a-z0-9]{{5}}"
        return f'namespace="{self.namespace}",pod=~"{pods}"'


def follow_loads(scaling: Autoscaling, pod: ScaledPod) -> Autoscaling:
    """Return the scaling by the loads that there are: where a GPU is merely preferred, there may be none."""
    if scaling.gpu is None or pod.hardware.resources:
        return scaling
    others = scaling.cpu is not None or scaling.requests is not None
    cpu = scaling.gpu if pod.prefers_gpu and not others else scaling.cpu
    return replace(scaling, gpu=None, cpu=cpu)


def emit_scaled_object(scaling: Autoscaling, pod: ScaledPod, scaler: Scaler) -> Data:
    """Return what KEDA is told of the loads."""
    triggers: list[Value] = []
    if scaling.cpu is not None:
        metadata: Data = {"value": str(scaling.cpu)}
        triggers.append({"type": "cpu", "metricType": "Utilization", "metadata": metadata})
    for metric, target in list_loads(scaling, pod):
        metadata = {
            "serverAddress": scaler.prometheus,
            "query": _query(metric, pod),
            "threshold": _decimal(target),
        }
        triggers.append({"type": "prometheus", "metricType": "AverageValue", "metadata": metadata})
    return {"minReplicaCount": scaling.least, "maxReplicaCount": scaling.most, "triggers": triggers}


def list_loads(scaling: Autoscaling, pod: ScaledPod) -> Iterator[tuple[str, float]]:
    """Yield the metrics that are followed, each with what one replica should have of it."""
    if scaling.gpu is not None:
        yield _gpu_metric(pod.hardware), scaling.gpu
    if scaling.requests is not None:
        yield pod.calls, scaling.requests


def _gpu_metric(hardware: Hardware) -> str:
    resources: Sequence[str] = [name for name, _ in hardware.resources.values()]
    is_sliced = any(grant.first.mode == "mig" for grant in hardware.grants.values())
    return SLICE_USE if is_sliced or any("/mig-" in name for name in resources) else WHOLE_USE


def _query(metric: str, pod: ScaledPod) -> str:
    """Return the query for what all replicas have together, which KEDA divides by their number."""
    if metric == WHOLE_USE:
        return f"sum(avg by (pod) ({metric}{{{pod.selector}}}))"
    if metric == SLICE_USE:
        return f"sum(avg by (pod) (100 * {metric}{{{pod.selector}}}))"
    counted = f'{pod.selector},method="POST"' if metric == UNIT_CALLS else pod.selector
    return f"sum(rate({metric}{{{counted}}}[{WINDOW}]))"


def write_quantity(number: float) -> str:
    """Write a number as a quantity, in thousandths where it is not whole."""
    return str(int(number)) if float(number).is_integer() else f"{max(1, round(number * 1000))}m"


def _decimal(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))
