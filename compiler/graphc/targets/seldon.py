"""Emits SeldonDeployments (Seldon Core v1, protocol v2) and the config maps that they mount."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final
from urllib.parse import urlencode

from graphc.compare.gates import ANNOTATION as GATES
from graphc.compare.settings import ANNOTATION as COMPARE
from graphc.compare.settings import read_settings
from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.limits import EXECUTOR_FULL, NEEDS_SERVER_SIDE, TOO_LARGE
from graphc.gpus.ask import Engine, GpuAsk
from graphc.gpus.peak import PodAsk
from graphc.gpus.pools import Pool
from graphc.gpus.share_memory import share_memory
from graphc.graph import Autoscaling, ModelWork, PythonWork, Resources, Value, Variable
from graphc.packages.annotation import write_annotation
from graphc.packages.requirements import Requirements
from graphc.plan import Plan, Unit
from graphc.profiles.profile import Ingress, Scaler
from graphc.quantities import parse_quantity
from graphc.records import record
from graphc.rollout.model import ANNOTATION, Rollout
from graphc.targets.autoscaling import ScaledPod, emit_autoscaler
from graphc.targets.check_capacity import EXECUTOR, Amount, check_capacity, describe_pods
from graphc.targets.cpu_operators import check_operators
from graphc.targets.ending import Ending, choose_ending
from graphc.targets.hardware import (
    Hardware,
    Landing,
    Load,
    ask_of,
    choose_hardware,
    limit_memory,
    name_device,
)
from graphc.targets.istio import STICKY_LABEL, UNUSED_HOST, sticky_service
from graphc.targets.ports import Ports, choose_ports, emit_ports
from graphc.targets.predictor_size import MAX_STRING, reckon_predictor
from graphc.targets.predictor_size import MOST as MOST_PREDICTOR
from graphc.targets.region import describe_region
from graphc.targets.route_parts import Calls, find_backend
from graphc.targets.routes import Routed, Routing, check_routing, emit_routes, traffic_of
from graphc.targets.shipping import (
    MOST_REGION,
    REGION_FILE,
    VARIANTS,
    ClaimShipment,
    ConfigMapShipment,
    DownloadShipment,
    LocalShipment,
    Purpose,
    Shipment,
    Store,
    ship_node,
    ship_region,
)
from graphc.targets.storing import Upload
from graphc.version import VERSION

Data = dict[str, Value]

ARTEFACTS: Final = "/mnt/graphc"
"""Where a unit finds its artefacts; `GRAPHC_ARTIFACTS` tells the runtime where else."""

REGIONS: Final = "/mnt/graphc-region"
"""Where a unit finds its region, if that is too large for a variable."""

SCRATCH: Final = "/tmp"
"""The one folder that a unit may write to: metrics, what libraries keep for themselves, temporary files."""

# A string of the environment has a name and an end.
MAX_VARIABLE: Final = MAX_STRING - 64

# What a region that is a file still takes in the manifest: its path, mount, volume and config map.
FILED_BYTES: Final = 300

# Kubernetes limits all annotations of an object together, and client-side apply writes the object into one.
MAX_ANNOTATION: Final = 262_144 - 1024

# A unit says itself that the deadline has passed; its answer needs this long to arrive before the call is cut.
ANSWER_MS: Final = 500

# A unit that does not say how long it loads gets this many seconds before it is restarted.
LOAD_SECONDS: Final = 120
PROBE_SECONDS: Final = 5

LOADER: Final[Mapping[str, str]] = {"cpu": "100m", "memory": "256Mi"}
"""What a container asks for that downloads artefacts before the others start."""
_LOADER: Final = Amount(parse_quantity(LOADER["cpu"]), parse_quantity(LOADER["memory"]))
# TensorRT tries kernels for each layer of a model before it is ready, where no engine of it was kept.
ENGINE_SECONDS: Final = 900

ENGINES: Final = "/mnt/graphc-engines"
"""Where a unit keeps the engines that TensorRT builds."""


@record
class Comparing:
    """How versions are compared: the annotations that say it, and the service that hears of their answers."""

    gates: str = "{}"
    settings: str | None = None
    url: str | None = None

    def annotations(self) -> dict[str, str]:
        """Return what the deployment carries of it."""
        found = {} if self.gates == "{}" else {GATES: self.gates}
        return found if self.settings is None else found | {COMPARE: self.settings}


@record
class Settings:
    """What a graph file says of its deployment as a whole."""

    name: str
    namespace: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    image: str
    pull_secret: str | None
    resources: Resources | None
    workers: int | None
    replicas: int | None
    store: Store | None
    service_account: str | None
    executor: bool | None
    at: Span
    sticky_at: Span
    comparing: Comparing = Comparing()
    pools: tuple[Pool, ...] | None = None
    """The nodes of the cluster, where they are known."""
    scaler: Scaler = field(default_factory=Scaler)
    autoscaling: Autoscaling | None = None
    requirements: Requirements = Requirements()
    """What the image has beyond the runtime's own."""


@record
class Version:
    """A predictor: a plan, and what it has otherwise than the graph."""

    name: str
    plan: Plan
    replicas: int | None
    autoscaling: Autoscaling | None
    settings: Settings
    at: Span
    alias: str | None = None
    """Another name by which clients ask for it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which clients ask for it."""
        return (self.name,) if self.alias is None else (self.name, self.alias)

    def calls(self, *, has_engine: bool) -> Calls:
        """Return which gRPC calls it survives."""
        if not has_engine:
            return "all"
        return "some" if {unit.type for unit in self.plan.root.walk()} == {"MODEL"} else "none"

    @property
    def pods(self) -> int | None:
        """Return how many pods take the requests; None where that changes with the load."""
        # The first pod takes them: it carries the executor.
        units = _pods([*self.plan.root.walk()])[0]
        if self.scaling_of(units) is not None:
            return None
        return self.count_pods(units[0].region.placement.replicas)

    def scaling_of(self, units: Sequence[Unit]) -> Autoscaling | None:
        """Return how the replicas of a pod follow the load; None where their number is fixed."""
        if _scales_alone(units[0]):
            return units[0].region.placement.autoscaling
        if self.autoscaling is not None or self.replicas is not None:
            return self.autoscaling
        return self.settings.autoscaling

    def count_pods(self, own: int | None) -> int:
        """Return how many pods there are of a container that says so itself, or leaves it to the version."""
        counts = (own, self.replicas, self.settings.replicas, 1)
        return next(count for count in counts if count is not None)


@record
class UnitImage:
    """The image of the units that name none of their own, and what it has beyond the runtime's."""

    name: str
    requirements: Requirements


@record
class Emission:
    """The documents, and for a run on this machine the files that stand for mounted artefacts."""

    documents: tuple[Data, ...]
    local: tuple[tuple[str, LocalShipment], ...]
    """With the predictor that each is for: its nodes may have other files than those of the next."""
    landings: Mapping[str, tuple[Landing, ...]] = field(default_factory=dict[str, tuple[Landing, ...]])
    """By predictor, where its units run; nothing of a cluster whose nodes are not known."""
    pods: tuple[PodAsk, ...] = ()
    """What the pods take of nodes, in the order of the documents."""
    uploads: tuple[Upload, ...] = ()
    """What the store has to hold before pods start."""
    images: Mapping[str, UnitImage] = field(default_factory=dict[str, UnitImage])
    """By predictor, the image that its units run in."""


def emit_deployment(
    settings: Settings,
    versions: Sequence[Version],
    rollout: Rollout,
    ingress: Ingress,
    purpose: Purpose,
    sink: Sink,
) -> Emission | None:
    """Return config maps, the SeldonDeployment and its routes; None, with the reason in the sink, if it cannot be."""
    emitting = _Emitting(settings, purpose, sink, {}, {}, [], {}, {})
    has_engine = needs_engine(settings, versions)
    routing = _routing(settings, versions, rollout, ingress)
    if purpose == "cluster":
        check_routing(routing, sink)
    shadows = {each.predictor for each in rollout.mirrors}
    predictors = [
        replace(emitting, current=version.name, names=version.names, settings=version.settings).predictor(
            version, routing, has_engine
        )
        # Ambassador takes the weight of all but the first, which should not be a shadow's.
        for version in sorted(versions, key=lambda each: each.name in shadows)
    ]
    if settings.pools is not None and not sink.has_errors:
        check_capacity(emitting.pods, settings.pools, settings.at, sink)
    if sink.has_errors:
        return None
    spec: Data = {"protocol": "v2", "predictors": list[Value](predictors)}
    timeouts = _timeouts(versions)
    if timeouts:
        spec["annotations"] = timeouts
    told = _ingress_annotations(routing) if purpose == "cluster" else {}
    told |= write_annotation({each.name: each.settings.requirements for each in versions})
    maps = [emitting.config_map(each) for each in emitting.config_maps.values()]
    deployment: Data = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": emitting.metadata(
            settings.name,
            {**told, **_rollout_annotation(rollout), **settings.comparing.annotations()},
        ),
        "spec": spec,
    }
    routes = emit_routes(routing, emitting.metadata) if purpose == "cluster" else []
    documents = (*maps, deployment, *routes)
    _sign(documents)
    for document in documents:
        _check_size(document, settings, purpose, sink)
    local = tuple((name, each) for (name, _), each in emitting.local.items())
    uploads = tuple(emitting.uploads[uri] for uri in sorted(emitting.uploads))
    images = {each.name: UnitImage(each.settings.image, each.settings.requirements) for each in versions}
    return Emission(documents, local, emitting.landings, tuple(emitting.pods), uploads, images)


def _routing(settings: Settings, versions: Sequence[Version], rollout: Rollout, ingress: Ingress) -> Routing:
    has_engine = needs_engine(settings, versions)
    predictors = {
        version.name: Routed(
            find_backend(settings.name, version.name),
            version.pods,
            _longest_ms(version),
            version.at,
            version.names,
            version.calls(has_engine=has_engine),
        )
        for version in versions
    }
    return Routing(
        settings.name, settings.namespace, rollout, ingress, predictors, settings.at, settings.sticky_at
    )


def _longest_ms(version: Version) -> int | None:
    """Return how long a request takes at most, until its answer has arrived."""
    return None if version.plan.deadline_ms is None else version.plan.deadline_ms + ANSWER_MS


def _rollout_annotation(rollout: Rollout) -> Mapping[str, str]:
    """Return what tells a local run, and whoever changes the graph, how the requests are shared."""
    if rollout.is_plain:
        return {}
    return {ANNOTATION: json.dumps(rollout.to_json(), separators=(",", ":"))}


def _ingress_annotations(routing: Routing) -> dict[str, str]:
    own = dict(routing.ingress.annotations)
    if routing.ingress.kind == "istio" and routing.is_ours:
        # The operator writes a route all the same; on the same host it would stand beside ours.
        own["seldon.io/istio-host"] = UNUSED_HOST
    return own


def _timeouts(versions: Sequence[Version]) -> Data:
    """Return the annotations that limit the executor's calls, and Ambassador's routes, to the deadline.

    On the spec the operator puts them on every pod, where the executor reads them, and finds them for Ambassador.
    """
    deadlines = [version.plan.deadline_ms for version in versions if version.plan.deadline_ms is not None]
    if not deadlines:
        return {}
    milliseconds = str(max(deadlines) + ANSWER_MS)
    return {"seldon.io/grpc-timeout": milliseconds, "seldon.io/rest-timeout": milliseconds}


def needs_engine(settings: Settings, versions: Sequence[Version]) -> bool:
    """Say whether Seldon's executor has to stand in front: admission refuses a mixture."""
    # It is the executor that logs what it sees.
    is_logged = settings.comparing.url is not None
    return bool(settings.executor) or is_logged or any(version.plan.root.children for version in versions)


def _check_size(document: Data, settings: Settings, purpose: Purpose, sink: Sink) -> None:
    size = len(json.dumps(document, separators=(",", ":")).encode())
    if size > MAX_ANNOTATION and purpose == "cluster":
        metadata = document["metadata"]
        name = metadata["name"] if isinstance(metadata, dict) else ""
        limit = f"`kubectl apply` keeps a copy in an annotation of {MAX_ANNOTATION:,}"
        message = f"`{name}` has {size:,} bytes, and {limit}"
        hint = "apply it with `kubectl apply --server-side`, which keeps none"
        sink.report(Diagnostic(NEEDS_SERVER_SIDE, message, settings.at, hint))


def _sign(documents: Sequence[Data]) -> None:
    digest = hashlib.sha256(json.dumps(documents, separators=(",", ":")).encode()).hexdigest()
    for document in documents:
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        annotations = metadata.setdefault("annotations", {})
        assert isinstance(annotations, dict)
        annotations["graphc.dev/content-hash"] = f"sha256:{digest}"
        metadata["annotations"] = dict(sorted(annotations.items()))


@record
class _Emitting:
    settings: Settings
    purpose: Purpose
    sink: Sink
    config_maps: dict[str, ConfigMapShipment]
    local: dict[tuple[str, str], LocalShipment]
    pods: list[PodAsk]
    landings: dict[str, tuple[Landing, ...]]
    uploads: dict[str, Upload]
    current: str = ""
    """The predictor that is being emitted."""
    names: tuple[str, ...] = ()
    """The names by which clients ask for it."""

    def metadata(self, name: str, added: Mapping[str, str] | None = None) -> Data:
        """Metadata with graphc's labels; the user's own win over none of them."""
        labels = dict(self.settings.labels) | {
            "app.kubernetes.io/managed-by": "graphc",
            "app.kubernetes.io/part-of": self.settings.name,
        }
        annotations = dict(self.settings.annotations) | dict(added or {}) | {"graphc.dev/version": VERSION}
        metadata: Data = {"name": name}
        if self.settings.namespace is not None:
            metadata["namespace"] = self.settings.namespace
        metadata["labels"] = dict[str, Value](sorted(labels.items()))
        metadata["annotations"] = dict[str, Value](sorted(annotations.items()))
        return metadata

    def config_map(self, shipment: ConfigMapShipment) -> Data:
        document: Data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(shipment.name)}
        document["immutable"] = True
        if shipment.text:
            document["data"] = dict[str, Value](shipment.text)
        if shipment.binary:
            document["binaryData"] = dict[str, Value](shipment.binary)
        return document

    def predictor(self, version: Version, routing: Routing, has_engine: bool) -> Data:
        units = list(version.plan.root.walk())
        predictor: Data = {"name": version.name, "traffic": traffic_of(routing.rollout)[version.name]}
        if routing.rollout.is_plain and version.name in {each.predictor for each in routing.rollout.mirrors}:
            predictor["shadow"] = True
        replicas = version.settings.replicas if version.replicas is None else version.replicas
        if replicas is not None:
            predictor["replicas"] = replicas
        if not has_engine:
            predictor["annotations"] = {"seldon.io/no-engine": "true"}
        shadows = {each.predictor for each in routing.rollout.mirrors}
        predictor["graph"] = graph = _graph(version.plan.root)
        made = [self._pod(version, index, group, has_engine) for index, group in enumerate(_pods(units))]
        pods = [each.document for each in made]
        predictor["componentSpecs"] = list[Value](pods)
        if has_engine and self.purpose == "cluster":
            self._fit_executor(predictor, version, made)
        if self.settings.comparing.url is not None:
            content = _name_content(graph, pods)
            graph["logger"] = _logger(self.settings.comparing, content, shadow=version.name in shadows)
        if self.purpose == "cluster" and routing.ingress.kind == "istio":
            self._mark_sticky(pods[0], version, routing)
        return predictor

    def _fit_executor(self, predictor: Data, version: Version, pods: Sequence["_Pod"]) -> None:
        """File regions, the largest first, until the executor's environment takes what it is told of the predictor."""
        name, namespace = self.settings.name, self.settings.namespace
        left = sorted(
            ((pod, each) for pod in pods for each in pod.containers if each.inline_size),
            key=lambda found: (found[1].inline_size, found[1].name),
        )
        while (size := reckon_predictor(name, namespace, predictor)) > MOST_PREDICTOR and left:
            excess, changed = size - MOST_PREDICTOR, list[_Pod]()
            while excess > 0 and left:
                pod, container = left.pop()
                excess -= container.inline_size
                container.file_region()
                changed.append(pod)
            for pod in changed:
                pod.fill()
        if size > MOST_PREDICTOR:
            count = sum(len(pod.containers) for pod in pods)
            written = 4 * math.ceil(size / 3)
            message = (
                f"the {count} units of `{version.name}` are {written:,} characters in the executor's environment, "
                f"and Linux takes {MAX_STRING:,}"
            )
            hint = (
                "let nodes share units: without `-O0` or `placement: separate`, or by one `unit:` for several"
            )
            self.sink.report(Diagnostic(EXECUTOR_FULL, message, version.at, hint))

    def _mark_sticky(self, pod: Data, version: Version, routing: Routing) -> None:
        service = sticky_service(self.settings.name, routing.rollout, version.name)
        if service is not None:
            pod["metadata"] = {"labels": {STICKY_LABEL: service}}

    def _pod(self, version: Version, index: int, units: Sequence[Unit], has_engine: bool) -> "_Pod":
        hardware = self._hardware(version, units)
        # The operator puts its executor into the first pod.
        is_first = has_engine and not index
        containers = self._containers(version, units, hardware, is_first=is_first, has_engine=has_engine)
        spec: Data = dict(hardware.pod)
        if self.settings.service_account is not None:
            spec["serviceAccountName"] = self.settings.service_account
        else:
            # Nothing in a unit asks the API server.
            spec["automountServiceAccountToken"] = False
        if self.settings.pull_secret is not None:
            spec["imagePullSecrets"] = [{"name": self.settings.pull_secret}]
        loaders = [loader for container in containers for loader in container.loaders()]
        if loaders:
            spec["initContainers"] = list[Value](loaders)
        if self.purpose == "cluster":
            spec["terminationGracePeriodSeconds"] = containers[0].ending.pod_seconds
            self._count(version, units, hardware, has_engine=is_first, has_loaders=bool(loaders))
        pod: Data = {}
        placement = units[0].region.placement
        if placement.replicas is not None:
            pod["replicas"] = placement.replicas
        scaling = version.scaling_of(units)
        # On this machine nothing follows a load.
        if scaling is not None and self.purpose == "cluster":
            scaled = self._scaled(version, index, units, hardware, has_engine)
            pod |= emit_autoscaler(scaling, scaled, self.settings.scaler, self.sink)
        pod["spec"] = spec
        made = _Pod(pod, spec, containers)
        made.fill()
        return made

    def _containers(
        self,
        version: Version,
        units: Sequence[Unit],
        hardware: Hardware,
        *,
        is_first: bool,
        has_engine: bool,
    ) -> list["_Container"]:
        ports = choose_ports((unit.name for unit in units), is_entry=not has_engine)
        ending = choose_ending(_longest_ms(version), has_executor=is_first)
        return [_Container(self, version.plan, unit, hardware, ports[unit.name], ending) for unit in units]

    def _scaled(
        self, version: Version, index: int, units: Sequence[Unit], hardware: Hardware, has_engine: bool
    ) -> ScaledPod:
        return ScaledPod(
            self.settings.name,
            version.name,
            self.settings.namespace,
            index,
            tuple(units),
            self.settings.resources,
            hardware,
            has_executor=has_engine and index == 0,
            is_called=not has_engine,
        )

    def _hardware(self, version: Version, units: Sequence[Unit]) -> Hardware:
        """Choose the GPUs of a pod; a run on this machine takes what is there."""
        if self.purpose == "local":
            return Hardware()
        given, pools = version.settings.resources, self.settings.pools
        loads = {unit.name: _load(version, unit) for unit in units}
        check_operators(units, given, self.settings.at, self.sink)
        found = choose_hardware(units, given, self.settings.at, pools, loads, self.sink)
        self.landings[version.name] = self.landings.get(version.name, ()) + found.landings
        return found

    def _count(
        self,
        version: Version,
        units: Sequence[Unit],
        hardware: Hardware,
        *,
        has_engine: bool,
        has_loaders: bool,
    ) -> None:
        """Remember what the pods take of a cluster."""
        placement, name = units[0].region.placement, f"{version.name}/{units[0].name}"
        scaling = version.scaling_of(units)
        pods = version.count_pods(scaling.most if scaling else placement.replicas)
        beside = [EXECUTOR] if has_engine else []
        before = [_LOADER] if has_loaders else []
        given = version.settings.resources
        self.pods.append(describe_pods(name, units, given, hardware, pods, beside, before))

    def ship(self, unit: Unit) -> list[Shipment]:
        """Return the shipments of a unit, remembering what is emitted beside the deployment."""
        found: list[Shipment] = []
        for node in unit.region.nodes:
            shipment = ship_node(self.settings.name, node, self.settings.store, self.purpose, self.sink)
            if isinstance(shipment, ConfigMapShipment):
                self.config_maps[shipment.name] = shipment
            if isinstance(shipment, LocalShipment):
                self.local[self.current, shipment.node] = shipment
            if isinstance(shipment, DownloadShipment | ClaimShipment):
                self.uploads.update((each.uri, each) for each in shipment.uploads)
            if shipment is not None:
                found.append(shipment)
        return found


def _graph(unit: Unit) -> Data:
    return {"name": unit.name, "type": unit.type, "children": [_graph(child) for child in unit.children]}


def _name_content(graph: Data, pods: Sequence[Data]) -> str:
    """Return a name for what a predictor runs, however many pods it has."""
    text = json.dumps([graph, *(pod["spec"] for pod in pods)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _logger(comparing: Comparing, content: str, *, shadow: bool) -> Data:
    """Return how the root tells what the whole tree took and gave; the address says in which role, and how much.

    It names the content too: what answered before a change says nothing of what answers after it.
    """
    role = "shadow" if shadow else "live"
    settings = read_settings(comparing.settings)
    asked = {"sample": f"{settings.sample:g}"} if settings.sample < 1 else {}
    asked |= {"segment": settings.segment} if settings.segment is not None else {}
    asked |= {"content": content}
    return {"mode": "all", "url": f"{comparing.url}/{role}?{urlencode(asked)}"}


def _pods(units: Sequence[Unit]) -> list[list[Unit]]:
    """Units that scale on their own get a pod each; the others share one, the executor's."""
    alone = [unit for unit in units if _scales_alone(unit)]
    shared = [unit for unit in units if not _scales_alone(unit)]
    return [group for group in (shared, *([unit] for unit in alone)) if group]


def _scales_alone(unit: Unit) -> bool:
    placement = unit.region.placement
    return placement.replicas is not None or placement.autoscaling is not None


def _load(version: Version, unit: Unit) -> Load:
    """Return the largest batch of a unit, as said or as a request is taken to have it, and its processes."""
    return Load(_rows(version.plan, unit), unit.region.placement.workers or version.settings.workers or 1)


def _rows(plan: Plan, unit: Unit) -> int:
    batch, costs = plan.batch_of(unit), plan.costs
    return batch.max_size if batch else costs.batch if costs else 1


@record
class _Pod:
    """A pod's part of a predictor, and the containers that it is filled with."""

    document: Data
    spec: Data
    containers: Sequence["_Container"]

    def fill(self) -> None:
        """Write the containers, as they are now, with what they mount."""
        self.spec["containers"] = [container.emit() for container in self.containers]
        volumes = {
            str(volume["name"]): volume for container in self.containers for volume in container.volumes()
        }
        if volumes:
            self.spec["volumes"] = list[Value](volumes.values())


class _Container:
    """The emission of one unit's container, with its init containers and volumes."""

    def __init__(
        self,
        emitting: _Emitting,
        plan: Plan,
        unit: Unit,
        hardware: Hardware,
        ports: Ports,
        ending: Ending,
    ) -> None:
        self._emitting, self._plan, self._unit, self._hardware_of = emitting, plan, unit, hardware
        self._ports, self.ending = ports, ending
        self._shipments = emitting.ship(unit)
        described = describe_region(plan, unit, self._part_memory())
        self._region = json.dumps(described, separators=(",", ":"), ensure_ascii=False)
        self._region_map: ConfigMapShipment | None = None
        if len(_escape(self._region).encode()) > MAX_VARIABLE:
            self.file_region()

    @property
    def name(self) -> str:
        """Return the unit's name."""
        return self._unit.name

    @property
    def inline_size(self) -> int:
        """Return how many bytes less a predictor has once the region is a file; 0 where that wins nothing."""
        if self._region_map is not None:
            return 0
        return max(0, len(json.dumps(_escape(self._region), ensure_ascii=False).encode()) - FILED_BYTES)

    def emit(self) -> Data:
        container: Data = {"name": self._unit.name, "image": self._image()}
        if self._is_for_cluster:
            container["ports"] = emit_ports(self._ports)
        container["env"] = list[Value](self._env())
        resources = _resources(
            self._unit.region.placement.resources or self._emitting.settings.resources,
            self._hardware_of.resources.get(self._unit.name),
        )
        if resources:
            container["resources"] = resources
        container |= _probes(self._load_seconds())
        if self._is_for_cluster:
            container["lifecycle"] = self.ending.emit_hook()
        container["securityContext"] = _security()
        mounts = [*self._scratch(), *self._artefacts()]
        if mounts:
            container["volumeMounts"] = list[Value](mounts)
        return container

    @property
    def _is_for_cluster(self) -> bool:
        return self._emitting.purpose == "cluster"

    def _scratch(self) -> list[Data]:
        """Return the mount of the folder that a unit may write to; on this machine it has the user's."""
        name = f"tmp-{self._unit.name}"
        return [{"name": name, "mountPath": SCRATCH}] if self._is_for_cluster else []

    def _artefacts(self) -> list[Data]:
        mounts = [_mount(shipment, read_only=True) for shipment in self._shipments]
        if self._region_map:
            mounts.append({"name": f"region-{self._unit.name}", "mountPath": REGIONS, "readOnly": True})
        if self._engine is not None:
            path: Data = {"subPath": self._engine.path} if self._engine.path else {}
            mounts.append({"name": f"engines-{self._unit.name}", "mountPath": ENGINES} | path)
        return mounts

    def loaders(self) -> Iterable[Data]:
        """Yield an init container for each download."""
        for shipment in self._shipments:
            if not isinstance(shipment, DownloadShipment):
                continue
            target = f"{ARTEFACTS}/{shipment.node}"
            yield self._loader(shipment, f"load-{shipment.node}", target)
            if shipment.cpu is not None:
                yield self._loader(shipment.cpu, f"variant-{shipment.node}", f"{target}/{VARIANTS}")

    def _loader(self, shipment: DownloadShipment, name: str, target: str) -> Data:
        loader: Data = {
            "name": name,
            "image": self._image(),
            "command": ["python", "-m", "graphc_runtimes.fetch", *_fetch_words(shipment, target)],
        }
        if self._is_for_cluster:
            loader["env"] = [_HOME]
        if shipment.credentials is not None:
            loader["envFrom"] = [{"secretRef": {"name": shipment.credentials}}]
        loader["resources"] = {"requests": dict(LOADER)}
        loader["securityContext"] = _security()
        loader["volumeMounts"] = [*self._scratch(), _mount(shipment, read_only=False)]
        return loader

    def volumes(self) -> Iterable[Data]:
        """Yield the volumes that the container mounts."""
        for scratch in self._scratch():
            yield {"name": scratch["name"], "emptyDir": {}}
        for shipment in self._shipments:
            yield {"name": _volume(shipment)} | _source(shipment)
        if self._region_map:
            yield {"name": f"region-{self._unit.name}"} | _source(self._region_map)
        if self._engine is not None:
            kept: Data = {"emptyDir": {}}
            if self._engine.claim is not None:
                kept = {"persistentVolumeClaim": {"claimName": self._engine.claim}}
            yield {"name": f"engines-{self._unit.name}"} | kept

    def file_region(self) -> None:
        """Have the region in a config map, for one that is too large for a variable."""
        settings, name = self._emitting.settings, self._unit.name
        shipment = ship_region(settings.name, name, self._region)
        if shipment is None:
            message = (
                f"the unit `{name}` needs {len(self._region):,} characters to describe its region, "
                f"and a unit reads {MOST_REGION:,}, or 1 MiB compressed"
            )
            is_shared = len(self._unit.region.nodes) > 1
            hint = "give some of its nodes units of their own" if is_shared else None
            self._emitting.sink.report(Diagnostic(TOO_LARGE, message, settings.at, hint))
            return
        self._emitting.config_maps[shipment.name] = self._region_map = shipment

    def _image(self) -> str:
        return self._unit.region.placement.image or self._emitting.settings.image

    def _load_seconds(self) -> float:
        works = [node.work for node in self._unit.region.nodes]
        said = [work.load_seconds for work in works if isinstance(work, ModelWork | PythonWork)]
        # Models load one after the other; twice the time leaves room for a busy machine.
        least = LOAD_SECONDS if self._engine is None else ENGINE_SECONDS
        return max(least, 2 * sum(seconds for seconds in said if seconds))

    def _env(self) -> Iterable[Data]:
        if self._region_map:
            yield {"name": "GRAPHC_REGION_FILE", "value": f"{REGIONS}/{REGION_FILE}"}
        else:
            yield {"name": "GRAPHC_REGION", "value": _escape(self._region)}
        yield {
            "name": "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION",
            "value": "graphc_runtimes.RegionRepository",
        }
        yield {"name": "MLSERVER_MODEL_IMPLEMENTATION", "value": "graphc_runtimes.RegionModel"}
        yield {"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"}
        # The executor forwards Accept-Encoding and cannot read what MLServer then compresses.
        yield {"name": "MLSERVER_GZIP_ENABLED", "value": "false"}
        yield {"name": "MLSERVER_METRICS_DIR", "value": SCRATCH}
        if len(self._emitting.names) > 1:
            # The operator tells a unit its predictor, and no other name of it.
            yield {"name": "GRAPHC_VERSIONS", "value": ",".join(self._emitting.names)}
        if self._is_for_cluster:
            yield {"name": "GRAPHC_GRACE_S", "value": str(self.ending.grace)}
            if all(each.name != _HOME["name"] for each in self._unit.region.placement.env):
                yield _HOME
        yield from self._hardware()
        yield from (_variable(each) for each in self._unit.region.placement.env)

    def _limit_memory(self, ask: GpuAsk) -> int | None:
        return limit_memory(ask, self._hardware_of.grants.get(self._unit.name), self._workers)

    def _part_memory(self) -> Mapping[str, int]:
        """Return what each of several models may take of a device that others share, in MiB by node."""
        ask = ask_of(self._unit, self._emitting.settings.resources)
        limit = None if ask is None else self._limit_memory(ask)
        if limit is None:
            return {}
        # onnx takes long to import, and only graphs that share GPUs need it.
        from graphc.gpus.region_memory import estimate_models

        needs = estimate_models(self._unit.region, _rows(self._plan, self._unit))
        return share_memory(limit, needs) if len(needs) > 1 else {}

    @property
    def _workers(self) -> int:
        return self._unit.region.placement.workers or self._emitting.settings.workers or 1

    def _hardware(self) -> Iterable[Data]:
        """Tell the runtime what the container gets: frameworks look at the whole machine instead."""
        resources = self._unit.region.placement.resources or self._emitting.settings.resources
        workers = self._workers
        if workers > 1:
            yield {"name": "GRAPHC_WORKERS", "value": str(workers)}
        if resources is None:
            return
        if resources.cpu is not None:
            threads = max(1, math.ceil(parse_quantity(resources.cpu) / workers))
            yield {"name": "GRAPHC_THREADS", "value": str(threads)}
        ask = ask_of(self._unit, self._emitting.settings.resources)
        # A run on this machine may have no GPU; on a cluster a unit that asked for one must not go without.
        if ask is not None and (self._emitting.purpose == "cluster" or ask.device == "prefer-gpu"):
            yield {"name": "GRAPHC_DEVICE", "value": name_device(ask)}
            yield from self._gpu(ask, workers)

    def _gpu(self, ask: GpuAsk, workers: int) -> Iterable[Data]:
        """Tell the runtime what it may take of GPUs, and how TensorRT makes models ready for them."""
        _, devices = self._hardware_of.resources.get(self._unit.name, ("", 0))
        if devices > 1 and workers > 1:
            yield {"name": "GRAPHC_GPUS", "value": str(devices)}
        limit = self._limit_memory(ask)
        if limit is not None:
            yield {"name": "GRAPHC_GPU_MEMORY_MIB", "value": str(limit)}
        if ask.engine is not None and ask.engine.fp16:
            yield {"name": "GRAPHC_TENSORRT_FP16", "value": "1"}
        if self._engine is not None:
            yield {"name": "GRAPHC_TENSORRT_CACHE", "value": ENGINES}

    @property
    def _engine(self) -> Engine | None:
        """How TensorRT runs the models; a run on this machine keeps nothing of it."""
        ask = ask_of(self._unit, self._emitting.settings.resources)
        return ask.engine if ask is not None and self._emitting.purpose == "cluster" else None


# Where libraries keep what they make for themselves; the image's own home is not there to be written to.
_HOME: Final[Data] = {"name": "HOME", "value": SCRATCH}


def _escape(text: str) -> str:
    """Kubernetes expands $(NAME) in a value, and takes $$ for a plain dollar."""
    return text.replace("$", "$$")


def _variable(variable: Variable) -> Data:
    if variable.value is not None:
        return {"name": variable.name, "value": variable.value}
    return {
        "name": variable.name,
        "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
    }


def _resources(resources: Resources | None, gpu: tuple[str, int] | None) -> Data:
    if resources is None:
        return {}
    requests: Data = {}
    limits: Data = {}
    if resources.cpu is not None:
        requests["cpu"] = resources.cpu
    if resources.memory is not None:
        requests["memory"] = limits["memory"] = resources.memory
    if gpu is not None:
        requests[gpu[0]] = limits[gpu[0]] = gpu[1]
    return {name: each for name, each in (("requests", requests), ("limits", limits)) if each}


def _probes(load_seconds: float) -> Data:
    """Probes by the port name that the operator gives; slow loading is the startup probe's business alone."""

    def get(path: str) -> Value:
        return {"path": path, "port": "http"}

    return {
        "startupProbe": {
            "httpGet": get("/v2/health/ready"),
            "periodSeconds": PROBE_SECONDS,
            "failureThreshold": math.ceil(load_seconds / PROBE_SECONDS),
        },
        "readinessProbe": {"httpGet": get("/v2/health/ready"), "periodSeconds": PROBE_SECONDS},
        "livenessProbe": {
            "httpGet": get("/v2/health/live"),
            "periodSeconds": PROBE_SECONDS,
            "timeoutSeconds": PROBE_SECONDS,
        },
    }


def _security() -> Data:
    """Return what Kubernetes' `restricted` pod security standard asks of a container, and nothing to write to."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
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
    if isinstance(shipment, ClaimShipment) and shipment.folder:
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
