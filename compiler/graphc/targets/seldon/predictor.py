"""Emits a predictor: the tree of its units, its pods, and who logs what it answers."""

from collections.abc import Sequence

from graphc.ir.graph import Value
from graphc.ir.plan import Unit
from graphc.targets.interface import Comparing, Data
from graphc.targets.pods.comparing import name_content, write_receiver
from graphc.targets.pods.layout import Layout, Predictor
from graphc.targets.pods.route_versions import list_shadows
from graphc.targets.routes.istio import STICKY_LABEL, sticky_service
from graphc.targets.routes.routing import traffic_of
from graphc.targets.seldon.pod import emit_pod


def emit_predictor(layout: Layout, predictor: Predictor) -> Data:
    """Return the predictor as a SeldonDeployment lists it."""
    written, graph, pods = _emit(layout, predictor)
    version, routing = predictor.version, layout.routing
    comparing = version.settings.comparing
    if comparing.url is not None:
        is_shadow = version.name in list_shadows(routing.rollout)
        graph["logger"] = _logger(
            comparing, name_content([graph, *(pod["spec"] for pod in pods)]), shadow=is_shadow
        )
    if layout.deployable.is_for_cluster and routing.ingress.kind == "istio":
        service = sticky_service(version.settings.name, routing.rollout, version.name)
        if service is not None:
            pods[0]["metadata"] = {"labels": {STICKY_LABEL: service}}
    return written


def emit_told(layout: Layout, predictor: Predictor) -> Data:
    """Return the predictor without what is added to it last, for what its executor is told to be reckoned."""
    return _emit(layout, predictor)[0]


def _emit(layout: Layout, predictor: Predictor) -> tuple[Data, Data, Sequence[Data]]:
    version, rollout = predictor.version, layout.routing.rollout
    written: Data = {"name": version.name, "traffic": traffic_of(rollout)[version.name]}
    if rollout.is_plain and version.name in list_shadows(rollout):
        written["shadow"] = True
    replicas = version.settings.replicas if version.replicas is None else version.replicas
    if replicas is not None:
        written["replicas"] = replicas
    if not layout.has_walker:
        written["annotations"] = {"seldon.io/no-engine": "true"}
    written["graph"] = graph = _graph(version.plan.root)
    pods = [emit_pod(layout, version, pod) for pod in predictor.pods]
    written["componentSpecs"] = list[Value](pods)
    return written, graph, pods


def _graph(unit: Unit) -> Data:
    return {"name": unit.name, "type": unit.type, "children": [_graph(child) for child in unit.children]}


def _logger(comparing: Comparing, content: str, *, shadow: bool) -> Data:
    """Return how the root tells what the whole tree took and gave."""
    return {"mode": "all", "url": write_receiver(comparing, content, shadow=shadow)}
