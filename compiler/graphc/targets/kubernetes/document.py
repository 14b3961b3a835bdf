"""Emits a graph's objects: config maps, the Deployments of its predictors with what goes with them, and routes."""

import json
from collections.abc import Mapping

from graphc.packages.annotation import write_annotation
from graphc.rollout.shares import ANNOTATION
from graphc.targets.interface import Data, Emission
from graphc.targets.kubernetes.engine import ship_graph
from graphc.targets.kubernetes.workload import emit_workload, engine_amount
from graphc.targets.pods.documents import write_config_map, write_metadata
from graphc.targets.pods.emission import collect_emission
from graphc.targets.pods.layout import Layout, Predictor
from graphc.targets.pods.route_versions import list_shadows
from graphc.targets.routes.emit_routes import emit_routes
from graphc.targets.shipping import ConfigMapShipment


def emit_graph(layout: Layout) -> Emission:
    """Return all objects, each after those that it needs, and what has to be there for them."""
    deployable, settings = layout.deployable, layout.deployable.settings
    annotations = _annotations(layout)
    maps: dict[str, ConfigMapShipment] = {}
    workloads: list[Data] = []
    for predictor in layout.predictors:
        graph = _find_graph(layout, predictor)
        maps |= {each.name: each for each in (*predictor.config_maps, *([graph] if graph else []))}
        for pod in predictor.pods:
            carried = graph if pod.has_walker else None
            told: Mapping[str, str] = {} if pod.index else annotations
            workloads += emit_workload(layout, predictor, pod, carried, told)
    routes: list[Data] = []
    if deployable.is_for_cluster:
        routes = emit_routes(layout.routing, lambda name: write_metadata(settings, name))
    written = [write_config_map(settings, each) for each in maps.values()]
    return collect_emission(layout, [*written, *workloads, *routes], engine_amount(deployable.profile))


def _find_graph(layout: Layout, predictor: Predictor) -> ConfigMapShipment | None:
    if not any(pod.has_walker for pod in predictor.pods):
        return None
    return ship_graph(predictor, is_shadow=predictor.version.name in list_shadows(layout.routing.rollout))


def _annotations(layout: Layout) -> Mapping[str, str]:
    """Return what the Deployment of every version says of the whole graph; no pod is told, and none restarts of it."""
    deployable = layout.deployable
    told = write_annotation({each.name: each.settings.requirements for each in deployable.versions})
    if len(deployable.versions) > 1:
        shares = json.dumps(deployable.rollout.to_json(), separators=(",", ":"))
        told |= {ANNOTATION: shares}
    return told | deployable.settings.comparing.annotations()
