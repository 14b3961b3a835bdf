"""The target `seldon`: lays a graph out, checks what came of it, and writes it."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Sink
from graphc.targets.interface import Deployable, Emission, Target
from graphc.targets.pods.check_layout import check_artefacts, check_pods, check_room, check_routes
from graphc.targets.pods.check_regions import check_regions
from graphc.targets.pods.check_size import check_size
from graphc.targets.pods.lay_out import lay_out
from graphc.targets.pods.layout import Layout
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


def _check_room(layout: Layout, sink: Sink) -> None:
    check_room(layout, EXECUTOR, sink)


STAGES: Final[tuple[tuple[Callable[[Layout, Sink], None], ...], ...]] = (
    (check_services,),
    (check_executor, check_routes, check_artefacts, check_regions, check_pods),
    (_check_room,),
)
"""A stage starts only when those above found nothing wrong."""

TARGET: Final = Target("seldon", emit, find_limits, LOSSES, check_losses)
