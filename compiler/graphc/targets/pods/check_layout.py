"""Checks what every target on Kubernetes has of a layout: routes, artefacts, hardware and room."""

from graphc.diagnostics import Sink
from graphc.hardware.check_capacity import check_capacity
from graphc.hardware.check_hardware import check_hardware
from graphc.hardware.check_operators import check_operators
from graphc.hardware.pod_asks import Amount
from graphc.targets.check_shipments import check_shipments
from graphc.targets.check_store import check_store
from graphc.targets.pods.check_autoscaling import check_autoscaling
from graphc.targets.pods.emission import describe_asks
from graphc.targets.pods.layout import Layout
from graphc.targets.routes.check_routing import check_routing


def check_routes(layout: Layout, sink: Sink) -> None:
    """Report what the ingress cannot do; a run on this machine has none."""
    if layout.deployable.is_for_cluster:
        check_routing(layout.routing, sink)


def check_artefacts(layout: Layout, sink: Sink) -> None:
    """Report files that have no way to their containers."""
    check_store(layout.deployable.settings, sink)
    for predictor in layout.predictors:
        check_shipments((large for each in predictor.containers for large in each.too_large), sink)
        servers = (server for pod in predictor.pods for server in pod.servers)
        check_shipments((large for each in servers for large in each.too_large), sink)


def check_pods(layout: Layout, sink: Sink) -> None:
    """Check what pods ask of nodes, and of who scales them; a run on this machine takes what is there."""
    profile = layout.deployable.profile
    for version, pod in layout.pods if layout.deployable.is_for_cluster else ():
        check_operators(pod.units, version.settings.resources, version.settings.at, sink)
        check_hardware(pod.hardware, profile.pools, sink)
        if pod.scaling is not None:
            check_autoscaling(pod.scaling, pod.scaled, profile.scaler, sink)


def check_room(layout: Layout, walker: Amount, sink: Sink) -> None:
    """Report pods for which the nodes have no room; a walker asks for that much."""
    deployable = layout.deployable
    if deployable.profile.pools is not None:
        check_capacity(describe_asks(layout, walker), deployable.profile.pools, deployable.settings.at, sink)
