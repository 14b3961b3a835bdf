"""The target `seldon`: lays a graph out, checks what came of it, and writes it."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Sink
from graphc.hardware.check_capacity import check_capacity
from graphc.hardware.check_hardware import check_hardware
from graphc.hardware.check_operators import check_operators
from graphc.targets.check_shipments import check_shipments
from graphc.targets.check_store import check_store
from graphc.targets.model import Deployable, Emission, Target
from graphc.targets.pods.check_autoscaling import check_autoscaling
from graphc.targets.pods.check_regions import check_regions
from graphc.targets.pods.check_size import check_size
from graphc.targets.pods.emission import describe_asks
from graphc.targets.pods.lay_out import lay_out
from graphc.targets.pods.layout import Layout
from graphc.targets.routes.check_routing import check_routing
from graphc.targets.seldon.check_executor import check_executor
from graphc.targets.seldon.check_losses import LOSSES, check_losses
from graphc.targets.seldon.check_services import check_services
from graphc.targets.seldon.document import EXECUTOR, emit_deployment
from graphc.targets.seldon.fit_executor import fit_executor
from graphc.targets.seldon.limits import find_limits
from graphc.targets.seldon.routing import route_seldon
from graphc.targets.seldon.rules import find_rules


def emit(deployable: Deployable, sink: Sink) -> Emission | None:
    """Return config maps, the SeldonDeployment and its routes; None, with the reasons in the sink, if it cannot be."""
    layout = fit_executor(lay_out(deployable, route_seldon(deployable), find_rules(deployable)))
    for stage in STAGES:
        for check in stage:
            check(layout, sink)
        if sink.has_errors:
            return None
    emission = emit_deployment(layout)
    check_size(emission.documents, deployable, sink)
    return emission


def _check_routes(layout: Layout, sink: Sink) -> None:
    if layout.deployable.is_for_cluster:
        check_routing(layout.routing, sink)


def _check_artefacts(layout: Layout, sink: Sink) -> None:
    check_store(layout.deployable.settings, sink)
    for predictor in layout.predictors:
        check_shipments((large for each in predictor.containers for large in each.too_large), sink)
        servers = (server for pod in predictor.pods for server in pod.servers)
        check_shipments((large for each in servers for large in each.too_large), sink)


def _check_pods(layout: Layout, sink: Sink) -> None:
    """Check what pods ask of nodes, and of who scales them; a run on this machine takes what is there."""
    profile = layout.deployable.profile
    for version, pod in layout.pods if layout.deployable.is_for_cluster else ():
        check_operators(pod.units, version.settings.resources, version.settings.at, sink)
        check_hardware(pod.hardware, profile.pools, sink)
        if pod.scaling is not None:
            check_autoscaling(pod.scaling, pod.scaled, profile.scaler, sink)


def _check_room(layout: Layout, sink: Sink) -> None:
    deployable = layout.deployable
    if deployable.profile.pools is not None:
        check_capacity(
            describe_asks(layout, EXECUTOR), deployable.profile.pools, deployable.settings.at, sink
        )


STAGES: Final[tuple[tuple[Callable[[Layout, Sink], None], ...], ...]] = (
    (check_services,),
    (check_executor, _check_routes, _check_artefacts, check_regions, _check_pods),
    (_check_room,),
)
"""A stage starts only when those above found nothing wrong."""

TARGET: Final = Target("seldon", emit, find_limits, LOSSES, check_losses)
