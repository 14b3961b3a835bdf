"""Emits a SeldonDeployment with its config maps and routes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from graphc.hardware.assign import Landing
from graphc.hardware.peak import PodAsk
from graphc.hardware.pod_asks import Amount, describe_pods
from graphc.ir.graph import Host, Resources, Value
from graphc.packages.annotation import write_annotation
from graphc.quantities import parse_quantity
from graphc.rollout.model import ANNOTATION, Rollout
from graphc.targets.model import Data, Emission, Settings, UnitImage, Version
from graphc.targets.routes.emit_routes import emit_routes
from graphc.targets.routes.routing import Routing
from graphc.targets.seldon.container import LOADER
from graphc.targets.seldon.ending import longest_ms
from graphc.targets.seldon.pods import Layout, Pod
from graphc.targets.seldon.predictor import emit_predictor
from graphc.targets.shipping import (
    ClaimShipment,
    ConfigMapShipment,
    DownloadShipment,
    LocalShipment,
    Shipment,
)
from graphc.targets.storing import Upload
from graphc.version import VERSION

UNUSED_HOST: Final = "operator.seldon.invalid"
"""Where the operator's own routes lead from when graphc writes them: no client can ask for it (RFC 2606)."""

_EXECUTOR: Final = Amount(0.5, 512 * 2**20)
"""Seldon's executor, as the operator asks for it where its installation says nothing else."""
_LOADER: Final = Amount(parse_quantity(LOADER["cpu"]), parse_quantity(LOADER["memory"]))


def emit_deployment(layout: Layout) -> Emission:
    """Return config maps, the SeldonDeployment and its routes, and what has to be there for them."""
    deployable, routing = layout.deployable, layout.routing
    settings, versions = deployable.settings, deployable.versions
    spec: Data = {
        "protocol": "v2",
        "predictors": [emit_predictor(layout, predictor) for predictor in layout.predictors],
    }
    timeouts = _timeouts(versions)
    if timeouts:
        spec["annotations"] = timeouts
    told = _ingress_annotations(routing) if deployable.is_for_cluster else {}
    told |= write_annotation({each.name: each.settings.requirements for each in versions})
    told |= {**_rollout_annotation(deployable.rollout), **settings.comparing.annotations()}
    deployment: Data = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": _metadata(settings, settings.name, told),
        "spec": spec,
    }
    maps = {each.name: each for predictor in layout.predictors for each in predictor.config_maps}
    routes: list[Data] = []
    if deployable.is_for_cluster:
        routes = emit_routes(routing, lambda name: _metadata(settings, name))
    documents = (*(_config_map(settings, each) for each in maps.values()), deployment, *routes)
    _sign(documents)
    images = {each.name: UnitImage(each.settings.image, each.settings.requirements) for each in versions}
    return Emission(
        documents,
        local=_list_local(layout),
        landings=_list_landings(layout),
        pods=describe_asks(layout),
        uploads=_list_uploads(layout),
        images=images,
    )


def describe_asks(layout: Layout) -> tuple[PodAsk, ...]:
    """Return what the pods take of a cluster; a run on this machine has none."""
    pods = layout.pods if layout.deployable.is_for_cluster else ()
    return tuple(_describe(version, pod) for version, pod in pods)


def _describe(version: Version, pod: Pod) -> PodAsk:
    is_loaded = any(isinstance(each, DownloadShipment) for c in pod.containers for each in c.shipments)
    return describe_pods(
        f"{version.name}/{pod.units[0].name}",
        pod.units,
        version.settings.resources,
        pod.hardware,
        version.count_pods(pod.scaling.most if pod.scaling else pod.replicas),
        [*([_EXECUTOR] if pod.has_executor else []), *(_amount(server.host) for server in pod.servers)],
        [_LOADER] if is_loaded else [],
    )


def _amount(host: Host) -> Amount:
    resources = host.resources or Resources()
    return Amount(parse_quantity(resources.cpu or "0"), parse_quantity(resources.memory or "0"))


def _shipments(layout: Layout) -> Iterator[tuple[str, Shipment]]:
    """Yield how all artefacts travel, with the predictor that each is for."""
    for predictor in layout.predictors:
        servers = [server for pod in predictor.pods for server in pod.servers]
        for each in (*predictor.containers, *servers):
            yield from ((predictor.version.name, shipment) for shipment in each.shipments)


def _list_local(layout: Layout) -> tuple[tuple[str, LocalShipment], ...]:
    found = {(name, each.node): each for name, each in _shipments(layout) if isinstance(each, LocalShipment)}
    return tuple((name, each) for (name, _), each in found.items())


def _list_uploads(layout: Layout) -> tuple[Upload, ...]:
    found: dict[str, Upload] = {}
    for _, shipment in _shipments(layout):
        if isinstance(shipment, DownloadShipment | ClaimShipment):
            found.update((each.uri, each) for each in shipment.uploads)
    return tuple(found[uri] for uri in sorted(found))


def _list_landings(layout: Layout) -> Mapping[str, tuple[Landing, ...]]:
    return {
        predictor.version.name: tuple(each for pod in predictor.pods for each in pod.hardware.landings)
        for predictor in layout.predictors
    }


def _metadata(settings: Settings, name: str, added: Mapping[str, str] | None = None) -> Data:
    """Metadata with graphc's labels; the user's own win over none of them."""
    labels = dict(settings.labels) | {
        "app.kubernetes.io/managed-by": "graphc",
        "app.kubernetes.io/part-of": settings.name,
    }
    annotations = dict(settings.annotations) | dict(added or {}) | {"graphc.dev/version": VERSION}
    metadata: Data = {"name": name}
    if settings.namespace is not None:
        metadata["namespace"] = settings.namespace
    metadata["labels"] = dict[str, Value](sorted(labels.items()))
    metadata["annotations"] = dict[str, Value](sorted(annotations.items()))
    return metadata


def _config_map(settings: Settings, shipment: ConfigMapShipment) -> Data:
    document: Data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(settings, shipment.name)}
    document["immutable"] = True
    if shipment.text:
        document["data"] = dict[str, Value](shipment.text)
    if shipment.binary:
        document["binaryData"] = dict[str, Value](shipment.binary)
    return document


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
    longest = [ms for version in versions if (ms := longest_ms(version.plan.deadline_ms)) is not None]
    if not longest:
        return {}
    milliseconds = str(max(longest))
    return {"seldon.io/grpc-timeout": milliseconds, "seldon.io/rest-timeout": milliseconds}


def _sign(documents: Sequence[Data]) -> None:
    digest = hashlib.sha256(json.dumps(documents, separators=(",", ":")).encode()).hexdigest()
    for document in documents:
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        annotations = metadata.setdefault("annotations", {})
        assert isinstance(annotations, dict)
        annotations["graphc.dev/content-hash"] = f"sha256:{digest}"
        metadata["annotations"] = dict(sorted(annotations.items()))
