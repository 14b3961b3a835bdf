"""Collects what goes with a graph's documents: what they take of nodes, and what has to be there for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from graphc.hardware.assign import Landing
from graphc.hardware.peak import PodAsk
from graphc.hardware.pod_asks import Amount, describe_pods
from graphc.ir.graph import Host, Resources
from graphc.quantities import parse_quantity
from graphc.targets.interface import Data, Emission, UnitImage, Version
from graphc.targets.pods.container import LOADER
from graphc.targets.pods.documents import sign
from graphc.targets.pods.layout import Layout, Pod
from graphc.targets.shipping import ClaimShipment, DownloadShipment, LocalShipment, Shipment
from graphc.targets.storing import Upload

_LOADER: Final = Amount(parse_quantity(LOADER["cpu"]), parse_quantity(LOADER["memory"]))


def collect_emission(layout: Layout, documents: Sequence[Data], walker: Amount) -> Emission:
    """Return the documents, signed, with what goes with them; `walker` is what one asks for."""
    sign(documents)
    versions = layout.deployable.versions
    return Emission(
        tuple(documents),
        local=_list_local(layout),
        landings=_list_landings(layout),
        pods=describe_asks(layout, walker),
        uploads=_list_uploads(layout),
        images={each.name: UnitImage(each.settings.image, each.settings.requirements) for each in versions},
    )


def describe_asks(layout: Layout, walker: Amount) -> tuple[PodAsk, ...]:
    """Return what the pods take of a cluster, with what a walker asks for; a run on this machine has none."""
    pods = layout.pods if layout.deployable.is_for_cluster else ()
    return tuple(_describe(version, pod, walker) for version, pod in pods)


def _describe(version: Version, pod: Pod, walker: Amount) -> PodAsk:
    is_loaded = any(isinstance(each, DownloadShipment) for c in pod.containers for each in c.shipments)
    return describe_pods(
        f"{version.name}/{pod.units[0].name}",
        pod.units,
        version.settings.resources,
        pod.hardware,
        version.count_pods(pod.scaling.most if pod.scaling else pod.replicas),
        [*([walker] if pod.has_walker else []), *(_amount(server.host) for server in pod.servers)],
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
