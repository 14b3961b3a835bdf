"""The target `kubernetes`: lays a graph out, checks what came of it, and writes it without Seldon."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Sink
from graphc.targets.interface import Deployable, Emission, Target
from graphc.targets.kubernetes.check_services import check_services
from graphc.targets.kubernetes.document import emit_graph
from graphc.targets.kubernetes.limits import find_limits
from graphc.targets.kubernetes.routing import route_graph
from graphc.targets.kubernetes.rules import RULES
from graphc.targets.kubernetes.workload import engine_amount
from graphc.targets.pods.check_layout import check_artefacts, check_pods, check_room, check_routes
from graphc.targets.pods.check_regions import check_regions
from graphc.targets.pods.check_size import check_size
from graphc.targets.pods.lay_out import lay_out
from graphc.targets.pods.layout import Layout


def emit(deployable: Deployable, sink: Sink) -> Emission | None:
    """Return the graph's objects; None, with the reasons in the sink, if it cannot be."""
    layout = lay_out(deployable, route_graph(deployable), RULES)
    for stage in STAGES:
        for check in stage:
            check(layout, sink)
        if sink.has_errors:
            return None
    emission = emit_graph(layout)
    check_size(emission.documents, deployable, sink)
    return emission


def _check_room(layout: Layout, sink: Sink) -> None:
    check_room(layout, engine_amount(layout.deployable.profile), sink)


STAGES: Final[tuple[tuple[Callable[[Layout, Sink], None], ...], ...]] = (
    (check_services,),
    (check_routes, check_artefacts, check_regions, check_pods),
    (_check_room,),
)
"""A stage starts only when those above found nothing wrong."""

TARGET: Final = Target("kubernetes", emit, find_limits)
