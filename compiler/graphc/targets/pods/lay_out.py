"""Lays a graph out: which units share a pod, and what each container of it gets."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from graphc.gpus.share_memory import share_memory
from graphc.hardware.assign import Hardware, Load, ask_of, choose_hardware, limit_memory
from graphc.ir.graph import Host
from graphc.ir.plan import Plan, Unit
from graphc.targets.interface import Deployable, Settings, Version
from graphc.targets.pods.ending import Ending, end_alone, longest_ms
from graphc.targets.pods.layout import (
    MAX_VARIABLE,
    Container,
    Layout,
    Pod,
    Predictor,
    Sidecar,
    count_workers,
    escape,
    group_units,
    scaling_of,
)
from graphc.targets.pods.ports import Ports, choose_ports
from graphc.targets.pods.route_versions import order_versions
from graphc.targets.pods.rules import PodRules
from graphc.targets.pods.scaling import INFERENCES, UNIT_CALLS, ScaledPod
from graphc.targets.pods.servers import find_hosts
from graphc.targets.region import describe_region
from graphc.targets.routes.routing import Routing
from graphc.targets.shipping import ConfigMapShipment, TooLarge, ship_host, ship_node, ship_region


def lay_out(deployable: Deployable, routing: Routing, rules: PodRules) -> Layout:
    """Return the predictors with their pods and containers; what cannot be is in it for the checks to see."""
    versions = order_versions(deployable)
    return Layout(
        deployable, routing, tuple(_lay_out_version(deployable, version, rules) for version in versions)
    )


def file_region(container: Container) -> Container:
    """Return the container with its region in a config map, for one that is too large for a variable."""
    shipment = ship_region(container.settings.name, container.name, container.region)
    return replace(container, region_map=shipment, is_unreadable=shipment is None)


def _lay_out_version(deployable: Deployable, version: Version, rules: PodRules) -> Predictor:
    groups = group_units([*version.plan.root.walk()])
    pods = tuple(_lay_out_pod(deployable, version, index, units, rules) for index, units in enumerate(groups))
    maps = _config_maps(container for pod in pods for container in pod.containers)
    of_servers = [each for pod in pods for server in pod.servers for each in server.shipments]
    more = (each for each in of_servers if isinstance(each, ConfigMapShipment))
    return Predictor(version, pods, (*maps, *more))


def _config_maps(containers: Iterable[Container]) -> Iterator[ConfigMapShipment]:
    for container in containers:
        yield from (each for each in container.shipments if isinstance(each, ConfigMapShipment))
        if container.region_map is not None:
            yield container.region_map


def _lay_out_pod(
    deployable: Deployable, version: Version, index: int, units: Sequence[Unit], rules: PodRules
) -> Pod:
    settings, hardware = version.settings, _choose_hardware(deployable, version, units)
    is_walked = rules.has_walker(version)
    has_walker, longest = is_walked and not index, longest_ms(version.plan.deadline_ms)
    ports = choose_ports((unit.name for unit in units), is_entry=not is_walked)
    if is_walked and rules.numbers_ports:
        ports = {name: replace(each, is_numbered=True) for name, each in ports.items()}
    ending = rules.end_beside(longest) if has_walker else end_alone(longest)
    containers = tuple(
        _lay_out_container(deployable, version, unit, hardware, ports[unit.name], ending) for unit in units
    )
    scaled = ScaledPod(
        rules.name_deployment(version, index, units),
        settings.namespace,
        tuple(units),
        settings.resources,
        hardware,
        rules.walker_calls if has_walker else UNIT_CALLS if is_walked else INFERENCES,
    )
    servers = tuple(_lay_out_server(deployable, settings, host) for host in find_hosts(units))
    if rules.numbers_ports:
        servers = tuple(replace(each, port=f"http-{each.host.port}") for each in servers)
    scaling = scaling_of(version, units)
    return Pod(index, tuple(units), hardware, containers, has_walker, scaling, scaled, servers)


def _lay_out_server(deployable: Deployable, settings: Settings, host: Host) -> Sidecar:
    shipped = ship_host(settings.name, host, settings.store, deployable.purpose)
    if isinstance(shipped, TooLarge):
        return Sidecar(host, (), (shipped,))
    return Sidecar(host, () if shipped is None else (shipped,), ())


def _choose_hardware(deployable: Deployable, version: Version, units: Sequence[Unit]) -> Hardware:
    """Choose the GPUs of a pod; a run on this machine takes what is there."""
    if not deployable.is_for_cluster:
        return Hardware()
    loads = {
        unit.name: Load(_rows(version.plan, unit), count_workers(version.settings, unit)) for unit in units
    }
    settings = version.settings
    return choose_hardware(units, settings.resources, settings.at, deployable.profile.pools, loads)


def _rows(plan: Plan, unit: Unit) -> int:
    """Return the largest batch of a unit, as said or as a request is taken to have it."""
    batch, costs = plan.batch_of(unit), plan.costs
    return batch.max_size if batch else costs.batch if costs else 1


def _lay_out_container(
    deployable: Deployable, version: Version, unit: Unit, hardware: Hardware, ports: Ports, ending: Ending
) -> Container:
    settings = version.settings
    shipped = [
        ship_node(settings.name, node, settings.store, deployable.purpose) for node in unit.region.nodes
    ]
    ask = ask_of(unit, settings.resources)
    workers = count_workers(settings, unit)
    limit = None if ask is None else limit_memory(ask, hardware.grants.get(unit.name), workers)
    region = describe_region(version.plan, unit, _part_memory(version.plan, unit, limit))
    container = Container(
        unit,
        settings,
        version.names,
        deployable.is_for_cluster,
        hardware,
        ports,
        ending,
        shipments=tuple(each for each in shipped if each is not None and not isinstance(each, TooLarge)),
        too_large=tuple(each for each in shipped if isinstance(each, TooLarge)),
        memory_limit=limit,
        region=json.dumps(region, separators=(",", ":"), ensure_ascii=False),
    )
    return file_region(container) if len(escape(container.region).encode()) > MAX_VARIABLE else container


def _part_memory(plan: Plan, unit: Unit, limit: int | None) -> Mapping[str, int]:
    """Return what each of several models may take of a device that others share, in MiB by node."""
    if limit is None:
        return {}
    # onnx takes long to import, and only graphs that share GPUs need it.
    from graphc.hardware.region_memory import estimate_models

    needs = estimate_models(unit.region, _rows(plan, unit))
    return share_memory(limit, needs) if len(needs) > 1 else {}
