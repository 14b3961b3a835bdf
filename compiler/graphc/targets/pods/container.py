"""Emits the container of a unit, with what it mounts and what is downloaded for it."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from graphc.gpus.ask import Engine, GpuAsk
from graphc.hardware.assign import ask_of, name_device
from graphc.ir.graph import ModelWork, PythonWork, ServerWork, Value, Variable
from graphc.quantities import parse_quantity
from graphc.server_start import ARTEFACTS
from graphc.targets.interface import Data
from graphc.targets.pods.layout import Container, Pod, escape
from graphc.targets.pods.parts import emit_resources, emit_variable, probe_start, restrict
from graphc.targets.pods.ports import emit_ports
from graphc.targets.pods.servers import emit_server, models_of
from graphc.targets.shipping import (
    REGION_FILE,
    VARIANTS,
    ClaimShipment,
    ConfigMapShipment,
    DownloadShipment,
    LocalShipment,
    Shipment,
)

REGIONS: Final = "/mnt/graphc-region"
"""Where a unit finds its region, if that is too large for a variable."""

SCRATCH: Final = "/tmp"
"""The one folder that a unit may write to: metrics, what libraries keep for themselves, temporary files."""

METRICS: Final = "/prometheus"
"""Where a unit shows what it counts."""

ENGINES: Final = "/mnt/graphc-engines"
"""Where a unit keeps the engines that TensorRT builds."""

# A unit that does not say how long it loads gets this many seconds before it is restarted.
LOAD_SECONDS: Final = 120
# TensorRT tries kernels for each layer of a model before it is ready, where no engine of it was kept.
ENGINE_SECONDS: Final = 900
PROBE_SECONDS: Final = 5

LOADER: Final[Mapping[str, str]] = {"cpu": "100m", "memory": "256Mi"}
"""What a container asks for that downloads artefacts before the others start."""

# Where libraries keep what they make for themselves; the image's own home is not there to be written to.
_HOME: Final[Data] = {"name": "HOME", "value": SCRATCH}


Tell = Callable[[Container], Mapping[str, str]]
"""Returns the variables that a target tells a container, where no operator does."""


def tell_nothing(_: Container) -> Mapping[str, str]:
    """Return no variables: an operator tells a container all that it needs beside."""
    return {}


def emit_container(container: Container, told: Mapping[str, str]) -> Data:
    """Return the container; `told` are variables that a target adds."""
    written: Data = {"name": container.name, "image": _image(container)}
    if container.is_for_cluster:
        written["ports"] = emit_ports(container.ports)
    written["env"] = list[Value](_env(container, told))
    resources = emit_resources(container.resources, container.hardware.resources.get(container.name))
    if resources:
        written["resources"] = resources
    written |= _probes(container)
    if container.is_for_cluster:
        written["lifecycle"] = container.ending.emit_hook()
    written["securityContext"] = restrict()
    mounts = [*_scratch(container), *_artefacts(container)]
    if mounts:
        written["volumeMounts"] = list[Value](mounts)
    return written


def emit_loaders(container: Container) -> Iterable[Data]:
    """Yield an init container for each download."""
    for shipment in container.shipments:
        if not isinstance(shipment, DownloadShipment):
            continue
        target = f"{ARTEFACTS}/{shipment.node}"
        yield _loader(container, shipment, f"load-{shipment.node}", target)
        if shipment.cpu is not None:
            yield _loader(container, shipment.cpu, f"variant-{shipment.node}", f"{target}/{VARIANTS}")


def emit_volumes(container: Container) -> Iterable[Data]:
    """Yield the volumes that the container mounts."""
    for scratch in _scratch(container):
        yield {"name": scratch["name"], "emptyDir": {}}
    for shipment in container.shipments:
        yield {"name": _volume(shipment)} | _source(shipment)
    if container.region_map:
        yield {"name": f"region-{container.name}"} | _source(container.region_map)
    engine = _engine(container)
    if engine is not None:
        kept: Data = {"emptyDir": {}}
        if engine.claim is not None:
            kept = {"persistentVolumeClaim": {"claimName": engine.claim}}
        yield {"name": f"engines-{container.name}"} | kept


def emit_servers(pod: Pod) -> Iterable[Data]:
    """Yield the containers of the servers beside a pod's units."""
    for server in pod.servers:
        mounts = [_mount(shipment, read_only=True) for shipment in server.shipments]
        models = sorted({*models_of(server.host, pod.units)})
        unit = pod.containers[0]
        ending = unit.ending.emit_hook() if unit.is_for_cluster else None
        yield emit_server(server.host, models, ARTEFACTS, mounts, ending, server.port)


def emit_server_loaders(pod: Pod) -> Iterable[Data]:
    """Yield an init container for each download of what a server serves."""
    for server in pod.servers:
        for shipment in server.shipments:
            if isinstance(shipment, DownloadShipment):
                target = f"{ARTEFACTS}/{shipment.node}"
                yield _loader(pod.containers[0], shipment, f"load-{shipment.node}", target)


def emit_server_volumes(pod: Pod) -> Iterable[Data]:
    """Yield the volumes that the servers mount."""
    for server in pod.servers:
        for shipment in server.shipments:
            yield {"name": _volume(shipment)} | _source(shipment)


def _image(container: Container) -> str:
    return container.unit.region.placement.image or container.settings.image


def _ask(container: Container) -> GpuAsk | None:
    return ask_of(container.unit, container.settings.resources)


def _engine(container: Container) -> Engine | None:
    """Return how TensorRT runs the models; a run on this machine keeps nothing of it."""
    ask = _ask(container)
    return ask.engine if ask is not None and container.is_for_cluster else None


# What it mounts


def _scratch(container: Container) -> list[Data]:
    """Return the mount of the folder that a unit may write to; on this machine it has the user's."""
    mount: Data = {"name": f"tmp-{container.name}", "mountPath": SCRATCH}
    return [mount] if container.is_for_cluster else []


def _artefacts(container: Container) -> list[Data]:
    mounts = [_mount(shipment, read_only=True) for shipment in container.shipments]
    if container.region_map:
        mounts.append({"name": f"region-{container.name}", "mountPath": REGIONS, "readOnly": True})
    engine = _engine(container)
    if engine is not None:
        path: Data = {"subPath": engine.path} if engine.path else {}
        mounts.append({"name": f"engines-{container.name}", "mountPath": ENGINES} | path)
    return mounts


def _loader(container: Container, shipment: DownloadShipment, name: str, target: str) -> Data:
    loader: Data = {
        "name": name,
        "image": _image(container),
        "command": ["python", "-m", "graphc_runtimes.fetch", *_fetch_words(shipment, target)],
    }
    if container.is_for_cluster:
        loader["env"] = [_HOME]
    if shipment.credentials is not None:
        loader["envFrom"] = [{"secretRef": {"name": shipment.credentials}}]
    loader["resources"] = {"requests": dict(LOADER)}
    loader["securityContext"] = restrict()
    loader["volumeMounts"] = [*_scratch(container), _mount(shipment, read_only=False)]
    return loader


def load_seconds(container: Container) -> float:
    """Return how long a unit may load before it is restarted."""
    works = [node.work for node in container.unit.region.nodes]
    said = [work.load_seconds for work in works if isinstance(work, ModelWork | PythonWork)]
    # Models load one after the other; twice the time leaves room for a busy machine.
    least = LOAD_SECONDS if _engine(container) is None else ENGINE_SECONDS
    return max(least, 2 * sum(seconds for seconds in said if seconds))


# What it is told


def _env(container: Container, told: Mapping[str, str]) -> Iterable[Data]:
    env = container.unit.region.placement.env
    if container.region_map:
        yield {"name": "GRAPHC_REGION_FILE", "value": f"{REGIONS}/{REGION_FILE}"}
    else:
        yield {"name": "GRAPHC_REGION", "value": escape(container.region)}
    yield {
        "name": "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION",
        "value": "graphc_runtimes.RegionRepository",
    }
    yield {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "graphc_runtimes.RegionModel"}
    yield {"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"}
    # The executor forwards Accept-Encoding and cannot read what MLServer then compresses.
    yield {"name": "MLSERVER_GZIP_ENABLED", "value": "false"}
    yield {"name": "MLSERVER_METRICS_DIR", "value": SCRATCH}
    for name, value in told.items():
        yield {"name": name, "value": value}
    if len(container.names) > 1 and "GRAPHC_VERSIONS" not in told:
        # The operator tells a unit its predictor, and no other name of it.
        yield {"name": "GRAPHC_VERSIONS", "value": ",".join(container.names)}
    if container.is_for_cluster:
        yield {"name": "GRAPHC_GRACE_S", "value": str(container.ending.grace)}
        if all(each.name != _HOME["name"] for each in env):
            yield _HOME
    yield from _hardware(container)
    yield from (emit_variable(each) for each in (*_tokens(container), *env))


def _tokens(container: Container) -> Iterable[Variable]:
    """Yield the variables with which the unit's nodes ask other servers: tokens, and certificates."""
    works = [node.work for node in container.unit.region.nodes if isinstance(node.work, ServerWork)]
    variables = (each for work in works for each in (work.token, work.trust) if each is not None)
    yield from {each.name: each for each in variables}.values()


def _hardware(container: Container) -> Iterable[Data]:
    """Tell the runtime what the container gets: frameworks look at the whole machine instead."""
    resources, workers = container.resources, container.workers
    if workers > 1:
        yield {"name": "GRAPHC_WORKERS", "value": str(workers)}
    if resources is None:
        return
    if resources.cpu is not None:
        threads = max(1, math.ceil(parse_quantity(resources.cpu) / workers))
        yield {"name": "GRAPHC_THREADS", "value": str(threads)}
    ask = _ask(container)
    # A run on this machine may have no GPU; on a cluster a unit that asked for one must not go without.
    if ask is not None and (container.is_for_cluster or ask.device == "prefer-gpu"):
        yield {"name": "GRAPHC_DEVICE", "value": name_device(ask)}
        yield from _gpu(container, ask)


def _gpu(container: Container, ask: GpuAsk) -> Iterable[Data]:
    """Tell the runtime what it may take of GPUs, and how TensorRT makes models ready for them."""
    _, devices = container.hardware.resources.get(container.name, ("", 0))
    if devices > 1 and container.workers > 1:
        yield {"name": "GRAPHC_GPUS", "value": str(devices)}
    if container.memory_limit is not None:
        yield {"name": "GRAPHC_GPU_MEMORY_MIB", "value": str(container.memory_limit)}
    if ask.engine is not None and ask.engine.fp16:
        yield {"name": "GRAPHC_TENSORRT_FP16", "value": "1"}
    if _engine(container) is not None:
        yield {"name": "GRAPHC_TENSORRT_CACHE", "value": ENGINES}


def _probes(container: Container) -> Data:
    """Probes by the name of the port; slow loading is the startup probe's business alone."""
    name, _ = container.ports.named[0]

    def get(path: str) -> Data:
        return {"path": path, "port": name}

    return {
        "startupProbe": probe_start(get("/v2/health/ready"), load_seconds(container)),
        "readinessProbe": {"httpGet": get("/v2/health/ready"), "periodSeconds": PROBE_SECONDS},
        "livenessProbe": {
            "httpGet": get("/v2/health/live"),
            "periodSeconds": PROBE_SECONDS,
            "timeoutSeconds": PROBE_SECONDS,
        },
    }


def _fetch_words(shipment: DownloadShipment, target: str) -> Iterable[Value]:
    """Yield the arguments of the runtime's command that downloads."""
    yield from (shipment.uri, target, *shipment.beside)
    for digest in shipment.digests:
        yield from ("--sha256", digest)
    if shipment.packed:
        yield "--unpack"


def _volume(shipment: Shipment) -> str:
    return f"graphc-{shipment.node}"


def _mount(shipment: Shipment, *, read_only: bool) -> Data:
    mount: Data = {"name": _volume(shipment), "mountPath": f"{ARTEFACTS}/{shipment.node}"}
    if isinstance(shipment, ClaimShipment | ConfigMapShipment) and shipment.folder:
        mount["subPath"] = shipment.folder
    return mount | ({"readOnly": True} if read_only else {})


def _source(shipment: Shipment) -> Data:
    match shipment:
        case ConfigMapShipment():
            items: list[Value] = [{"key": key, "path": path} for key, path in shipment.paths]
            return {"configMap": {"name": shipment.name, "items": items}}
        case ClaimShipment():
            return {"persistentVolumeClaim": {"claimName": shipment.claim, "readOnly": True}}
        case DownloadShipment() | LocalShipment():
            return {"emptyDir": {}}
